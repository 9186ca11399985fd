//! Which handshakes succeed, and what a refused side learns.

use std::io;

use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::tls::{client_config, self_signed};
use super::*;

async fn connect_with(config: ClientConfig, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("node.fingerpost.invalid").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// Connects and reads what the server says first: bytes of HTTP/2, or the alert that refuses.
async fn first_answer(config: ClientConfig, address: SocketAddr) -> Result<usize, Option<AlertDescription>> {
    let answer = async {
        let mut stream = connect_with(config, address).await?;
        stream.read(&mut [0; 64]).await
    };
    match answer.await {
        Ok(0) => Err(None),
        Ok(count) => Ok(count),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) => Err(Some(*alert)),
            _ => Err(None),
        },
    }
}

/// Certificate of `shown`, private key of `held`.
fn mismatched(shown: u8, held: u8) -> TlsIdentity {
    TlsIdentity::from_parts(public(shown), self_signed(&key(shown), &public(shown)).unwrap(), &key(held))
}

#[tokio::test]
async fn both_sides_know_each_other_and_handlers_see_who_calls() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    host.invite(3, Admitted::Invitee);
    let member = host.dial(2).await.unwrap();
    let invitee = host.dial(3).await.unwrap();
    assert_eq!(who_am_i(member).await.unwrap(), (public(2).as_bytes().to_vec(), 1));
    assert_eq!(who_am_i(invitee).await.unwrap(), (public(3).as_bytes().to_vec(), 2));
    assert_eq!(host.counts().admitted, 2);
}

/// Connects with OpenSSL, showing the key in `home` and a certificate that OpenSSL made of it. Returns the first bytes
/// of HTTP/2, or `None` when there is no OpenSSL here.
fn openssl_first_bytes(home: &std::path::Path, address: SocketAddr) -> Option<Vec<u8>> {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let openssl = || {
        let mut command = Command::new("openssl");
        command.current_dir(home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    let request = ["req", "-x509", "-new", "-key", "node.key", "-subj", "/CN=another", "-days", "1", "-out", "c.pem"];
    assert!(openssl().args(request).status().ok()?.success(), "OpenSSL reads the key file");
    let address = address.to_string();
    let connect = ["s_client", "-connect", &address, "-tls1_3", "-alpn", "h2", "-quiet", "-ign_eof"];
    let mut client = openssl().args(connect).args(["-cert", "c.pem", "-key", "node.key"]).spawn().ok()?;
    let mut first = vec![0; 9];
    let read = client.stdout.take().unwrap().read_exact(&mut first);
    client.kill().unwrap();
    client.wait().unwrap();
    read.map(|()| first).ok()
}

#[tokio::test]
async fn a_client_of_another_tls_stack_is_admitted_by_its_key_alone() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no openssl command here");
        return;
    }
    let host = Host::start(ListenerLimits::default()).await;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let home = tempfile::Builder::new().permissions(private).tempdir().unwrap();
    let node_key = NodeKey::load_or_create(home.path()).unwrap();
    host.guests.0.lock().unwrap().insert(node_key.public(), (Admitted::Member, fingerpost_proto::id::OrgId([2; 32])));
    let (path, address) = (home.path().to_owned(), host.address);
    let first = tokio::task::spawn_blocking(move || openssl_first_bytes(&path, address)).await.unwrap();
    // Length, type 4 (SETTINGS), no flags, stream 0.
    let first = first.expect("OpenSSL was admitted and read a frame");
    assert_eq!(first[3..], [4, 0, 0, 0, 0, 0], "{first:02x?}");
    assert_eq!(host.counts().admitted, 1);
}

#[test]
fn the_key_stands_in_the_certificate_as_in_the_specification_s_example() {
    let certificate = self_signed(&key(1), &public(1)).unwrap();
    let spki = rustls::server::ParsedCertificate::try_from(&certificate).unwrap().subject_public_key_info();
    let hex: String = spki.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    assert_eq!(hex, format!("302a300506032b6570032100{key}"));
    assert_eq!(super::super::tls::key_of(&certificate).unwrap().to_string(), key);
}

/// Puts bytes into a certificate that the protocol's own key type would not take.
struct Bytes(&'static rcgen::SignatureAlgorithm, Vec<u8>);

impl rcgen::PublicKeyData for Bytes {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0
    }
}

impl rcgen::SigningKey for Bytes {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0; 64])
    }
}

#[test]
fn weak_keys_and_keys_of_other_kinds_are_refused_in_a_certificate() {
    let good = public(1).as_bytes().to_vec();
    let mut small_order = vec![0; 32];
    small_order[0] = 1;
    let accepted = |algorithm, bytes| {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.serial_number = Some(rcgen::SerialNumber::from(7_u64));
        let certificate = parameters.self_signed(&Bytes(algorithm, bytes)).unwrap();
        super::super::tls::key_of(certificate.der()).is_ok()
    };
    assert!(accepted(&rcgen::PKCS_ED25519, good.clone()), "nobody checks the certificate's own signature");
    assert!(!accepted(&rcgen::PKCS_ED25519, small_order));
    assert!(!accepted(&rcgen::PKCS_ED25519, good[..31].to_vec()));
    assert!(!accepted(&rcgen::PKCS_ED25519, [good.as_slice(), &[0]].concat()));
    assert!(!accepted(&rcgen::PKCS_ECDSA_P256_SHA256, good));
}

#[tokio::test]
async fn a_link_carries_frames_both_ways() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let sent: Vec<RawFrame> = (0..100).map(|length| RawFrame::from(vec![7; length])).collect();
    let mut client = PeerClient::new(host.dial(2).await.unwrap());
    let replies = client.link(tokio_stream::iter(sent.clone())).await.unwrap().into_inner();
    let echoed: Vec<RawFrame> = replies.map(Result::unwrap).collect().await;
    assert_eq!(echoed, sent);
}

#[tokio::test]
async fn an_unknown_client_learns_that_its_key_is_refused_and_never_reaches_http2() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    for _ in 0..20 {
        let error = host.dial(9).await.unwrap_err();
        assert!(matches!(&error, DialError::RefusedByPeer { own, .. } if *own == public(9)), "{error:?}");
        assert!(error.to_string().contains(&public(9).to_string()), "{error}");
        assert!(error.to_string().contains("does not know this node's key"), "{error}");
    }
    until("20 refusals counted", || host.counts().refused_key == 20).await;
    assert_eq!((host.counts().admitted, host.calls()), (0, 0));
    until("no seat is left taken", || host.control.connections() == 0).await;
}

#[tokio::test]
async fn a_refused_client_sees_access_denied_on_the_wire() {
    let host = Host::start(ListenerLimits::default()).await;
    let config = client_config(&identity(9), public(1), true);
    assert_eq!(first_answer(config, host.address).await, Err(Some(AlertDescription::AccessDenied)));
}

#[tokio::test]
async fn a_refused_client_may_finish_what_it_was_sending() {
    let host = Host::start(ListenerLimits::default()).await;
    let mut stream = connect_with(client_config(&identity(9), public(1), true), host.address).await.unwrap();
    until("the refusal is counted", || host.counts().refused_key == 1).await;
    // A closed socket would answer the first bytes with a reset, which on many systems takes the alert with it.
    for _ in 0..3 {
        stream.get_mut().0.write_all(&[0; 100]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stream.read(&mut [0; 64]).await.unwrap_err().to_string().contains("AccessDenied"));
}

#[tokio::test]
async fn a_refusal_is_understood_even_when_the_server_resets_the_connection() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let nobody: Arc<dyn Admission> = Arc::new(Guests::default());
        loop {
            let config = super::super::tls::server_config(&identity(1), &nobody, &Arc::default());
            let (stream, _) = socket.accept().await.unwrap();
            let accept = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream);
            let (_, stream) = accept.into_fallible().await.unwrap_err();
            stream.set_zero_linger().unwrap();
        }
    });
    for _ in 0..50 {
        let error = dial(&address, public(1), &identity(9), PATIENCE).await.unwrap_err();
        assert!(matches!(error, DialError::RefusedByPeer { .. }), "{error:?}");
    }
    server.abort();
}

#[tokio::test]
async fn a_server_with_another_key_is_reported_with_both_keys() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let error = dial(&host.address.to_string(), public(7), &identity(2), PATIENCE).await.unwrap_err();
    assert!(
        matches!(&error, DialError::WrongKey { expected, found, .. } if *expected == public(7) && *found == public(1)),
        "{error:?}"
    );
    until("the failure is counted", || host.counts().handshake_failures == 1).await;
    assert_eq!(host.counts().admitted, 0);
}

#[tokio::test]
async fn a_client_that_shows_a_member_s_certificate_without_its_key_is_refused() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let config = client_config(&mismatched(2, 9), public(1), true);
    assert_eq!(first_answer(config, host.address).await, Err(Some(AlertDescription::DecryptError)));
    until("the failure is counted", || host.counts().handshake_failures == 1).await;
    assert_eq!((host.counts().admitted, host.counts().refused_key), (0, 0));
}

#[tokio::test]
async fn a_server_that_shows_a_member_s_certificate_without_its_key_is_refused() {
    let host = Host::start_with(ListenerLimits::default(), mismatched(1, 9), Mirror::default()).await;
    host.invite(2, Admitted::Member);
    let error = host.dial(2).await.unwrap_err();
    assert!(matches!(error, DialError::Handshake { .. }), "{error:?}");
    assert_eq!(host.counts().admitted, 0);
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let host = Host::start(ListenerLimits::default()).await;
    let mut config = client_config(&identity(2), public(1), true);
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    assert_eq!(first_answer(config, host.address).await, Err(Some(AlertDescription::CertificateRequired)));
    assert_eq!(host.counts().admitted, 0);
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A ClientHello as a TLS 1.2 client sends it: no `supported_versions`. Written out by hand because the version of TLS
/// that must be refused is not even compiled in.
fn client_hello_tls12() -> Vec<u8> {
    let extensions: &[u8] = &[
        0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d, // supported_groups: x25519
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // ec_point_formats: uncompressed
        0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x08, 0x07, 0x04, 0x03, // signature_algorithms: ed25519, ecdsa p256
        0x00, 0x17, 0x00, 0x00, // extended_master_secret
    ];
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    // No session id; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
    body.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((length + 4).to_be_bytes());
    record.extend([0x01, 0x00]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}

#[tokio::test]
async fn a_tls12_client_is_told_that_its_version_is_refused() {
    let host = Host::start(ListenerLimits::default()).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(&client_hello_tls12()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // A fatal alert (21), description protocol_version (70).
    assert_eq!((answer[0], &answer[5..]), (21, [2, 70].as_slice()), "{answer:02x?}");
    until("the failure is counted", || host.counts().handshake_failures == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_h2_is_not_served() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let mut config = client_config(&identity(2), public(1), true);
    config.alpn_protocols = Vec::new();
    assert_eq!(first_answer(config.clone(), host.address).await, Err(None));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let answer = first_answer(config, host.address).await;
    assert_eq!(answer, Err(Some(AlertDescription::NoApplicationProtocol)));
    assert_eq!(host.counts().admitted, 0);
}

#[tokio::test]
async fn a_client_that_is_no_longer_admitted_cannot_come_back_by_resuming_a_session() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let mut config = client_config(&identity(2), public(1), true);
    config.resumption = Resumption::in_memory_sessions(8);
    for _ in 0..3 {
        let mut stream = connect_with(config.clone(), host.address).await.unwrap();
        // Tickets would come before the first bytes of HTTP/2.
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
    }
    host.uninvite(2);
    assert_eq!(first_answer(config, host.address).await, Err(Some(AlertDescription::AccessDenied)));
}

#[tokio::test]
async fn a_connection_of_a_key_that_is_no_longer_admitted_is_cut_and_others_stay() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    host.invite(3, Admitted::Member);
    let leaving = host.dial(2).await.unwrap();
    let staying = host.dial(3).await.unwrap();
    who_am_i(leaving.clone()).await.unwrap();
    host.uninvite(2);
    assert_eq!(host.control.recheck(), 1);
    until("the connection is closed", || host.control.connections() == 1).await;
    assert!(who_am_i(leaving).await.is_err());
    who_am_i(staying).await.unwrap();
    assert_eq!(host.counts().cut, 1);
}

#[tokio::test]
async fn a_channel_does_not_connect_again_by_itself() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let channel = host.dial(2).await.unwrap();
    host.uninvite(2);
    host.control.recheck();
    until("the connection is closed", || host.control.connections() == 0).await;
    host.invite(2, Admitted::Member);
    for _ in 0..3 {
        assert!(who_am_i(channel.clone()).await.is_err());
    }
    assert_eq!(host.counts().accepted, 1, "nobody connected a second time");
    who_am_i(host.dial(2).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_name_is_resolved_and_a_closed_port_is_unreachable() {
    let host = Host::start(ListenerLimits::default()).await;
    host.invite(2, Admitted::Member);
    let named = format!("localhost:{}", host.address.port());
    who_am_i(dial(&named, public(1), &identity(2), PATIENCE).await.unwrap()).await.unwrap();

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = dial(&closed.to_string(), public(1), &identity(2), PATIENCE).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anything_is_looked_up() {
    let long = format!("{}:7474", "a".repeat(262));
    for bad in ["", "host", "host:", ":7474", "host:0", "host:70000", "::1:7474", "[::1:7474", "a b:1", "a\n:1", &long]
    {
        let error = dial(bad, public(1), &identity(2), PATIENCE).await.unwrap_err();
        assert!(matches!(error, DialError::BadAddress { .. }), "{bad:?}: {error:?}");
        assert!(!error.to_string().contains('\n'), "foreign text is escaped");
    }
}

#[tokio::test]
async fn something_that_is_no_node_is_called_so() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let web_server = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = dial(&address, public(1), &identity(2), PATIENCE).await.unwrap_err();
    assert!(matches!(error, DialError::NotTls { .. }), "{error:?}");
    web_server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let started = std::time::Instant::now();
    let error = dial(&address, public(1), &identity(2), Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, DialError::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_hangs_up_is_reported_as_closed() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move { drop(socket.accept().await.unwrap()) });
    let error = dial(&address, public(1), &identity(2), PATIENCE).await.unwrap_err();
    assert!(matches!(error, DialError::Closed { .. }), "{error:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_finishes_the_handshake_and_then_says_nothing_is_given_up() {
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = host.local_addr().unwrap().to_string();
    let guests = Arc::new(Guests::default());
    guests.0.lock().unwrap().insert(public(2), (Admitted::Member, fingerpost_proto::id::OrgId([2; 32])));
    let admission: Arc<dyn Admission> = guests;
    let server = tokio::spawn(async move {
        let config = super::super::tls::server_config(&identity(1), &admission, &Arc::default());
        let (stream, _) = host.accept().await.unwrap();
        let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = dial(&address, public(1), &identity(2), Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(error, DialError::Timeout { step, .. } if step.contains("first answer")), "{error:?}");
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
}
