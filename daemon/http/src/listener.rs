//! Where a server listens: an address of the network, or a socket file.

use std::{
    fs::{self, File, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use provenance_host::config::address::Listen;
use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixSocket, UnixStream},
};
use tokio_rustls::rustls::ServerConfig;

/// How many connections wait to be taken.
const BACKLOG: u32 = 128;

#[derive(Debug)]
pub enum Listener {
    /// At an address of the network.
    Tcp(TcpListener),
    /// The same, and what connects is encrypted.
    Tls(TcpListener, Arc<ServerConfig>),
    /// At a socket file.
    Unix(UnixListener),
}

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Listens at `address`; a socket file gets `mode`, or what the umask leaves. One
/// that an ended server left is replaced, one that is in use is not.
///
/// # Errors
/// As the system has it; `AddrInUse` where another listens.
pub async fn bind(address: &Listen, mode: Option<u32>) -> io::Result<Listener> {
    match address {
        Listen::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp),
        Listen::Unix(path) => bind_unix(path, mode).await.map(Listener::Unix),
    }
}

async fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let _alone = alone(path.parent().unwrap_or(Path::new("/"))).await?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        // Anything but a socket is not ours, and bind(2) says so.
        Ok(found) if !found.file_type().is_socket() => {}
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            // Who may not ask, or finds its queue full, does not take it away.
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        },
    }
    let socket = UnixSocket::new_stream()?;
    if let Some(mode) = mode {
        // On Linux the file is made with this mode, less the umask: at no moment is
        // it open to more.
        fchmod(&socket, Mode::from_raw_mode(mode))?;
    }
    socket.bind(path)?;
    if let Some(mode) = mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    socket.listen(BACKLOG)
}

/// Two that start at once could each find the other's socket not in use yet.
async fn alone(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    for _ in 0..20 {
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(folder);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(io::ErrorKind::AddrInUse.into())
}

impl Listener {
    /// With what comes over the network encrypted.
    pub fn with_tls(self, tls: Option<Arc<ServerConfig>>) -> Self {
        match (self, tls) {
            (Self::Tcp(listener), Some(tls)) => Self::Tls(listener, tls),
            (listener, _) => listener,
        }
    }

    /// How connections are to be encrypted, where they are.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        match self {
            Self::Tls(_, tls) => Some(tls.clone()),
            _ => None,
        }
    }

    /// Whether nobody on the way can read what passes.
    pub fn is_private(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// The next connection, not encrypted yet.
    ///
    /// # Errors
    /// As the system has it.
    pub(crate) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => {
                let (stream, _) = listener.accept().await?;
                // Answers are short, and nothing follows that they could wait for.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }

    /// The address of the network, with the port that the system gave.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
