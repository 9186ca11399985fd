//! Organisations without a node: joining over a host, publishing, what a host can and cannot do, and leaving it for another.

use std::time::{Duration, Instant};

use fingerpost_cli::client::{Admin, NodeClient};
use fingerpost_cli::identity::Identity;
use fingerpost_cli::keys::{KeyPurpose, Signer, load};
use fingerpost_daemon::link::RawFrame;
use fingerpost_daemon::rpc::host_client::HostClient;
use fingerpost_daemon::rpc::peer_client::PeerClient;
use fingerpost_daemon::transport::{DialError, NodeKey, TlsIdentity, dial};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use fingerpost_tests::cluster::{Cluster, Node, Output, Publisher, copy_home, restore_folder, service, wait_until};
use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::Channel;

/// Time for a version to reach every node.
const EFFECT_WAIT: Duration = Duration::from_secs(10);
/// Time for a host to cut a connection: half of what it gives one over which nothing is asked.
const CUT_WAIT: Duration = Duration::from_secs(5);

const SHEET: &str =
    "kind,id,name,description\norganisation,us,Garden Group,We dig.\nservice,beds,Raised beds,Come in.\n";

fn import(guest: &Node, csv: &str) -> Output {
    let output = guest.import(csv).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    output
}

/// Record id of the guest's service with this local id.
fn record(guest: &Node, local_id: &str) -> String {
    let list = guest.json(&["list", "--mine"]).unwrap();
    let records = list["records"].as_array().unwrap();
    let found = records.iter().find(|record| record["local_id"] == local_id);
    found.unwrap_or_else(|| panic!("{local_id} is not in {list}"))["record"].as_str().unwrap().to_owned()
}

fn wait_until_shown(node: &Node, record: &str, text: &str) {
    let shown = || Ok(node.feed(&format!("/services/{record}"))?.text().contains(text));
    wait_until(EFFECT_WAIT, shown).unwrap_or_else(|error| panic!("{record} with {text:?}: {error}"));
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn dialled(host: &Node, identity: &TlsIdentity) -> Result<Channel, DialError> {
    let key = NodeKey::load_or_create(host.home()).unwrap().public();
    dial(&host.peer_address().unwrap().to_string(), key, identity, EFFECT_WAIT).await
}

fn device(of: &Node) -> Signer {
    load(of.home(), KeyPurpose::Device).unwrap()
}

/// The service refuses at once; the connection, over which calls go on, is cut soon after.
async fn wait_until_cut(calls: &mut HostClient<Channel>) {
    let begin = Instant::now();
    loop {
        let status = calls.status(v1::StatusRequest {}).await.unwrap_err();
        if std::error::Error::source(&status).is_some() {
            return;
        }
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert!(begin.elapsed() < CUT_WAIT, "the connection is still open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_group_without_a_computer_of_its_own_publishes_over_a_host_that_cannot_speak_for_it() {
    let cluster = Cluster::found(2).unwrap();
    let (host, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let guest = Node::guest("Garden Group", host).unwrap().0;
    let checked = guest.import(SHEET).unwrap();
    assert_eq!((checked.code, &checked.json()["new"]), (0, &2.into()), "{checked:?}");
    let beds = record(&guest, "beds");
    wait_until_shown(other, &beds, "Raised beds");
    let shown = other.json(&["show", &beds]).unwrap();
    assert_eq!(shown["versions"][0]["publisher"], "Garden Group", "{shown}");

    // Every command of an organisation goes the same way.
    assert_eq!(guest.json(&["show", "beds"]).unwrap()["versions"][0]["record"], beds.as_str());
    assert_eq!(guest.json(&["confirm", "beds", "--yes"]).unwrap()["confirmed"], 1);
    let status = guest.json(&["status"]).unwrap();
    assert_eq!((&status["own"]["live"], &status["members"]), (&2.into(), &3.into()), "{status}");
    assert_eq!(status["disk_bytes"], 0, "the host's disk is its operator's: {status}");
    assert_eq!(guest.json(&["members"]).unwrap()["members"].as_array().unwrap().len(), 3);
    assert_eq!(guest.json(&["why", "Garden Group"]).unwrap()["standing"], "member");
    assert_eq!(guest.json(&["withdraw", "us", "--yes"]).unwrap()["withdrawn"], 1);
    let refused = guest.cli(&["peers"]).unwrap();
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("ask its operator"), "{refused:?}");
    let listed = host.json(&["host", "list"]).unwrap();
    assert_eq!(listed["organisations"][0]["name"], "Garden Group", "{listed}");
    assert_eq!(listed["codes_open"], 0, "{listed}");

    // The host's own command line knows no such record of its own …
    let theirs = host.cli(&["withdraw", &beds, "--yes"]).unwrap();
    assert_ne!(theirs.code, 0, "{theirs:?}");
    // … and what its key signs in the guest's name, no node takes.
    let current = &shown["versions"][0];
    let forged = forged_withdrawal(host, &guest, current);
    let result = runtime().block_on(async {
        let client = NodeClient::connect(&host.socket(), host.home()).await.unwrap();
        let request = v1::PublishRequest { envelopes: vec![forged.envelope().to_vec()] };
        client.publish(vec![request], |_| ()).await.results.remove(0)
    });
    assert_eq!(result.error, "unknown-device", "{result:?}");
    wait_until_shown(other, &beds, "Raised beds");
}

/// A withdrawal of the guest's record, signed by the host's device.
fn forged_withdrawal(host: &Node, guest: &Node, current: &Value) -> SignedVersion {
    let published = runtime().block_on(async {
        let client = NodeClient::connect(&host.socket(), host.home()).await.unwrap();
        let organisation = Identity::load(guest.home()).unwrap().org().0.to_vec();
        client.entries(v1::ListRequest { organisation, ..Default::default() }).await.unwrap()
    });
    let published = published.into_iter().map(|entry| SignedVersion::read(entry.envelope).unwrap());
    let mut versions = published.filter(|version| current["record"] == version.header().record.to_string().as_str());
    let old = *versions.next().unwrap().header();
    let signer = device(host);
    let header = Header {
        device: *signer.public().as_bytes(),
        hlc: old.hlc.next(old.hlc.ms() + 1),
        lease_until: fingerpost_proto::time::UnixHour(0),
        ..old
    };
    signer.sign_version(&header, &[]).unwrap()
}

#[test]
fn a_guests_key_opens_one_service_and_takes_one_organisations_versions_only() {
    let cluster = Cluster::found(2).unwrap();
    let (host, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let guest = Node::guest("Garden Group", host).unwrap().0;
    let foreign = Publisher::open(other, other).unwrap().publish(&[service("theirs", "Theirs")]).unwrap();
    let foreign = foreign[0].version.envelope().to_vec();
    let of_other = Identity::load(other.home()).unwrap().org().0.to_vec();
    runtime().block_on(async {
        let channel = dialled(host, &device(&guest).tls_identity().unwrap()).await.unwrap();
        let mut calls = HostClient::new(channel.clone());
        assert!(calls.status(v1::StatusRequest {}).await.is_ok());
        let handed = calls.publish(v1::PublishRequest { envelopes: vec![foreign] }).await.unwrap_err();
        assert_eq!(handed.code(), Code::PermissionDenied, "{handed:?}");
        assert!(handed.message().contains("nothing was taken"), "{handed:?}");
        let listed = calls.list(v1::ListRequest { organisation: of_other, ..Default::default() }).await.unwrap_err();
        assert_eq!(listed.code(), Code::PermissionDenied, "{listed:?}");

        let mut peer = PeerClient::new(channel.clone());
        let link = peer.link(tokio_stream::iter([RawFrame::from(Vec::new())])).await.unwrap_err();
        assert_eq!(link.code(), Code::PermissionDenied, "{link:?}");
        let introduced = peer.introduce(v1::IntroduceRequest { level: 1 }).await.unwrap_err();
        assert_eq!(introduced.code(), Code::PermissionDenied, "{introduced:?}");
        let admitted = peer.admit(v1::AdmitRequest::default()).await.unwrap_err();
        assert_eq!(admitted.code(), Code::PermissionDenied, "{admitted:?}");
        let mut admin = fingerpost_daemon::rpc::admin_client::AdminClient::new(channel);
        let peers = admin.peers(v1::PeersRequest {}).await.unwrap_err();
        assert_eq!(peers.code(), Code::Unimplemented, "{peers:?}");

        // A member's node has a link, and no business with the service.
        let key = NodeKey::load_or_create(other.home()).unwrap();
        let channel = dialled(host, &TlsIdentity::new(key.signing_key()).unwrap()).await.unwrap();
        let status = HostClient::new(channel).status(v1::StatusRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        // A publishing device of an organisation that is not carried does not come past the handshake.
        let stranger = dialled(host, &device(other).tls_identity().unwrap()).await;
        assert!(matches!(stranger, Err(DialError::RefusedByPeer { .. })), "{stranger:?}");
    });
}

#[test]
fn when_the_operator_stops_an_open_line_is_cut_and_a_new_code_lets_the_organisation_in_again() {
    let mut cluster = Cluster::found(1).unwrap();
    let host = &cluster.nodes[0];
    let guest = Node::guest("Garden Group", host).unwrap().0;
    import(&guest, SHEET);
    let beds = record(&guest, "beds");
    let identity = device(&guest).tls_identity().unwrap();
    runtime().block_on(async {
        let mut calls = HostClient::new(dialled(host, &identity).await.unwrap());
        assert!(calls.status(v1::StatusRequest {}).await.is_ok());
        assert_eq!(host.cli(&["host", "stop", "Garden Group"]).unwrap().code, 2, "nobody can be asked");
        host.ok(&["host", "stop", "Garden Group", "--yes"]).unwrap();
        wait_until_cut(&mut calls).await;
    });
    let turned_away = guest.cli(&["list"]).unwrap();
    assert_eq!(turned_away.code, 7, "{turned_away:?}");
    assert!(turned_away.stderr.contains("fingerpost move CODE"), "{turned_away:?}");
    wait_until_shown(host, &beds, "Raised beds");
    assert_eq!(host.cli(&["host", "stop", "Garden Group", "--yes"]).unwrap().code, 1, "once is enough");

    // A promise outlasts the node's restart.
    let code = host.host_code().unwrap();
    cluster.nodes[0].terminate().unwrap();
    cluster.nodes[0].launch().unwrap();
    guest.ok(&["move", &code, "--yes"]).unwrap();
    assert_eq!(guest.json(&["status"]).unwrap()["own"]["live"], 2);
    assert_eq!(guest.cli(&["move", &code, "--yes"]).unwrap().code, 7, "a code works once");
}

#[test]
fn a_group_that_a_host_turns_away_is_as_free_as_before() {
    let cluster = Cluster::found(1).unwrap();
    let host = &cluster.nodes[0];
    let code = host.host_code().unwrap();
    let group = Node::admin_only("Garden Group").unwrap();
    group.ok(&["init", "--name", "Garden Group", "--hosted", "--yes"]).unwrap();
    // An invite of the same node with the other prefix: its holder joins, and nobody promised to carry it.
    let invite = host.invite().unwrap().replacen("fp1:", "fph1:", 1);
    let refused = group.cli(&["join", &invite, "--yes", "--wait", "0"]).unwrap();
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(!group.home().join("host.json").exists() && !group.home().join("network.charter").exists());
    let joined = group.json(&["join", &code, "--yes", "--wait", "0"]).unwrap();
    assert_eq!(joined["standing"], "member", "{joined}");
    let used = group.cli(&["join", &code, "--yes"]).unwrap();
    assert_eq!(used.code, 7, "a code works once: {used:?}");
    assert!(group.home().join("host.json").exists(), "and the host is not forgotten for it");
    assert_eq!(group.json(&["status"]).unwrap()["host"], "Node 0");
}

#[test]
fn a_device_that_leaves_the_card_leaves_the_host_too() {
    let cluster = Cluster::found(1).unwrap();
    let host = &cluster.nodes[0];
    let guest = Node::guest("Garden Group", host).unwrap().0;
    let second = Node::admin_only("Front desk").unwrap();
    let socket = host.socket().display().to_string();
    let request = second.json(&["--node", &socket, "device", "request", "Garden Group", "--yes"]).unwrap();
    let identity = device(&second).tls_identity().unwrap();
    runtime().block_on(async {
        let early = dialled(host, &identity).await;
        assert!(matches!(early, Err(DialError::RefusedByPeer { .. })), "{early:?}");
        guest.ok(&["device", "add", request["code"].as_str().unwrap(), "--label", "desk", "--yes"]).unwrap();
        let mut calls = HostClient::new(dialled(host, &identity).await.unwrap());
        assert!(calls.status(v1::StatusRequest {}).await.is_ok());
        guest.ok(&["device", "remove", "desk", "--yes"]).unwrap();
        wait_until_cut(&mut calls).await;
        let late = dialled(host, &identity).await;
        assert!(matches!(late, Err(DialError::RefusedByPeer { .. })), "{late:?}");
    });
    assert_eq!(guest.json(&["status"]).unwrap()["own"]["live"], 0, "the other device goes on");
}

#[test]
fn the_recovery_words_give_a_guest_new_keys_over_its_host() {
    let cluster = Cluster::found(1).unwrap();
    let host = &cluster.nodes[0];
    let (guest, words) = Node::guest("Garden Group", host).unwrap();
    import(&guest, SHEET);
    let (beds, old) = (record(&guest, "beds"), device(&guest).tls_identity().unwrap());
    let recovered = guest.cli_with_input(&["recover", "--republish", "--yes", "-o", "json"], &words).unwrap();
    assert_eq!((recovered.code, &recovered.json()["standing"]), (0, &"member".into()), "{recovered:?}");
    let status = guest.cli(&["status", "-o", "json"]).unwrap();
    assert_eq!((status.code, &status.json()["own"]["live"]), (0, &2.into()), "{status:?}");
    wait_until_shown(host, &beds, "Raised beds");
    let robbed = runtime().block_on(dialled(host, &old));
    assert!(matches!(robbed, Err(DialError::RefusedByPeer { .. })), "{robbed:?}");
}

#[test]
fn an_organisation_moves_to_another_host_when_the_first_is_gone_and_keeps_identity_records_and_ids() {
    let mut cluster = Cluster::found(2).unwrap();
    let guest = Node::guest("Garden Group", &cluster.nodes[0]).unwrap().0;
    import(&guest, SHEET);
    let beds = record(&guest, "beds");
    let org = guest.json(&["id"]).unwrap()["organisation"].clone();
    wait_until_shown(&cluster.nodes[1], &beds, "Raised beds");
    // The second host sleeps while the guest publishes once more, and the first one vanishes for good with it.
    cluster.nodes[1].terminate().unwrap();
    import(&guest, &format!("{SHEET}service,seeds,Seed swap,Bring some.\n"));
    let seeds = record(&guest, "seeds");
    cluster.nodes[0].kill_nine();
    cluster.nodes[1].launch().unwrap();
    let host = &cluster.nodes[1];

    let alone = guest.cli(&["list"]).unwrap();
    assert_eq!(alone.code, 3, "{alone:?}");
    assert!(alone.stderr.contains("fingerpost move CODE"), "{alone:?}");
    let invite = host.invite().unwrap();
    assert_eq!(guest.cli(&["move", &invite, "--yes"]).unwrap().code, 2, "an invite is no host's code");
    let moved = guest.json(&["move", &host.host_code().unwrap(), "--yes"]).unwrap();
    assert_eq!((&moved["records"], &moved["handed_in"]), (&3.into(), &1.into()), "{moved}");
    assert_eq!(moved["organisation"], org);
    wait_until_shown(host, &seeds, "Seed swap");

    import(&guest, &SHEET.replace("Come in.", "Come in on Fridays."));
    wait_until_shown(host, &beds, "Come in on Fridays.");
    assert_eq!((record(&guest, "beds"), record(&guest, "seeds")), (beds, seeds));
    assert_eq!(guest.json(&["id"]).unwrap()["organisation"], org);
    assert_eq!(guest.json(&["why", org.as_str().unwrap()]).unwrap()["standing"], "member");
    assert_eq!(host.json(&["host", "list"]).unwrap()["organisations"][0]["organisation"], org);
}

#[test]
fn a_host_that_serves_an_old_backup_is_noticed_by_record_and_given_back_what_it_lacks() {
    let mut cluster = Cluster::found(1).unwrap();
    let guest = Node::guest("Garden Group", &cluster.nodes[0]).unwrap().0;
    import(&guest, SHEET);
    let beds = record(&guest, "beds");
    let store = cluster.nodes[0].home().join("store");
    let backup = cluster.nodes[0].home().join("backup");
    cluster.nodes[0].terminate().unwrap();
    copy_home(&store, &backup).unwrap();
    cluster.nodes[0].launch().unwrap();
    import(
        &guest,
        &format!("{}service,seeds,Seed swap,Bring some.\n", SHEET.replace("Come in.", "Moved to Mill Lane.")),
    );
    cluster.nodes[0].terminate().unwrap();
    restore_folder(&backup, &store).unwrap();
    cluster.nodes[0].launch().unwrap();
    let host = &cluster.nodes[0];
    wait_until_shown(host, &beds, "Come in.");

    let noticed = guest.cli(&["status"]).unwrap();
    assert_eq!(noticed.code, 1, "{noticed:?}");
    for said in ["Raised beds (service:beds) as of", "did not list Seed swap (service:seeds)", "fingerpost move CODE"] {
        assert!(noticed.stderr.contains(said), "{said}: {noticed:?}");
    }
    wait_until_shown(host, &beds, "Moved to Mill Lane.");
    let calm = guest.cli(&["status"]).unwrap();
    assert_eq!(calm.code, 0, "{calm:?}");
}
