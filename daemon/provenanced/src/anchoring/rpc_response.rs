//! What is taken out of a node's answers.

use serde_json::Value;

use provenance_bitcoin_node::NodeError;

/// A member of an answer; null where there is none.
pub(super) trait Members {
    fn member(&self, name: &str) -> &Value;
}

impl Members for Value {
    fn member(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Value::Null)
    }
}

pub(super) fn wrong(method: &'static str, what: impl ToString) -> NodeError {
    NodeError::Answer { method, what: what.to_string() }
}

pub(super) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
