//! Locks in the state folder, for which no process waits.

use std::fs::File;

use provenance_host::{durable, state_dir::StateDir};

use crate::error::ServiceError;

/// Keeps others of its kind out, as long as the file is open; waits for nobody.
pub(crate) fn lock(state: &StateDir, name: &str) -> Result<File, ServiceError> {
    let path = state.cache().join(name);
    let what = || format!("cannot open {}", path.display());
    durable::create_dirs(&state.cache()).map_err(ServiceError::io(what()))?;
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(ServiceError::io(what()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(ServiceError::Locked(path.display().to_string()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(ServiceError::io(what())(error)),
    }
}
