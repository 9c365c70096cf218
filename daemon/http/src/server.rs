//! HTTP/1.1 for whoever connects: bounded in connections, heads and time. What
//! is in a body, and how long it may be, is the service's business.

use std::{convert::Infallible, error::Error, future::Future, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::listener::{Listener, Stream};

/// A request's head is at most this long.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
/// Open files beside the connections: the registry's, standard streams.
const OTHER_FILES: u64 = 64;

/// What strangers may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// A request's head comes within this time, and so does a connection's next
    /// request.
    pub read_timeout: Duration,
    /// A connection makes room for others after this time.
    pub max_lifetime: Duration,
    /// The longest that an answer takes; a connection that makes room may wait
    /// for it.
    pub response_timeout: Duration,
}

/// Takes connections until `end`, and waits for those that are open.
pub async fn serve<S, F, B>(
    listener: Listener,
    limits: Limits,
    service: S,
    end: impl Future<Output = ()>,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let room = Arc::new(Semaphore::new(limits.connections));
    let (closing, closed) = watch::channel(false);
    let mut end = pin!(end);
    loop {
        // Who finds no room waits in the listener's queue.
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut end => break,
            accepted = accepted => accepted,
        };
        let (Ok(stream), Ok(place)) = (accepted, place) else {
            // Out of files, mostly: those that are open end some time.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (service, closed, tls) = (service.clone(), closed.clone(), listener.tls());
        tokio::spawn(async move {
            if let Some(stream) = encrypted(stream, tls, limits.read_timeout).await {
                serve_connection(stream, limits, service, closed).await;
            }
            drop(place);
        });
    }
    drop(listener);
    let _ = closing.send(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(limits.response_timeout, room.acquire_many(all)).await;
}

/// The stream as it is, or behind TLS; `None` where that does not come about.
async fn encrypted(
    stream: Box<dyn Stream>,
    tls: Option<Arc<ServerConfig>>,
    read_timeout: Duration,
) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(stream) };
    let shaken = tokio::time::timeout(read_timeout, TlsAcceptor::from(tls).accept(stream)).await;
    Some(Box::new(shaken.ok()?.ok()?))
}

async fn serve_connection<S, F, B>(
    stream: Box<dyn Stream>,
    limits: Limits,
    service: S,
    mut closed: watch::Receiver<bool>,
) where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let service = service_fn(move |request| {
        let answer = service(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // What went wrong between us and a stranger is nobody's business.
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(limits.max_lifetime) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.response_timeout + limits.read_timeout, connection).await;
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
