//! What is being answered over HTTP, so that a client can cancel it. Each request
//! is served by itself there: only the session that it names connects a
//! cancellation with what it cancels. A session is a name and no state, so any
//! number of them takes no memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::http::request::Parts;
use rmcp::{RoleServer, model::RequestId, service::RequestContext};
use tokio::sync::Notify;

/// The header that names a session.
pub(super) const SESSION: &str = "mcp-session-id";
/// The longest name of a session, and of a request, that is remembered.
const MAX_NAME: usize = 256;

type Key = (String, RequestId);
type Known = Arc<Mutex<HashMap<Key, Arc<Notify>>>>;

/// What is being answered, by session and request.
#[derive(Clone, Default)]
pub(super) struct InFlightRequests(Known);

/// One request, for as long as it is answered.
pub(super) struct InFlightGuard(Option<(Known, Key, Arc<Notify>)>);

impl InFlightRequests {
    /// Remembers a request that came in a session.
    pub(super) fn enter(&self, context: &RequestContext<RoleServer>) -> InFlightGuard {
        let parts = context.extensions.get::<Parts>();
        let session = parts.and_then(|parts| parts.headers.get(SESSION)?.to_str().ok());
        let Some(session) = session else { return InFlightGuard(None) };
        self.remember(session, &context.id)
    }

    fn remember(&self, session: &str, id: &RequestId) -> InFlightGuard {
        let long =
            session.len() > MAX_NAME || matches!(id, RequestId::String(id) if id.len() > MAX_NAME);
        if long {
            return InFlightGuard(None);
        }
        let (key, told) = ((session.to_owned(), id.clone()), Arc::new(Notify::new()));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.clone(), told.clone());
        InFlightGuard(Some((self.0.clone(), key, told)))
    }

    /// Ends a request of this session, where it is being answered.
    pub(super) fn cancel(&self, session: &str, id: RequestId) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = known.get(&(session.to_owned(), id)) {
            told.notify_one();
        }
    }
}

impl InFlightGuard {
    /// Waits until the client cancels.
    pub(super) async fn cancelled(&self) {
        match &self.0 {
            Some((_, _, told)) => told.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let Some((known, key, told)) = self.0.take() else { return };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        // A client that gave two requests one id has lost the first.
        if known.get(&key).is_some_and(|it| Arc::ptr_eq(it, &told)) {
            known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RequestId {
        RequestId::String(text.into())
    }

    #[tokio::test]
    async fn only_the_session_that_asked_cancels_and_nothing_is_left_behind() {
        let flights = InFlightRequests::default();
        let (mine, other) = (flights.remember("a", &id("1")), flights.remember("b", &id("1")));
        flights.cancel("c", id("1"));
        flights.cancel("a", id("2"));
        flights.cancel("a", id("1"));
        mine.cancelled().await;
        tokio::select! {
            biased;
            () = other.cancelled() => panic!("that was another session's"),
            () = std::future::ready(()) => {}
        }
        let again = flights.remember("a", &id("1"));
        drop(mine);
        flights.cancel("a", id("1"));
        again.cancelled().await;
        let long = flights.remember("a", &id(&"x".repeat(300)));
        drop((other, again, long));
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
