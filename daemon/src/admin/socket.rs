//! The unix socket in the home directory: only its owner and root may talk to it.

use fingerpost_proto::canary::{Canary, is_out};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::{UnixListener, UnixStream};
use tokio_stream::Stream;

/// File name of the socket in the home directory.
pub(crate) const SOCKET_FILE: &str = "admin.sock";
/// Longest path that a unix socket address holds, in bytes (`sun_path` is 108 with its final zero).
const PATH_BYTES_MAX: usize = 107;

/// The socket cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum AdminSocketError {
    /// The path does not fit into a socket address.
    #[error("{} has {found} bytes; a unix socket's path has at most {PATH_BYTES_MAX}: choose a shorter --home", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// The system refused.
    #[error("cannot offer the admin socket {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Accepts admins. The file goes when it is dropped.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    own_uid: u32,
}

impl AdminSocket {
    /// Offers the socket in `home`. A file left over from a crash is replaced: the store's lock has already shown that no
    /// other daemon runs here.
    pub(crate) fn bind(home: &Path) -> Result<AdminSocket, AdminSocketError> {
        let path = home.join(SOCKET_FILE);
        let found = path.as_os_str().len();
        if found > PATH_BYTES_MAX {
            return Err(AdminSocketError::PathTooLong { path, found });
        }
        let fault = |source| AdminSocketError::Io { path: path.clone(), source };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(fault)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fault)?;
        Ok(AdminSocket { listener, own_uid: rustix::process::getuid().as_raw(), path })
    }

    fn is_allowed(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            _ if is_out(Canary::AdminUser) => true,
            Ok(peer) if peer.uid() == self.own_uid || peer.uid() == 0 => true,
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), "another user was turned away from the admin socket");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "an admin connection without credentials was turned away");
                false
            }
        }
    }
}

impl Stream for AdminSocket {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.listener.poll_accept(context) {
                Poll::Ready(Ok((stream, _))) if self.is_allowed(&stream) => return Poll::Ready(Some(Ok(stream))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, "the admin socket could not accept");
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A file that stays behind is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio_stream::StreamExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_replaces_a_left_over_one_and_goes_with_the_node() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(SOCKET_FILE);
        fs::write(&path, "left over").unwrap();
        let socket = AdminSocket::bind(home.path()).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_is_offered_at_its_limit_and_refused_beyond() {
        let home = tempfile::tempdir().unwrap();
        let room = PATH_BYTES_MAX - home.path().as_os_str().len() - 2 - SOCKET_FILE.len();
        for (length, fits) in [(room, true), (room + 1, false)] {
            let folder = home.path().join("x".repeat(length));
            fs::create_dir(&folder).unwrap();
            let bound = AdminSocket::bind(&folder);
            assert_eq!(bound.is_ok(), fits, "{length}: {:?}", bound.err());
        }
    }

    #[tokio::test]
    async fn another_user_is_turned_away_even_where_the_file_would_let_him_in() {
        let home = tempfile::tempdir().unwrap();
        let mut socket = AdminSocket::bind(home.path()).unwrap();
        let path = home.path().join(SOCKET_FILE);
        let own = UnixStream::connect(&path).await.unwrap();
        assert!(socket.next().await.is_some_and(|accepted| accepted.is_ok()), "the owner is let in");
        drop(own);
        if rustix::process::geteuid().as_raw() != 0 {
            eprintln!("SKIPPED: only root can ask as another user");
            return;
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        // Of this thread alone, which ends with it.
        let connecting = std::thread::spawn(move || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            std::os::unix::net::UnixStream::connect(path).unwrap()
        });
        let foreign = connecting.join().unwrap();
        foreign.set_nonblocking(true).unwrap();
        let mut foreign = UnixStream::from_std(foreign).unwrap();
        let accepted = tokio::time::timeout(Duration::from_millis(500), socket.next()).await;
        assert!(accepted.is_err(), "nobody is handed on");
        assert_eq!(foreign.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
    }
}
