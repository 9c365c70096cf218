//! A follower's state between two collects.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    file_id::{FileId, FileStat},
    generation::State,
    job::Job,
    patterns::Patterns,
    scan::DirectorySurvey,
};

/// What to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Globs such as `/var/log/**` and `/var/log/*.log`, and literal paths.
    /// `*` stays within a directory; symbolic links are followed only where a
    /// literal path or the part before the first wildcard is one.
    pub watch: Vec<String>,
    /// Globs of files, and of directories with all that is below them, that
    /// are left out.
    pub exclude: Vec<String>,
    /// Never watched, nor anything below it, under whatever name.
    pub state_dir: PathBuf,
    /// How many bytes a collect reads at most; what is left is read by the
    /// next, and the generation has an event `late`.
    pub budget_bytes: u64,
}

/// Follows files. See the module.
pub struct Follower {
    pub(crate) patterns: Patterns,
    pub(crate) budget: u64,
    pub(crate) state: State,
    /// The state comes from the chain, and the disk has not been seen since:
    /// device numbers may have changed with a reboot.
    pub(crate) restored: bool,
    /// Directories of which has been said that they cannot be read.
    pub(crate) blind: BTreeMap<Vec<u8>, u32>,
    /// Comparisons that were not finished in one collect.
    pub(crate) jobs: Vec<Job>,
    /// Files that look like compressed forms in the making.
    pub(crate) held: BTreeMap<FileId, (FileStat, u8)>,
    pub(crate) survey: DirectorySurvey,
    pub(crate) buffer: Vec<u8>,
}
