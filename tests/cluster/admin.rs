//! The admin socket: who may use it, and what is on it besides the Admin service.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use fingerpost_tests::cluster::{Cluster, Node};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

async fn channel(node: &Node) -> Channel {
    let stream = Arc::new(Mutex::new(Some(UnixStream::connect(node.socket()).await.unwrap())));
    let connector = tower::service_fn(move |_| {
        let stream = stream.lock().unwrap().take();
        async move { stream.map(TokioIo::new).ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    Endpoint::from_static("http://node.invalid").connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn health_and_reflection_answer_on_the_admin_socket() {
    let cluster = Cluster::found(1).unwrap();
    let channel = channel(&cluster.nodes[0]).await;
    for service in ["", "fingerpost.v1.Admin"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let health = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
        assert_eq!(health.status().as_str_name(), "SERVING", "{service:?}");
    }
    let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let requests = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("fingerpost.v1.Admin".to_owned())),
    ]);
    let mut replies = ServerReflectionClient::new(channel).server_reflection_info(requests).await.unwrap().into_inner();
    let first = replies.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = first else { panic!("{first:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"fingerpost.v1.Admin") && names.contains(&"grpc.health.v1.Health"), "{names:?}");
    let second = replies.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(second, MessageResponse::FileDescriptorResponse(_)), "{second:?}");
}

#[test]
fn the_admin_socket_is_closed_to_other_users() {
    let node = Node::start("Closed").unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.socket()), 0o600);
    assert_eq!(mode(node.home()), 0o700);
    assert_eq!(mode(&node.home().join("node.key")), 0o600);
    assert_eq!(mode(&node.home().join("store")), 0o700);
}

#[test]
fn a_home_that_others_may_read_is_refused_with_the_command_that_closes_it() {
    let mut node = Node::prepare("Open", &Default::default()).unwrap();
    std::fs::set_permissions(node.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = node.launch().unwrap_err().to_string();
    assert!(refused.contains("others may read it") && refused.contains("chmod 700"), "{refused}");
}

#[test]
fn who_sees_names_the_members_that_would_read_a_record_and_the_fields_that_tell_a_place() {
    let cluster = Cluster::found(2).unwrap();
    let [first, second] = &cluster.nodes[..] else { panic!("two nodes") };
    let csv = "kind,id,audience,name,description,organisation,role,phone\norganisation,lantern,members,Lantern,Helps.,,owner,\n\
               service,line,members,Case line,By phone.,lantern,owner,0115 496 0123\n";
    let imported = first.import(csv).unwrap();
    assert_eq!(imported.code, 0, "{imported:?}");
    let seen = first.json(&["who-sees", "service:line"]).unwrap();
    assert_eq!((&seen["audience"], &seen["anybody"]), (&"members".into(), &false.into()));
    assert_eq!(seen["members"].as_array().unwrap().len(), 2);
    assert_eq!(seen["records"][0]["tells"], serde_json::json!(["phones.number"]));
    first.ok(&["block", second.name(), "--yes"]).unwrap();
    let would = first.ok(&["who-sees", "--audience", "members"]).unwrap().stdout;
    assert!(would.contains("2 organisations") && would.contains("blocked here"), "{would}");
    assert!(!would.contains("0115"), "{would}");
    let would = first.json(&["who-sees", "--audience", "public"]).unwrap();
    assert_eq!((&would["anybody"], &would["members"]), (&true.into(), &serde_json::json!([])));
}
