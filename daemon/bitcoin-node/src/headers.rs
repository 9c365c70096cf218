//! The headers of a node's best chain, for an auditor: the node is the
//! auditor's own, and is asked nothing but for headers.

use std::path::Path;

use provenance_core::{bitcoin::Header, encoding::digest::from_hex};
use provenance_host::config::{Access, Typed};
use serde_json::Value;

use crate::{Node, NodeError};

/// JSON-RPC's code for a height that there is not.
const NO_SUCH_HEIGHT: i32 = -8;

/// What is wrong with a node's address on a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongAddress(&'static str);

/// The node at `http://HOST:PORT`, or with `USER:PASSWORD@` before the host.
///
/// # Errors
/// [`WrongAddress`].
pub fn node_from_url(url: &str, cookie: Option<&Path>) -> Result<Node, WrongAddress> {
    let form = WrongAddress("--bitcoin-rpc: http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT");
    let rest = url.strip_prefix("http://").ok_or(form)?;
    match (rest.rsplit_once('@'), cookie) {
        (None, Some(cookie)) => Ok(Node::new(url, Access::Cookie(cookie.into()))),
        (None, None) => Ok(Node::new(url, Access::Open)),
        (Some(_), Some(_)) => Err(WrongAddress("give a password or --bitcoin-cookie, not both")),
        (Some((pair, host)), None) => {
            if !pair.contains(':') {
                return Err(form);
            }
            Ok(Node::new(&format!("http://{host}"), Access::Typed(Typed(pair.into()))))
        }
    }
}

/// The header that the node's best chain has at `height`; `None` where it is
/// not that high.
///
/// # Errors
/// [`NodeError`].
pub fn header_at(node: &Node, height: u32) -> Result<Option<Header>, NodeError> {
    let hash = match node.call("getblockhash", &[height.into()]) {
        Err(NodeError::Refused { code: NO_SUCH_HEIGHT, .. }) => return Ok(None),
        hash => hash?,
    };
    let method = "getblockheader";
    let header = node.call(method, &[hash, Value::Bool(false)])?;
    let header = header.as_str().and_then(from_hex).and_then(|bytes| bytes.try_into().ok());
    header
        .map(|header| Some(Header(header)))
        .ok_or_else(|| NodeError::Answer { method, what: "no header".into() })
}
