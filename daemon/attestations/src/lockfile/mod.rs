//! What a lock file pins: names, versions and contents of packages.

mod lock;
mod npm;
mod pylock;
mod requirements;

pub use lock::{Lock, LockError, MAX_LOCK, MAX_PACKAGES};

/// Reads a lock file; its name says of which kind.
///
/// # Errors
/// [`LockError`].
pub fn parse(name: &str, text: &str) -> Result<Lock, LockError> {
    let lock = match name {
        "package-lock.json" | "npm-shrinkwrap.json" | ".package-lock.json" => npm::parse(text),
        _ if name == "pylock.toml" || (name.starts_with("pylock.") && name.ends_with(".toml")) => {
            pylock::parse(text)
        }
        _ if name.ends_with(".txt") => requirements::parse(text),
        _ if name.ends_with(".json") => npm::parse(text),
        _ => return Err(LockError::Kind),
    };
    lock.map(Lock::united).map_err(LockError::Form)
}

#[cfg(test)]
mod tests;
