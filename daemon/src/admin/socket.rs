//! The unix socket in the home directory: only its owner and root may talk to it.

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
