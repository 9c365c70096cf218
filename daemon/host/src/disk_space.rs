//! How much room a file system has.

use std::{io, path::Path};

/// What is left of a file system, in percent of what a program without
/// privileges may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    pub space: u8,
    /// Names of files; `None` where the file system has no such limit.
    pub inodes: Option<u8>,
}

/// The room at `path`.
///
/// # Errors
/// As statvfs(3).
pub fn room(path: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(path)?;
    // As df(1) counts: what only root may use is no part of the whole.
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let inodes_used = found.f_files.saturating_sub(found.f_ffree);
    Ok(Room {
        space: percent(found.f_bavail, used).unwrap_or(0),
        inodes: percent(found.f_favail, inodes_used),
    })
}

/// Rounded down; `None` of nothing.
fn percent(free: u64, used: u64) -> Option<u8> {
    let (free, used) = (u128::from(free), u128::from(used));
    u8::try_from((free * 100).checked_div(free + used)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_told_in_percent_and_a_full_disk_has_none() {
        assert_eq!(percent(1, 9), Some(10));
        assert_eq!(percent(0, 9), Some(0));
        assert_eq!(percent(99, 1), Some(99));
        assert_eq!(percent(u64::MAX, 0), Some(100));
        assert_eq!(percent(0, 0), None);
        assert!(room(Path::new("/")).unwrap().space <= 100);
        assert!(room(Path::new("/nonexistent")).is_err());
    }
}
