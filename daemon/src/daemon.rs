//! Starts and stops a node: the one place where its parts meet.
//!
//! In: a home directory and a configuration. Out: a running node, until [`Daemon::stop`].
//! Always: the store is open and the node restored before anything listens; everything that listens is closed before
//! the store is.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fingerpost_proto::id::{NetworkId, OrgId};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::admin::{About, AdminService, AdminSocket, AdminSocketError, HostService, MESSAGE_BYTES_MAX};
use crate::catalogue::Catalogue;
use crate::clock;
use crate::config::Config;
use crate::driver::{AdmittedKeys, Command, DIALS_MAX, Driver, DriverHandle, Parts, RestoreError, TICK_INTERVAL};
use crate::feed::{self, FeedSettings, router};
use crate::incarnation::Incarnation;
use crate::link::{Dialler, PeerService, follow};
use crate::mirror::{MirrorError, MirrorSources};
use crate::rate::Rate;
use crate::rpc::admin_server::AdminServer;
use crate::rpc::host_server::HostServer;
use crate::rpc::peer_server::PeerServer;
use crate::store::{DiskOptions, Opened, SledStore, Store, StoreError};
use crate::transport::{
    Admission, Admitted, ListenError, Listener, ListenerControl, ListenerLimits, NodeKey, NodeKeyError, TlsError,
    TlsIdentity, server_builder,
};
use crate::verifier::Verifier;

/// Folder of the store in the home directory.
pub(crate) const STORE_FOLDER: &str = "store";
/// What listens is given so long to finish when the node stops.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Why the daemon did not start. Nothing listens then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home directory cannot be made or is open to others.
    #[error("home directory {}: {reason}", path.display())]
    Home {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The node key.
    #[error(transparent)]
    NodeKey(#[from] NodeKeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node could not be built from its store.
    #[error("{0}")]
    Restore(String),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port for links.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The port for the feed.
    #[error("cannot serve the feed on {address}: {source}; choose another feed.listen in fingerpostd.toml")]
    Feed {
        /// Configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The admin socket.
    #[error(transparent)]
    AdminSocket(#[from] AdminSocketError),
    /// The mirror's sources.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The mirror's store is of another network than its sources.
    #[error(
        "this mirror's store has network {stored}, its codes are for {wanted}; give the other network another --home"
    )]
    OtherNetwork {
        /// What was mirrored so far.
        stored: NetworkId,
        /// What the codes are for.
        wanted: NetworkId,
    },
    /// Threads or randomness.
    #[error("the system refused: {0}")]
    System(String),
}

impl From<RestoreError> for StartError {
    fn from(error: RestoreError) -> StartError {
        StartError::Restore(error.to_string())
    }
}

/// A running node.
pub struct Daemon {
    driver: DriverHandle,
    driver_thread: std::thread::JoinHandle<()>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    listener: Option<ListenerControl>,
    about: Arc<About>,
    feed_address: Option<SocketAddr>,
    peer_address: Option<SocketAddr>,
    home: PathBuf,
}

struct KeyTable(AdmittedKeys);

impl Admission for KeyTable {
    fn admit(&self, key: &PublicKey) -> Option<Admitted> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).map(|(admitted, _)| *admitted)
    }

    fn organisation(&self, key: &PublicKey) -> Option<OrgId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).map(|(_, org)| *org)
    }
}

impl Daemon {
    /// Starts a node in `home`, which is made when it is absent. Returns when everything listens.
    pub async fn start(home: &Path, config: &Config) -> Result<Daemon, StartError> {
        prepare_home(home)?;
        let mirror = MirrorSources::load(home)?;
        let key = NodeKey::load_or_create(home)?;
        let own_key = key.public();
        let identity = TlsIdentity::new(key.signing_key())?;
        let fault = |error: std::io::Error| StartError::Home { path: home.to_owned(), reason: error.to_string() };
        let incarnation = Incarnation::load_or_draw(home, random_number()? as u32).map_err(fault)?;
        let (store, mut opened) = open_store(home, config).await?;
        let warnings = tell(&opened);

        let (driver, commands) = DriverHandle::new();
        let reader = store.reader();
        let losses = driver.clone();
        let catalogue = Catalogue::new(Arc::clone(&reader), move |slot| losses.report_lost(slot));
        let admitted = AdmittedKeys::default();
        let (members_changed, members) = watch::channel(0);
        let verifier = Verifier::start(driver.clone()).map_err(|error| StartError::System(error.to_string()))?;
        let configured = configured_peers(config, mirror.as_ref());
        let (dials, dial_requests) = mpsc::channel(DIALS_MAX);
        let parts = Parts {
            store: Box::new(store),
            catalogue: catalogue.clone(),
            verifier,
            admitted: Arc::clone(&admitted),
            own_key,
            signing_key: key.signing_key().clone(),
            incarnation,
            dials,
            introduced: configured.iter().map(|(peer, _)| *peer).collect(),
            members_changed,
            is_mirror: mirror.is_some(),
            seed: random_number()?,
            index: opened.index.take(),
        };
        let (ready, restored) = oneshot::channel();
        let driver_thread = std::thread::Builder::new()
            .name("driver".to_owned())
            .spawn(move || match Driver::new(parts) {
                Ok(driver) => {
                    let _ = ready.send(Ok(()));
                    driver.run(commands);
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .map_err(|error| StartError::System(error.to_string()))?;
        restored.await.map_err(|_| StartError::System("the driver's thread ended".to_owned()))??;

        let (stop, stopping) = watch::channel(false);
        let mut tasks = Vec::new();
        let mut listener = None;
        let mut peer_address = None;
        // Nobody dials a mirror.
        let bound = if let Some(address) = config.peer.listen.filter(|_| mirror.is_none()) {
            let admission = Arc::new(KeyTable(Arc::clone(&admitted)));
            let bound = Listener::bind(address, identity.clone(), admission, ListenerLimits::default()).await?;
            peer_address = Some(bound.local_address());
            let control = bound.control();
            tasks.push(tokio::spawn(recheck_peers(control.clone(), members, stopping.clone())));
            listener = Some(control);
            Some(bound)
        } else {
            None
        };
        let feed_address = match config.feed.listen {
            Some(address) => {
                let socket = TcpListener::bind(address).await.map_err(|source| StartError::Feed { address, source })?;
                let local = socket.local_addr().map_err(|source| StartError::Feed { address, source })?;
                let routes = router(Arc::new(catalogue.clone()), feed_settings(config));
                let (burst, per_second) = (config.feed.requests_at_once, config.feed.requests_per_second);
                let requests = (burst > 0).then_some(Rate::new(burst, per_second));
                tasks.push(tokio::spawn(feed::serving::serve(socket, routes, requests, stopping.clone())));
                Some(local)
            }
            None => None,
        };
        let is_mirror = mirror.is_some();
        if let Some(sources) = mirror {
            let wanted = sources.network;
            let stored = driver.look(|view| view.node.map(|node| node.network())).await;
            match stored.map_err(|error| StartError::System(error.to_string()))? {
                Some(stored) if stored != wanted => return Err(StartError::OtherNetwork { stored, wanted }),
                Some(_) => {}
                None => {
                    let following = follow(driver.clone(), identity.clone(), sources, stopping.clone());
                    tasks.push(tokio::spawn(following));
                }
            }
        }
        let dialler = Dialler::new(driver.clone(), identity, configured);
        let inviter = driver.look(move |view| view.inviter_to_dial(&own_key)).await;
        if let Some((peer, addresses)) = inviter.map_err(|error| StartError::System(error.to_string()))? {
            dialler.introduce(peer, addresses).await.map_err(|error| StartError::System(error.to_string()))?;
        }
        let about = Arc::new(About {
            node_key: *own_key.as_bytes(),
            started_ms: clock::now_ms(),
            peer_address: peer_address.map(|address| address.to_string()).unwrap_or_default(),
            feed_url: feed_address.map(|address| format!("http://{address}")).unwrap_or_default(),
            addresses: if is_mirror { Vec::new() } else { advertised(config, peer_address) },
            is_mirror,
            warnings,
        });
        let admin = Arc::new(AdminService {
            driver: driver.clone(),
            reader: Arc::clone(&reader),
            catalogue,
            dialler: dialler.clone(),
            about: Arc::clone(&about),
        });
        if let Some(bound) = bound {
            tasks.push(tokio::spawn(serve_peers(bound, driver.clone(), reader, Arc::clone(&admin), stopping.clone())));
        }
        let socket = AdminSocket::bind(home)?;
        tasks.push(tokio::spawn(serve_admins(socket, admin, stopping.clone())));
        tasks.push(tokio::spawn(dialler.run(dial_requests, stopping.clone())));
        tasks.push(tokio::spawn(tick(driver.clone(), stopping)));
        tracing::info!(
            node_key = %own_key,
            links = about.peer_address,
            feed = about.feed_url,
            home = %home.display(),
            "node is running"
        );
        let home = home.to_owned();
        Ok(Daemon { driver, driver_thread, stop, tasks, listener, about, feed_address, peer_address, home })
    }

    /// `http://address:port` of the feed; `None` when it is switched off.
    pub fn feed_url(&self) -> Option<String> {
        self.feed_address.map(|address| format!("http://{address}"))
    }

    /// Address on which other nodes reach this one; `None` for a node that only dials.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Path of the admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.home.join(crate::admin::SOCKET_FILE)
    }

    /// Public part of the node key.
    pub fn node_key(&self) -> [u8; 32] {
        self.about.node_key
    }

    /// Rewrites the store in key order, which gives dead space back. Returns bytes on disk before and after.
    pub async fn compact(&self) -> Result<(u64, u64), String> {
        let before = self.driver.look(|view| view.store.usage().map(|usage| usage.disk_bytes)).await;
        let before = before.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let (reply, answer) = oneshot::channel();
        self.driver.send(Command::Compact { reply }).await.map_err(|error| error.to_string())?;
        let after = answer.await.map_err(|error| error.to_string())??;
        Ok((before, after.disk_bytes))
    }

    /// Says goodbye to peers, finishes what is under way, closes the store.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        if self.driver.send(Command::Stop { done }).await.is_ok() {
            let _ = stopped.await;
        }
        self.stop.send_replace(true);
        if let Some(listener) = &self.listener {
            listener.stop();
        }
        for mut task in self.tasks {
            if tokio::time::timeout(STOP_WAIT, &mut task).await.is_err() {
                task.abort();
            }
        }
        let _ = tokio::task::spawn_blocking(move || self.driver_thread.join()).await;
        tracing::info!("node has stopped");
    }
}

/// The home holds keys: it is made for its owner alone, and refused when others may look into it.
pub(crate) fn prepare_home(home: &Path) -> Result<(), StartError> {
    let fault = |reason: String| StartError::Home { path: home.to_owned(), reason };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(home).map_err(|error| fault(error.to_string()))?;
    let mode = fs::metadata(home).map_err(|error| fault(error.to_string()))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(fault(format!("others may read it (mode {mode:o}); run: chmod 700 {}", home.display())));
    }
    Ok(())
}

/// Nodes that the operator named: a mirror's sources, or those of the configuration.
fn configured_peers(config: &Config, mirror: Option<&MirrorSources>) -> Vec<(PublicKey, String)> {
    if let Some(mirror) = mirror {
        let of = |code: &fingerpost_proto::network::mirror_code::MirrorCode| {
            let key = code.node_key;
            code.addresses.clone().into_iter().map(move |address| (key, address))
        };
        return mirror.sources.iter().flat_map(of).collect();
    }
    let dials = config.peer.dial.iter();
    dials.filter_map(|dial| Some((dial.node_key.parse().ok()?, dial.address.clone()))).collect()
}

async fn open_store(home: &Path, config: &Config) -> Result<(SledStore, Opened), StartError> {
    let mut options = DiskOptions::new(home.join(STORE_FOLDER));
    options.cache_bytes = config.store.cache_mib << 20;
    options.reserve_bytes = config.store.reserve_mib << 20;
    let opened = tokio::task::spawn_blocking(move || SledStore::open(options)).await;
    Ok(opened.map_err(|error| StartError::System(error.to_string()))??)
}

/// Logs what opening the store found, and returns what the operator must know.
fn tell(opened: &Opened) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some((path, why)) = &opened.set_aside {
        warnings.push(format!(
            "the store was damaged ({why}); it was set aside as {0} and rebuilt from this node's journal; the rest comes from other nodes. Old texts can be read in it for 30 days: remove it once all is well: rm -r {0}",
            path.display()
        ));
    }
    if opened.engine_missing {
        warnings.push("the store's files were missing; it was rebuilt from this node's journal".to_owned());
    }
    if opened.disk_full {
        warnings.push("the disk is nearly full: this node reads but takes no new versions; free some space".to_owned());
    }
    for path in &opened.set_aside_present {
        if opened.set_aside.as_ref().is_none_or(|(aside, _)| aside != path) {
            warnings.push(format!("{0} is an old damaged store, in which what was withdrawn or redacted since may still be read; remove it: rm -r {0}", path.display()));
        }
    }
    warnings.iter().for_each(|warning| tracing::warn!(warning, "store"));
    if opened.replayed > 0 {
        tracing::warn!(versions = opened.replayed, "own versions were put back from the journal");
    }
    warnings
}

fn random_number() -> Result<u64, StartError> {
    getrandom::u64().map_err(|error| StartError::System(format!("no random numbers: {error}")))
}

/// What others are told to dial: the configured addresses, else the listening one.
fn advertised(config: &Config, peer_address: Option<SocketAddr>) -> Vec<String> {
    if !config.peer.advertise.is_empty() {
        return config.peer.advertise.clone();
    }
    peer_address
        .filter(|address| !address.ip().is_unspecified())
        .map(|address| address.to_string())
        .into_iter()
        .collect()
}

fn feed_settings(config: &Config) -> FeedSettings {
    let feed = &config.feed;
    FeedSettings {
        base_url: feed.base_url.clone(),
        publisher_name: feed.publisher_name.clone(),
        publisher_identifier: feed.publisher_identifier.clone(),
        publisher_email: feed.publisher_email.clone(),
        publisher_website: feed.publisher_website.clone(),
        ..FeedSettings::default()
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the daemon was dropped, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn tick(driver: DriverHandle, stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = stopped(stop);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = &mut stop => return,
        }
        if driver.send(Command::Tick).await.is_err() {
            return;
        }
    }
}

/// From a change of members or invites until connections of keys that are no longer admitted are cut. Nothing is shared over
/// them meanwhile: the node asks for standing each time, and a used one-time key admits nobody.
const CUT_AFTER: Duration = Duration::from_millis(250);

async fn recheck_peers(listener: ListenerControl, mut members: watch::Receiver<u64>, stop: watch::Receiver<bool>) {
    let stop = stopped(stop);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            changed = members.changed() => if changed.is_err() { return },
            () = &mut stop => return,
        }
        // An answer that is under way, such as that to the last use of a one-time key, gets through first.
        tokio::time::sleep(CUT_AFTER).await;
        let cut = listener.recheck();
        if cut > 0 {
            tracing::info!(cut, "connections of keys that are no longer admitted were cut");
        }
    }
}

async fn serve_peers(
    listener: Listener,
    driver: DriverHandle,
    reader: Arc<dyn crate::store::StoreReader>,
    admin: Arc<AdminService>,
    stop: watch::Receiver<bool>,
) {
    let service = PeerServer::new(PeerService::new(driver, reader))
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let host = HostServer::new(HostService::new(admin))
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let serving = server_builder()
        .add_service(service)
        .add_service(host)
        .serve_with_incoming_shutdown(listener.start(), stopped(stop));
    if let Err(error) = serving.await {
        tracing::error!(%error, "links are no longer accepted");
    }
}

async fn serve_admins(socket: AdminSocket, admin: Arc<AdminService>, stop: watch::Receiver<bool>) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AdminServer<AdminService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(fingerpost_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    let reflection = match reflection {
        Ok(reflection) => reflection,
        Err(error) => {
            tracing::error!(%error, "the schemas cannot be offered; admins cannot connect");
            return;
        }
    };
    let admin = AdminServer::from_arc(admin)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let serving = tonic::transport::Server::builder()
        .add_service(health_service)
        .add_service(reflection)
        .add_service(admin)
        .serve_with_incoming_shutdown(socket, stopped(stop));
    if let Err(error) = serving.await {
        tracing::error!(%error, "admins are no longer served");
    }
}
