//! What a stranger, or a hostile member, can occupy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn limits() -> ListenerLimits {
    ListenerLimits { handshake_deadline: Duration::from_millis(400), ..ListenerLimits::default() }
}

/// Whether the server closes this silent connection within `patience`.
async fn is_closed(stream: &mut TcpStream, patience: Duration) -> bool {
    match tokio::time::timeout(patience, stream.read(&mut [0; 16])).await {
        Ok(Ok(count)) => count == 0,
        Ok(Err(_)) => true,
        Err(_) => false,
    }
}

#[tokio::test]
async fn silent_connections_are_closed_at_the_deadline_and_honest_ones_succeed_meanwhile() {
    let host = Host::start(limits()).await;
    host.invite(2, Admitted::Member);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(host.address).await.unwrap());
    }
    // One that starts a handshake and then stalls is no better.
    silent[0].write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
    who_am_i(host.dial(2).await.unwrap()).await.unwrap();
    for stream in &mut silent {
        assert!(is_closed(stream, PATIENCE).await);
    }
    until("20 timeouts counted", || host.counts().handshake_timeouts == 20).await;
}

#[tokio::test]
async fn a_connection_that_sends_a_byte_now_and_then_is_closed_at_the_same_deadline() {
    let host = Host::start(limits()).await;
    let mut slow = TcpStream::connect(host.address).await.unwrap();
    let started = std::time::Instant::now();
    slow.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    while slow.write_all(&[1]).await.is_ok() && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(host.counts().admitted, 0);
}

#[tokio::test]
async fn the_last_pending_handshake_is_taken_and_the_next_is_closed_at_once() {
    let host = Host::start(ListenerLimits { pending_handshakes_max: 3, ..ListenerLimits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(host.address).await.unwrap());
    }
    until("three are pending", || host.counts().accepted == 3).await;
    assert_eq!(host.counts().refused_limit, 0);
    let mut next = TcpStream::connect(host.address).await.unwrap();
    assert!(is_closed(&mut next, Duration::from_secs(3)).await, "well before the handshake deadline of 5 s");
    assert_eq!(host.counts().refused_limit, 1);
    // As soon as one of them is gone there is room again.
    host.invite(2, Admitted::Member);
    held.pop();
    until("a seat is free", || host.counts().handshake_failures == 1).await;
    who_am_i(host.dial(2).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_last_connection_of_an_address_is_taken_and_the_next_is_refused() {
    let host = Host::start(ListenerLimits { connections_per_address_max: 3, ..ListenerLimits::default() }).await;
    let mut links = Vec::new();
    for seed in 2..5 {
        host.invite(seed, Admitted::Member);
        links.push(host.dial(seed).await.unwrap());
    }
    host.invite(5, Admitted::Member);
    let error = host.dial(5).await.unwrap_err();
    assert!(matches!(error, DialError::Closed { .. }), "{error:?}");
    assert!(error.to_string().contains("try again later"), "{error}");
    links.pop();
    until("the seat is free again", || host.control.connections() == 2).await;
    who_am_i(host.dial(5).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_last_connection_of_a_key_is_taken_and_the_next_is_refused() {
    let host = Host::start(ListenerLimits { connections_per_key_max: 2, ..ListenerLimits::default() }).await;
    host.invite(2, Admitted::Member);
    host.invite(3, Admitted::Member);
    let _links = [host.dial(2).await.unwrap(), host.dial(2).await.unwrap()];
    let error = host.dial(2).await.unwrap_err();
    assert!(matches!(error, DialError::Closed { .. }), "{error:?}");
    who_am_i(host.dial(3).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn connections_of_one_organisation_leave_room_for_others_and_an_idle_one_is_cut() {
    let idle_deadline = Duration::from_millis(600);
    let limits = ListenerLimits { connections_per_organisation_max: 2, idle_deadline, ..ListenerLimits::default() };
    let host = Host::start(limits).await;
    for seed in 2..5 {
        host.invite_of(seed, Admitted::Member, fingerpost_proto::id::OrgId([9; 32]));
    }
    host.invite(5, Admitted::Member);
    let idle = host.dial(2).await.unwrap();
    let used = host.dial(3).await.unwrap();
    let (frames, requests) = tokio::sync::mpsc::channel::<RawFrame>(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut replies = PeerClient::new(used).link(requests).await.unwrap().into_inner();
    assert!(matches!(host.dial(4).await, Err(DialError::Closed { .. })), "two of one organisation are enough");
    who_am_i(host.dial(5).await.unwrap()).await.unwrap();
    until("the idle ones are cut", || host.control.connections() == 1).await;
    // A link without a frame is in use all the same.
    tokio::time::sleep(2 * idle_deadline).await;
    frames.send(RawFrame::default()).await.unwrap();
    assert_eq!(replies.message().await.unwrap(), Some(RawFrame::default()));
    assert!(who_am_i(idle).await.is_err());
    who_am_i(host.dial(4).await.unwrap()).await.unwrap();
    // When its last stream has ended, it is idle.
    drop((frames, replies));
    until("the rest is cut", || host.control.connections() == 0).await;
}

#[tokio::test]
async fn the_last_connection_of_all_is_taken_and_the_next_is_refused() {
    let host = Host::start(ListenerLimits { connections_max: 2, ..ListenerLimits::default() }).await;
    for seed in 2..5 {
        host.invite(seed, Admitted::Member);
    }
    let mut links = vec![host.dial(2).await.unwrap(), host.dial(3).await.unwrap()];
    assert!(matches!(host.dial(4).await, Err(DialError::Closed { .. })));
    links.pop();
    until("a seat is free again", || host.control.connections() == 1).await;
    who_am_i(host.dial(4).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_stopped_listener_drops_unfinished_handshakes_and_frees_its_port() {
    let host = Host::start(ListenerLimits::default()).await;
    let mut pending = TcpStream::connect(host.address).await.unwrap();
    until("it is accepted", || host.counts().accepted == 1).await;
    host.control.stop();
    assert!(is_closed(&mut pending, Duration::from_secs(3)).await);
    port_is_free(host.address).await;
    tokio::time::timeout(PATIENCE, host.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_node_that_shuts_down_finishes_the_calls_in_progress_and_takes_no_new_ones() {
    for by_listener in [true, false] {
        let mut host = Host::start(ListenerLimits::default()).await;
        host.invite(2, Admitted::Member);
        let channel = host.dial(2).await.unwrap();
        let (frames, requests) = tokio::sync::mpsc::channel::<RawFrame>(4);
        let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
        let mut replies = PeerClient::new(channel.clone()).link(requests).await.unwrap().into_inner();
        match by_listener {
            true => host.control.stop(),
            false => host.shutdown.take().unwrap().send(()).unwrap(),
        }
        port_is_free(host.address).await;
        frames.send(RawFrame::default()).await.unwrap();
        assert_eq!(replies.message().await.unwrap(), Some(RawFrame::default()));
        drop(frames);
        assert_eq!(replies.message().await.unwrap(), None);
        assert!(who_am_i(channel).await.is_err());
        tokio::time::timeout(PATIENCE, host.task).await.unwrap().unwrap().unwrap();
    }
}

async fn port_is_free(address: SocketAddr) {
    let freed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("the socket is closed");
}

/// A client's connection preface with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// An admitted connection whose HTTP/2 is up to the test.
async fn admitted(host: &Host, seed: u8) -> tokio_rustls::client::TlsStream<TcpStream> {
    let config = super::super::tls::client_config(&identity(seed), public(1), false);
    let name = rustls::pki_types::ServerName::try_from("node.fingerpost.invalid").unwrap();
    let socket = TcpStream::connect(host.address).await.unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    until("it has a seat", || host.control.connections() == 1).await;
    stream
}

async fn time_until_no_seat_is_taken(host: &Host) -> Duration {
    let started = std::time::Instant::now();
    until("the connection is closed", || host.control.connections() == 0).await;
    started.elapsed()
}

#[tokio::test]
async fn the_server_announces_the_limits_of_the_specification() {
    let host = Host::start(limits()).await;
    host.invite(2, Admitted::Member);
    let mut stream = admitted(&host, 2).await;
    let mut header = [0; 9];
    stream.read_exact(&mut header).await.unwrap();
    assert_eq!(header[3], 4, "SETTINGS first");
    let mut settings = vec![0; usize::from(header[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let value = |number: u8| {
        let setting = settings.chunks(6).find(|setting| setting[..2] == [0, number]).expect("it is announced");
        u32::from_be_bytes(setting[2..].try_into().unwrap())
    };
    // Numbers of RFC 9113, section 6.5.2: streams, stream window, frame size, header list. The frame size may be left
    // out because it is the protocol's own lowest value.
    assert_eq!((value(3), value(4), value(6)), (32, 65_536, 8_192));
    assert!(settings.chunks(6).all(|setting| setting[..2] != [0, 5] || setting[2..] == [0, 0, 0x40, 0]));
    // Once the client has begun, the window of the connection follows, on top of the 65,535 that every connection has.
    stream.write_all(PREFACE).await.unwrap();
    let increment = loop {
        stream.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; usize::from(header[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if header[3] == 8 {
            break payload;
        }
    };
    assert_eq!(increment, (262_144_u32 - 65_535).to_be_bytes());
}

#[tokio::test]
async fn an_admitted_peer_that_does_not_begin_http2_loses_its_seat() {
    let host = Host::start(limits()).await;
    host.invite(2, Admitted::Member);
    for beginning in ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut stream = admitted(&host, 2).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert!(time_until_no_seat_is_taken(&host).await < Duration::from_secs(4));
    }
}

#[tokio::test]
async fn an_admitted_peer_that_answers_no_keepalive_loses_its_seat() {
    let host = Host::start(ListenerLimits { idle_deadline: 10 * PATIENCE, ..limits() }).await;
    host.invite(2, Admitted::Member);
    let mut stream = admitted(&host, 2).await;
    // Nothing more after this, not even answers to pings.
    stream.write_all(PREFACE).await.unwrap();
    let taken = time_until_no_seat_is_taken(&host).await;
    assert!(taken > limits().handshake_deadline, "a peer that began HTTP/2 has longer: {taken:?}");
    assert!(taken <= KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT + Duration::from_secs(3), "{taken:?}");
}
