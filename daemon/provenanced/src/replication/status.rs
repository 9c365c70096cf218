//! How the last call went, for the alert that says that copies are overdue; no
//! evidence.

use std::{fs, io};

use provenance_host::{durable, state_dir::StateDir};

use crate::error::ServiceError;

const MAX: u64 = 4 << 10;

/// Why nothing could be copied, where that is so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    error: Option<String>,
}

impl Status {
    pub(super) fn from_result(done: &Result<(), ServiceError>) -> Self {
        Self { error: done.as_ref().err().map(ToString::to_string) }
    }

    /// What the last call of this place said.
    pub(crate) fn error(state: &StateDir, place: &str) -> Option<String> {
        let bytes = durable::read_limited(&path(state, place), MAX).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn save(&self, state: &StateDir, place: &str) -> Result<(), ServiceError> {
        let path = path(state, place);
        let kept = match &self.error {
            Some(error) => {
                let text: String = error.chars().take(1000).collect();
                durable::create_dirs(&super::upload::spool(state, place))
                    .and_then(|()| durable::replace(&path, text.as_bytes(), 0o640))
            }
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        kept.map_err(ServiceError::io(format!("cannot write {}", path.display())))
    }
}

fn path(state: &StateDir, place: &str) -> std::path::PathBuf {
    super::upload::spool(state, place).join("error")
}
