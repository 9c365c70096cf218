//! The RPC itself, behind our own types.

use std::{io, path::PathBuf, thread, time::Duration};

use bitcoincore_rpc::{
    Client, RpcApi,
    jsonrpc::{self, Request, Response, client::Transport},
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use provenance_host::{config::Access, durable};
use provenance_http::client;

/// An answer is at most this long.
const MAX_ANSWER: usize = 4 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_SECRET: u64 = 4096;

/// Why the node gave no answer. None of them names a secret.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The cookie or the password could not be read.
    #[error("cannot read {path}: {source}")]
    Secret { path: PathBuf, source: io::Error },
    /// It cannot be reached, or did not answer in time.
    #[error("the node at {url} does not answer: {why}")]
    Unreachable { url: String, why: String },
    /// It does not let us in.
    #[error("the node at {0} refuses user or password (a cookie changes at each start)")]
    Unauthorised(String),
    /// It answered with an error of its own.
    #[error("the node says {message} ({code})")]
    Refused {
        /// JSON-RPC's code, such as -28 while it starts.
        code: i32,
        /// Its words, at most 200 characters.
        message: String,
    },
    /// It answers, and is not fit for what is to be done.
    #[error("the node cannot be used: {0}")]
    Unfit(String),
    /// The wallet cannot pay.
    #[error("the wallet cannot pay: {0}; send coins to an address of it")]
    Funds(String),
    /// It answered something else than what was asked for.
    #[error("the node's answer to {method} is not as expected: {what}")]
    Answer {
        method: &'static str,
        /// What is wrong.
        what: String,
    },
}

#[derive(Clone, Debug)]
pub struct Node {
    url: String,
    access: Access,
}

impl Node {
    /// The node whose RPC is at `url`.
    pub fn new(url: &str, access: Access) -> Self {
        Self { url: url.into(), access }
    }

    /// The same node at another path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { url: format!("{}{path}", self.url.trim_end_matches('/')), ..self.clone() }
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn call(&self, method: &'static str, parameters: &[Value]) -> Result<Value, NodeError> {
        let transport = Http { url: self.url.clone(), authorization: self.authorization()? };
        let client = Client::from_jsonrpc(jsonrpc::Client::with_transport(transport));
        client.call(method, parameters).map_err(|error| self.explain(method, error))
    }

    fn authorization(&self) -> Result<Option<String>, NodeError> {
        use base64ct::Encoding as _;
        let read = |path: &PathBuf| {
            let bytes = durable::read_limited(path, MAX_SECRET)
                .map_err(|source| NodeError::Secret { path: path.clone(), source })?;
            String::from_utf8(bytes).map(|text| text.trim_end().to_owned()).map_err(|_| {
                let source = io::Error::new(io::ErrorKind::InvalidData, "not UTF-8");
                NodeError::Secret { path: path.clone(), source }
            })
        };
        let pair = match &self.access {
            Access::Open => return Ok(None),
            Access::Typed(pair) => pair.0.clone(),
            Access::Cookie(path) => read(path)?,
            Access::User { user, password_file } => format!("{user}:{}", read(password_file)?),
        };
        Ok(Some(format!("Basic {}", base64ct::Base64::encode_string(pair.as_bytes()))))
    }

    fn explain(&self, method: &'static str, error: bitcoincore_rpc::Error) -> NodeError {
        use bitcoincore_rpc::Error as Rpc;
        let short = |text: String| text.chars().take(200).collect::<String>();
        match error {
            Rpc::JsonRpc(jsonrpc::Error::Rpc(error)) => {
                NodeError::Refused { code: error.code, message: short(error.message) }
            }
            Rpc::JsonRpc(jsonrpc::Error::Transport(error)) => match error.downcast::<HttpError>() {
                Ok(error) if matches!(*error, HttpError::Status(401 | 403)) => {
                    NodeError::Unauthorised(self.url.clone())
                }
                Ok(error) => {
                    NodeError::Unreachable { url: self.url.clone(), why: short(error.to_string()) }
                }
                Err(error) => {
                    NodeError::Unreachable { url: self.url.clone(), why: short(error.to_string()) }
                }
            },
            other => NodeError::Answer { method, what: short(other.to_string()) },
        }
    }
}

/// The crate's own transports take answers of any length.
struct Http {
    url: String,
    authorization: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(String),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("an answer of over {} MiB", MAX_ANSWER >> 20)]
    TooLong,
    #[error("no JSON")]
    Json(#[source] serde_json::Error),
}

impl Http {
    fn post<R: serde::de::DeserializeOwned>(
        &self,
        body: &impl serde::Serialize,
    ) -> Result<R, HttpError> {
        let body = serde_json::to_vec(body).map_err(HttpError::Json)?;
        let (status, answer) = self.exchange(body)?;
        // The node tells its own errors with status 500 and JSON.
        serde_json::from_slice(&answer).map_err(|error| match status {
            200 => HttpError::Json(error),
            status => HttpError::Status(status),
        })
    }

    /// Waits for the answer, on a thread of its own: some who ask are inside a
    /// runtime already, and none can be entered from there.
    fn exchange(&self, body: Vec<u8>) -> Result<(u16, Vec<u8>), HttpError> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("bitcoin".into());
            let asked = thread.spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let answer = runtime.block_on(self.ask(body));
                // A name that is still being looked up is not waited for.
                runtime.shutdown_background();
                answer
            })?;
            let broken = |_| Err(io::Error::other("the request's thread ended").into());
            asked.join().unwrap_or_else(broken)
        })
    }

    async fn ask(&self, body: Vec<u8>) -> Result<(u16, Vec<u8>), HttpError> {
        let failed = |error| HttpError::Http(client::causes(error));
        let client =
            client::client(false, TIMEOUT).map_err(|error| HttpError::Http(error.to_string()))?;
        let mut request = client.post(&self.url).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            let value = HeaderValue::from_str(authorization);
            let wrong = |_| HttpError::Http("user or password are not text".into());
            let mut value = value.map_err(wrong)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.body(body).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut answer = vec![];
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.len() + chunk.len() > MAX_ANSWER {
                return Err(HttpError::TooLong);
            }
            answer.extend_from_slice(&chunk);
        }
        Ok((status, answer))
    }
}

impl Transport for Http {
    fn send_request(&self, request: Request<'_>) -> Result<Response, jsonrpc::Error> {
        self.post(&request).map_err(|error| jsonrpc::Error::Transport(Box::new(error)))
    }

    fn send_batch(&self, requests: &[Request<'_>]) -> Result<Vec<Response>, jsonrpc::Error> {
        self.post(&requests).map_err(|error| jsonrpc::Error::Transport(Box::new(error)))
    }

    fn fmt_target(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests;
