//! Real directories through the whole system: 208 library authorities and Miami's 211 directory become organisations that
//! publish through the command line on three real nodes, and everything that comes out of the feeds is checked.
//!
//! Needs the folder `shared/data` beside the repository (or `FINGERPOST_SHARED`); without it the tests are skipped aloud.

#![allow(clippy::unwrap_used)]

mod publishing;
mod reading;
mod schema;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use fingerpost_tests::cluster::Cluster;
use fingerpost_tests::convert::{libraries, miami, shared_data};
use serde_json::json;

use publishing::{Imported, Source, publish_all};
use reading::Feed;
use schema::{Schemas, Shape};

/// Nodes.
const NODES: usize = 3;
/// Longest wait until all nodes have everything.
const SPREAD_WAIT_MAX: Duration = Duration::from_secs(180);

#[test]
fn real_directories_arrive_everywhere_whole_and_valid() {
    let Some(library_tables) = shared_data("real-directories/uk-public-libraries/by-publisher") else { return };
    let Some(miami_tables) = shared_data("real-directories/miami-open211") else { return };
    let Some(schema_folder) = shared_data("hsds-schema") else { return };
    let start = Instant::now();
    let step = |what: &str| println!("{:7.1} s  {what}", start.elapsed().as_secs_f64());

    let folder = tempfile::tempdir().unwrap();
    let converted = [
        libraries::convert(&library_tables, &folder.path().join("libraries")).unwrap(),
        miami::convert(&miami_tables, &folder.path().join("miami")).unwrap(),
    ];
    let arguments: [&[&str]; 2] = [&[], &["--country", "US", "--timezone", "America/New_York"]];
    let cluster = Cluster::found(NODES).unwrap();
    step("three nodes run");
    let mut sums = Vec::new();
    for (converted, arguments) in converted.iter().zip(arguments) {
        let source = |file: &std::path::PathBuf| Source {
            name: file.file_stem().unwrap().to_string_lossy().into_owned(),
            file: file.clone(),
            arguments,
        };
        let sources: Vec<Source> = converted.files.iter().map(source).collect();
        let imported = publish_all(&cluster, &sources);
        assert_eq!(imported.rows_read, converted.rows_written, "every row that the converter wrote is read");
        assert_eq!(imported.rows_read, imported.published + imported.rows_rejected, "no row disappears");
        assert_eq!(imported.rows_named(), imported.rows_rejected, "every rejected row is named with its reason");
        sums.push(imported);
        step("a directory is published");
    }
    list_rejected(&sums);

    let waited = cluster.wait_until_equal(SPREAD_WAIT_MAX).unwrap();
    step(&format!("all sets are equal, {:.1} s after the last import", waited.as_secs_f64()));
    let published: u64 = sums.iter().map(|sum| sum.published).sum();
    let publishers: u64 = sums.iter().map(|sum| sum.publishers).sum();
    let mut nodes = Vec::new();
    for node in &cluster.nodes {
        let status = node.status().unwrap();
        let (public, members) = (&status.sets[0], &status.sets[1]);
        assert_eq!((public.live, public.withdrawn), (published, 0), "{}", node.name());
        assert_eq!((members.live, members.count), (0, 0), "{}", node.name());
        assert_eq!(status.members, NODES as u64 + publishers, "{}", node.name());
        let counts = Feed::of(node).counts();
        assert_eq!(counts.values().sum::<u64>(), published, "{}: {counts:?}", node.name());
        nodes.push((node.name(), status.sets, counts));
    }
    assert!(nodes.windows(2).all(|pair| (&pair[0].1, &pair[0].2) == (&pair[1].1, &pair[1].2)), "{nodes:?}");
    step("the counts add up on every node");

    let schemas = Schemas::load(&schema_folder);
    let feed = Feed::of(&cluster.nodes[0]);
    let (service_pages, service_ids) = feed.pages("services");
    let (organisation_pages, organisation_ids) = feed.pages("organizations");
    assert_the_check_finds_faults(&schemas, &feed, &service_pages[0], &organisation_pages[0]);
    let full = |pages: &[String]| pages.iter().map(|page| format!("{page}&full=true")).collect::<Vec<_>>();
    let one = |list: &str, ids: &[String]| ids.iter().map(|id| format!("/{list}/{id}")).collect::<Vec<_>>();
    let paths = [
        (Shape::ServicePage, service_pages.clone()),
        (Shape::FullServicePage, full(&service_pages)),
        (Shape::Service, one("services", &service_ids)),
        (Shape::OrganisationPage, organisation_pages.clone()),
        (Shape::FullOrganisationPage, full(&organisation_pages)),
        (Shape::Organisation, one("organizations", &organisation_ids)),
    ];
    let work: Vec<(Shape, String)> =
        paths.into_iter().flat_map(|(shape, paths)| paths.into_iter().map(move |path| (shape, path))).collect();
    let validated = feed.validate(&schemas, &work);
    step("every page and record of one node is valid in three profiles");

    let same: Vec<usize> = thread::scope(|scope| {
        let compare = |node| {
            let pages = &validated.pages;
            scope.spawn(move || Feed::of(node).assert_same_pages(pages))
        };
        let threads: Vec<_> = cluster.nodes[1..].iter().map(compare).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    step(&format!("the other nodes serve the same {same:?} pages, byte by byte"));
    let services: BTreeSet<String> = service_ids.into_iter().collect();
    let organisations: BTreeSet<String> = organisation_ids.into_iter().collect();
    thread::scope(|scope| {
        for node in &cluster.nodes {
            let (services, organisations) = (&services, &organisations);
            scope.spawn(move || {
                let feed = Feed::of(node);
                assert_eq!(feed.changes("services"), *services, "{}", node.name());
                assert_eq!(feed.changes("organizations"), *organisations, "{}", node.name());
                assert_eq!(feed.changes("locations").len() as u64, feed.counts()["locations"], "{}", node.name());
                assert!(feed.changes("events").is_empty(), "{}", node.name());
            });
        }
    });
    step("the change lists of every node end with the same records");

    println!("\n{:<22}{:>11}{:>8}{:>10}{:>10}", "SOURCE", "PUBLISHERS", "ROWS", "IMPORTED", "REJECTED");
    for (name, sum) in ["uk-public-libraries", "miami-open211"].iter().zip(&sums) {
        println!("{name:<22}{:>11}{:>8}{:>10}{:>10}", sum.publishers, sum.rows_read, sum.published, sum.rows_rejected);
    }
    println!("\n{:<22}{:>8}  LIVE BY SORT", "NODE", "LIVE");
    for (name, sets, counts) in &nodes {
        println!("{name:<22}{:>8}  {counts:?}  {}…", sets[0].live, &sets[0].fingerprint[..16]);
    }
    println!("\n{:<34}{:>8}{:>9}   valid in HSDS 3.0, 3.1 and UK 3.0", "ANSWERS", "READ", "OBJECTS");
    for (shape, (answers, objects)) in &validated.counts {
        println!("{:<34}{answers:>8}{objects:>9}", shape.name());
    }
    println!("\nreal_input took {:.1} s", start.elapsed().as_secs_f64());
}

/// Each rejected row with file, row, column and reason.
fn list_rejected(sums: &[Imported]) {
    for reason in sums.iter().flat_map(|sum| &sum.reasons) {
        assert!(reason.row > 1 && !reason.reason.is_empty(), "{reason:?}");
        println!("rejected: {} row {} {:?}: {}", reason.file, reason.row, reason.column, reason.reason);
    }
}

/// Breaks real answers in one place each; every profile must notice.
fn assert_the_check_finds_faults(schemas: &Schemas, feed: &Feed, service_page: &str, organisation_page: &str) {
    for (shape, full_shape, page) in [
        (Shape::ServicePage, Shape::FullServicePage, service_page),
        (Shape::OrganisationPage, Shape::FullOrganisationPage, organisation_page),
    ] {
        for (shape, path) in [(shape, page.to_owned()), (full_shape, format!("{page}&full=true"))] {
            let good = feed.value(&path);
            assert!(schemas.faults(shape, &good).is_empty(), "{path}");
            let mut bad_id = good.clone();
            bad_id["contents"][7]["id"] = json!("7");
            assert!(schemas.all_refuse(shape, &bad_id), "{shape:?} accepts an id that is no UUID");
            let mut bad_count = good;
            bad_count["total_items"] = json!("many");
            assert!(schemas.all_refuse(shape, &bad_count), "{shape:?} accepts a count in words");
        }
    }
    let first = |page: &str| feed.value(page)["contents"][0]["id"].as_str().unwrap().to_owned();
    let mut service = feed.value(&format!("/services/{}", first(service_page)));
    service["organization"]["id"] = json!(7);
    assert!(schemas.all_refuse(Shape::Service, &service), "nested objects are not looked at");
    let mut organisation = feed.value(&format!("/organizations/{}", first(organisation_page)));
    organisation["name"] = json!(7);
    assert!(schemas.all_refuse(Shape::Organisation, &organisation));
}
