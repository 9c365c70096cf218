//! A disk that is full, by a real mount; needs root.

use std::{fs, io::Write, path::Path, process::Command};

/// A file system of some KiB of its own.
pub(crate) struct Mount(tempfile::TempDir);

impl Mount {
    pub(crate) fn new(kib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        if mount(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"], dir.path()) {
            return Some(Self(dir));
        }
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs");
        eprintln!("SKIPPED: no right to mount a tmpfs; the full disk was not tested");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::File::create(self.path().join("ballast")).unwrap();
        while ballast.write(&[0; 4096]).is_ok_and(|count| count == 4096) {}
    }

    pub(crate) fn empty(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

pub(crate) fn mount(args: &[&str], at: &Path) -> bool {
    let output = Command::new("mount").args(args).arg(at).output();
    output.is_ok_and(|output| output.status.success())
}
