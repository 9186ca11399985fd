//! What anybody can get from a node is the same, to the byte, whatever is there for members.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use fingerpost_cli::output::moment::rfc3339;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::record::Body;
use fingerpost_tests::cluster::{
    Cluster, ClusterError, FEED_PAGES, Node, Publisher, Reply, request, service, wait_until, wait_until_equal,
};

/// Time for records, heads and receipts to reach every node; heads wait for half a minute while records go on changing.
const EFFECT_WAIT: Duration = Duration::from_secs(90);
/// A head is signed when records have not changed for two seconds.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// Most paths that are walked: more means that links lead in circles.
const PATHS_MAX: usize = 3_000;

/// What is asked of each path, besides a plain GET: a browser, a caching proxy, and one who wants the header only.
const READERS: [(&str, &[(&str, &str)]); 4] = [
    ("GET", &[]),
    ("GET", &[("Accept", "text/html"), ("Accept-Language", "fa, ar;q=0.8, en;q=0.5")]),
    ("GET", &[("Accept-Encoding", "gzip")]),
    ("HEAD", &[]),
];

/// Where a walk begins: all that lists something, in every form, and what is not there.
fn first_paths(probes: &[String]) -> Vec<String> {
    let more = [
        "/services?full=true",
        "/services?minimal=true",
        "/services?per_page=1&page=2",
        "/services?search=the",
        "/services?modified_after=2020-01-01",
        "/services?lang=fa",
        "/services?postcode=x",
        "/services?page=9999",
        "/organizations?full=true",
        "/organizations?search=the",
        "/service_at_locations?full=true",
        "/taxonomy_terms?per_page=250",
        "/directory?kind=event",
        "/directory?kind=organisation",
        "/directory?kind=location",
        "/directory?q=members",
        "/directory?q=Hidden+refuge",
        "/directory?page=2",
        "/events.ics?lang=fa",
        "/members?per_page=1",
        "/members?page=2",
        "/robots.txt",
        "/sitemap.xml",
        "/favicon.ico",
        "/status",
        "/health",
        "/metrics",
        "/nothing",
    ];
    let mut paths: Vec<String> = FEED_PAGES.iter().chain(&more).map(|path| (*path).to_owned()).collect();
    // Every place of the change lists that a reader may stand at.
    for list in ["services", "events", "organizations", "locations"] {
        paths.extend((1..60).map(|number| format!("/rpde/{list}?afterChangeNumber={number}")));
    }
    for record in probes {
        for path in ["/services/", "/organizations/", "/service_at_locations/", "/directory/", "/taxonomy_terms/"] {
            paths.push(format!("{path}{record}"));
        }
        paths.push(format!("/records/{record}/signed"));
        for path in ["/services?organization_id=", "/events.ics?organization_id=", "/events.ics?service_id="] {
            paths.push(format!("{path}{record}"));
        }
    }
    paths
}

/// Paths of this feed to which an answer leads.
fn links(base: &str, reply: &Reply) -> Vec<String> {
    let text = reply.text();
    let absolute = text.split(base).skip(1);
    let relative = text.split("href=\"").skip(1).filter(|rest| rest.starts_with('/'));
    let path = |rest: &str| {
        rest.split(['"', '<', '\\', ' ', '\r', '\n', '#'])
            .next()
            .unwrap_or_default()
            .replace("&#38;", "&")
            .replace("&amp;", "&")
    };
    absolute.chain(relative).map(path).filter(|path| path.starts_with('/')).collect()
}

/// Everything that the feed answers, by what was asked. The only thing left out is the time of the answer.
fn walk(node: &Node, probes: &[String]) -> BTreeMap<String, Reply> {
    let base = node.feed_url().unwrap();
    let mut waiting = VecDeque::from(first_paths(probes));
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut found = BTreeMap::new();
    while let Some(path) = waiting.pop_front() {
        for (method, fields) in READERS {
            let mut reply = request(&base, method, &path, fields).unwrap();
            reply.headers.retain(|(name, _)| name != "date");
            for link in links(&base, &reply) {
                if seen.insert(link.clone()) {
                    waiting.push_back(link);
                }
            }
            found.insert(format!("{method} {path} {fields:?}"), reply);
        }
        assert!(seen.len() < PATHS_MAX, "links lead in circles: {path}");
    }
    found
}

/// What differs between two walks, in words.
fn differences(before: &BTreeMap<String, Reply>, after: &BTreeMap<String, Reply>) -> Vec<String> {
    let asked: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = asked.into_iter().filter(|asked| before.get(*asked) != after.get(*asked));
    let shown = |reply: Option<&Reply>| {
        reply.map_or("not asked".to_owned(), |reply| format!("{} {:?}\n{}", reply.status, reply.headers, reply.text()))
    };
    differs
        .map(|asked| format!("{asked}\nbefore: {}\nafter:  {}\n", shown(before.get(asked)), shown(after.get(asked))))
        .collect()
}

fn import(node: &Node, csv: &str) {
    let output = node.import(csv).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
}

/// Waits until all nodes have the same sets, and heads that cover what was published last: (organisation, milliseconds).
fn wait_until_covered(cluster: &Cluster, last: [(&str, u64); 2]) {
    let nodes: Vec<&Node> = cluster.nodes.iter().collect();
    let is_covered = || {
        nodes.iter().try_fold(true, |all, node| {
            let members = node.json(&["members"])?;
            let complete = |org: &str| {
                let mut members = members["members"].as_array().into_iter().flatten();
                let member = members.find(|member| member["organisation"] == org).cloned().unwrap_or_default();
                member["complete_as_of"].as_str().unwrap_or_default().to_owned()
            };
            Ok(all && last.iter().all(|(org, at_ms)| rfc3339(*at_ms).is_some_and(|at| complete(org) > at)))
        })
    };
    wait_until(EFFECT_WAIT, is_covered).unwrap();
    wait_until_equal(&nodes, EFFECT_WAIT).unwrap();
}

/// Waits until all nodes have the same sets and nothing came for longer than a first head waits for.
fn wait_until_quiet(cluster: &Cluster) {
    let nodes: Vec<&Node> = cluster.nodes.iter().collect();
    let mut since = Instant::now();
    let mut last = Vec::new();
    let is_quiet = || {
        let sets = nodes.iter().map(|node| Ok(node.status()?.sets)).collect::<Result<Vec<_>, ClusterError>>()?;
        if sets != last {
            (since, last) = (Instant::now(), sets);
        }
        Ok(last.windows(2).all(|pair| pair[0] == pair[1]) && since.elapsed() > HEAD_WAIT)
    };
    wait_until(EFFECT_WAIT, is_quiet).unwrap();
}

/// A service that names an organisation which is for members.
fn service_of(organisation: Vec<u8>) -> Body {
    let mut body = service("of-hidden", "Open service of a hidden group");
    if let Body::Service(service) = &mut body {
        service.organisation = organisation;
    }
    body
}

/// The same rows with the audience `members`.
fn for_members(sheet: &str) -> String {
    let mut reader = csv::Reader::from_reader(sheet.as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = reader.headers().unwrap().clone();
    writer.write_record(&header).unwrap();
    for row in reader.records().map(Result::unwrap) {
        let cells = header.iter().zip(row.iter());
        writer.write_record(cells.map(|(name, cell)| if name == "audience" { "members" } else { cell })).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

#[test]
fn no_public_output_differs_for_what_is_there_for_members() {
    let mut cluster = Cluster::found(2).unwrap();
    let (office, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    // Every kind and column of the template, an edit and a withdrawal.
    let template = office.ok(&["template"]).unwrap().stdout;
    import(office, &template);
    let mut publisher = Publisher::open(office, office).unwrap();
    let hidden_group = Body::Organisation(Box::new(fingerpost_proto::v1::Organisation {
        local_id: "hidden-group".to_owned(),
        language: "en".to_owned(),
        name: "Hidden group".to_owned(),
        description: "Hidden group".to_owned(),
        ..Default::default()
    }));
    let hidden_id = publisher.record(Audience::Members, &hidden_group);
    publisher
        .publish(&[service_of(hidden_id.0.to_vec()), service("edited", "Before"), service("gone", "Gone")])
        .unwrap();
    publisher.publish(&[service("edited", "After")]).unwrap();
    let gone = publisher.record(Audience::Public, &service("gone", ""));
    let last = publisher.withdraw(&[gone]).unwrap()[0].version.header().hlc.ms();
    let mut of_other = Publisher::open(other, other).unwrap();
    let last_of_other = of_other.publish(&[service("theirs", "Theirs")]).unwrap()[0].version.header().hlc.ms();
    let (org, other_org) = (office.organisation().unwrap(), other.organisation().unwrap());
    wait_until_covered(&cluster, [(&org, last), (&other_org, last_of_other)]);

    // Ids of what is not there yet, as somebody who knows the rules can work them out, and of what is.
    let twins = ["edited", "gone", "refuge", "theirs"].map(|id| publisher.record(Audience::Members, &service(id, "")));
    let mut probes: Vec<String> = twins.iter().chain([&hidden_id, &gone]).map(ToString::to_string).collect();
    probes.push(of_other.record(Audience::Members, &service("theirs", "")).to_string());
    let walked = |cluster: &Cluster| cluster.nodes.iter().map(|node| walk(node, &probes)).collect::<Vec<_>>();
    let public = |cluster: &Cluster| {
        let state = |node: &Node| node.status().unwrap().json["sets"][0].clone();
        cluster.nodes.iter().map(state).collect::<Vec<_>>()
    };
    let (before, set_before) = (walked(&cluster), public(&cluster));
    assert!(before[0].len() > 1_000, "{} answers", before[0].len());
    let again = walked(&cluster);
    for (before, again) in before.iter().zip(&again) {
        let found = differences(before, again);
        assert!(found.is_empty(), "differs by itself:\n{}", found.join("\n"));
    }
    let logged: Vec<usize> = cluster.nodes.iter().map(|node| node.log().len()).collect();

    // For members: every kind, the same names and local ids, edits, withdrawals, a redaction, from both.
    import(office, &for_members(&template));
    for (publisher, ids) in [(&mut publisher, ["edited", "gone", "refuge"]), (&mut of_other, ["theirs", "one", "two"])]
    {
        let bodies = ids.map(|id| service(id, "Hidden refuge"));
        let sign = |publisher: &mut Publisher, bodies: &[Body]| {
            let signed = bodies.iter().map(|body| publisher.sign(Audience::Members, body).unwrap()).collect();
            publisher.hand_in(signed).unwrap();
        };
        sign(publisher, &bodies);
        sign(publisher, &bodies);
        let record = publisher.record(Audience::Members, &bodies[1]);
        publisher.withdraw(&[record]).unwrap();
    }
    let signed = publisher.sign(Audience::Members, &hidden_group).unwrap();
    publisher.hand_in(vec![signed]).unwrap();
    drop((publisher, of_other));
    cluster.nodes[0].ok(&["redact", &twins[2].to_string(), "--urgent"]).unwrap();
    wait_until_quiet(&cluster);
    assert!(cluster.nodes[1].status().unwrap().sets[1].live > 5, "it is there");

    let compare = |cluster: &Cluster, when: &str| {
        for (node, (before, after)) in before.iter().zip(walked(cluster)).enumerate() {
            let found = differences(before, &after);
            assert!(found.is_empty(), "{} answers of node {node} differ {when}:\n{}", found.len(), found.join("\n"));
        }
        assert_eq!(set_before, public(cluster), "{when}");
    };
    compare(&cluster, "with records for members");
    for (node, before) in cluster.nodes.iter().zip(logged) {
        let news = node.log()[before..].to_owned();
        let names = |text: &str| !text.is_empty() && news.contains(text);
        assert!(!names("Hidden") && !probes.iter().any(|id| names(id)), "{} logged:\n{news}", node.name());
        assert_eq!(news, "", "{} logs nothing of what is for members, nor when", node.name());
    }
    // Nor does it tell after a restart, when everything is read from the disk.
    for node in &mut cluster.nodes {
        node.terminate().unwrap();
        node.launch().unwrap();
    }
    wait_until_equal(&cluster.nodes.iter().collect::<Vec<_>>(), EFFECT_WAIT).unwrap();
    compare(&cluster, "after a restart");
}
