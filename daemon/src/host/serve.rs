//! An HTTP/1.1 server for whoever connects: bounded in connections, sizes and
//! time, over TCP, TLS or a Unix socket.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::config::Listen;

/// A request's head is at most this long.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
/// A request's head comes within this time, and so does the next request of a
/// connection.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// An answer, which may wait for the disk, takes so long at most.
pub const ANSWER: Duration = Duration::from_secs(20);
/// A connection makes room for others after this time.
const LIFETIME: Duration = Duration::from_secs(60);
/// Open files beside the connections: the registry's, standard streams.
const OTHER_FILES: u64 = 64;

/// Where connections come in.
pub enum Door {
    /// In plain text.
    Tcp(TcpListener),
    /// Encrypted.
    Tls(TcpListener, Arc<ServerConfig>),
    /// On this machine, for whom the socket's mode lets.
    Unix(UnixListener),
}

impl Door {
    /// Listens at an address of the settings. A socket that an ended process
    /// left behind is taken away; one that answers, and any other file, stays.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn open(listen: &Listen, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        match (listen, tls) {
            (Listen::Tcp(address), None) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            (Listen::Tcp(address), Some(tls)) => {
                Ok(Self::Tls(TcpListener::bind(address).await?, tls))
            }
            (Listen::Unix(path), _) => {
                let found = std::fs::symlink_metadata(path);
                if found.is_ok_and(|found| found.file_type().is_socket()) {
                    if std::os::unix::net::UnixStream::connect(path).is_ok() {
                        return Err(io::ErrorKind::AddrInUse.into());
                    }
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener))
            }
        }
    }

    /// Whether nobody on the way can read what passes.
    pub fn is_private(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// The address, where it is one of the network.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => {
                let (stream, _) = listener.accept().await?;
                // Answers are short, and nothing follows that they could wait for.
                let _ = stream.set_nodelay(true);
                match self {
                    Self::Tls(_, tls) => Ok(Connection::Tls(stream, tls.clone())),
                    _ => Ok(Connection::Open(Box::new(stream))),
                }
            }
            Self::Unix(listener) => Ok(Connection::Open(Box::new(listener.accept().await?.0))),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

enum Connection {
    Open(Box<dyn Stream>),
    Tls(tokio::net::TcpStream, Arc<ServerConfig>),
}

impl Connection {
    async fn settle(self) -> Option<Box<dyn Stream>> {
        match self {
            Self::Open(stream) => Some(stream),
            Self::Tls(stream, tls) => {
                let shaken = TlsAcceptor::from(tls).accept(stream);
                let shaken = tokio::time::timeout(PATIENCE, shaken).await;
                Some(Box::new(shaken.ok()?.ok()?))
            }
        }
    }
}

/// Takes connections until `end`, and waits for those that are open.
pub async fn until<S, B>(door: Door, most: usize, service: S, end: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(most));
    let (closing, closed) = watch::channel(false);
    let mut end = pin!(end);
    loop {
        // Who finds no room waits in the listener's queue.
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (door.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut end => break,
            accepted = accepted => accepted,
        };
        let (Ok(connection), Ok(place)) = (accepted, place) else {
            // Out of files, mostly: those that are open end some time.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (service, closed) = (service.clone(), closed.clone());
        tokio::spawn(async move {
            if let Some(stream) = connection.settle().await {
                converse(stream, service, closed).await;
            }
            drop(place);
        });
    }
    drop(door);
    let _ = closing.send(true);
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(ANSWER, room.acquire_many(all)).await;
}

async fn converse<S, B>(stream: Box<dyn Stream>, service: S, mut closed: watch::Receiver<bool>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // What went wrong between us and a stranger is nobody's business.
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(LIFETIME) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(ANSWER + PATIENCE, connection).await;
}

/// Raises the limit of open files to what the connections need, where it may.
pub fn make_room(connections: usize) {
    let needed = connections as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    let current = limit.maximum.map_or(needed, |most| most.min(needed));
    let raised = Rlimit { current: Some(current), ..limit };
    if setrlimit(Resource::Nofile, raised).is_err() || current < needed {
        tracing::warn!("{connections} connections need {needed} open files: raise LimitNOFILE=");
    }
}
