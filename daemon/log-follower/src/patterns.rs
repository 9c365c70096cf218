//! Which files are watched: globs and literal paths, what is left out, and
//! the state folder, which never is watched.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use rustix::fs::{AtFlags, CWD};

use crate::file_id::{FileId, is_below, look};

/// Why the settings cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Not a glob.
    #[error("the pattern {pattern:?} is no glob: {why}; correct it in [chain] of the settings")]
    Glob {
        /// As it was given.
        pattern: String,
        /// What the glob parser says.
        why: String,
    },
    #[error("the pattern {0:?} does not begin with /; write the full path")]
    Relative(String),
}

/// One watched pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The directories before the first wildcard; the whole of a literal path.
    base: Vec<u8>,
    /// Absent in a literal path.
    glob: Option<GlobMatcher>,
    /// `base/**`: every file below matches.
    all: bool,
    /// How many directories below `base` may be entered.
    depth: u8,
}

/// All that the settings say about names.
#[derive(Debug)]
pub(super) struct Patterns {
    watched: Vec<Pattern>,
    exclude: GlobSet,
    state_dir: PathBuf,
}

impl Patterns {
    pub(super) fn new(
        watch: &[String],
        exclude: &[String],
        state_dir: &Path,
    ) -> Result<Self, PatternError> {
        let watched = watch.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?;
        let mut set = GlobSetBuilder::new();
        for text in exclude {
            set.add(glob(text)?);
        }
        let exclude = set.build().map_err(|error| PatternError::Glob {
            pattern: error.glob().unwrap_or("exclude").to_owned(),
            why: error.kind().to_string(),
        })?;
        Ok(Self { watched, exclude, state_dir: state_dir.to_owned() })
    }

    pub(super) fn watched(&self) -> &[Pattern] {
        &self.watched
    }

    pub(super) fn is_excluded(&self, path: &[u8]) -> bool {
        !self.exclude.is_empty() && self.exclude.is_match(OsStr::from_bytes(path))
    }

    /// The state folder's identity, under which a walk knows it again
    /// whatever name it is mounted at.
    pub(super) fn state_dir(&self) -> Option<FileId> {
        let path = self.state_dir.as_os_str().as_bytes();
        look(CWD, path, AtFlags::empty()).ok().map(|(_, stat)| stat.id)
    }

    /// The state folder's path, links resolved.
    pub(super) fn state_path(&self) -> PathBuf {
        std::fs::canonicalize(&self.state_dir).unwrap_or_else(|_| self.state_dir.clone())
    }

    /// The directories to be watched for changes, and whether those below
    /// them are meant too.
    pub(super) fn directories(&self) -> Vec<(PathBuf, bool)> {
        let mut directories = Vec::new();
        for pattern in &self.watched {
            let base = Path::new(OsStr::from_bytes(&pattern.base));
            let dir = if pattern.is_literal() { base.parent().unwrap_or(base) } else { base };
            directories.push((dir.to_owned(), pattern.depth > 0));
        }
        directories.sort();
        // The deep one of two stays, being the last.
        directories.reverse();
        directories.dedup_by(|a, b| a.0 == b.0);
        directories
    }

    /// Whether `path`, links resolved, is the state folder or below it.
    pub(super) fn in_state_dir(&self, path: &[u8]) -> bool {
        let Ok(real) = std::fs::canonicalize(OsStr::from_bytes(path)) else { return false };
        let state = self.state_path();
        if is_below(real.as_os_str().as_bytes(), state.as_os_str().as_bytes()) {
            return true;
        }
        let Some(id) = self.state_dir() else { return false };
        let is_state = |dir: &Path| {
            let stat = look(CWD, dir.as_os_str().as_bytes(), AtFlags::empty());
            stat.is_ok_and(|(_, stat)| stat.id == id)
        };
        real.ancestors().any(is_state)
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::Relative(text.to_owned()));
        }
        if !text.contains(is_meta) {
            let base = text.as_bytes().to_vec();
            return Ok(Self { base, glob: None, all: false, depth: 0 });
        }
        let parts: Vec<&str> = text.split('/').collect();
        let literal = parts.iter().take_while(|part| !part.contains(is_meta)).count();
        let (base, rest) = parts.split_at_checked(literal).unwrap_or_default();
        let base = match base.join("/") {
            base if base.is_empty() => "/".to_owned(),
            base => base,
        };
        let depth = match rest.iter().any(|part| part.contains("**") || part.contains('{')) {
            true => u8::MAX,
            false => u8::try_from(rest.len().saturating_sub(1)).unwrap_or(u8::MAX),
        };
        let glob = Some(glob(text)?.compile_matcher());
        Ok(Self { base: base.into_bytes(), glob, all: rest == ["**"], depth })
    }

    pub(super) fn base(&self) -> &[u8] {
        &self.base
    }

    pub(super) fn is_literal(&self) -> bool {
        self.glob.is_none()
    }

    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.all || self.glob.as_ref().is_some_and(|glob| glob.is_match(OsStr::from_bytes(path)))
    }
}

fn is_meta(c: char) -> bool {
    matches!(c, '*' | '?' | '[' | '{' | '\\')
}

fn glob(text: &str) -> Result<Glob, PatternError> {
    GlobBuilder::new(text).literal_separator(true).build().map_err(|error| PatternError::Glob {
        pattern: text.to_owned(),
        why: error.kind().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_split_at_its_first_wildcard() {
        for (text, base, depth, all) in [
            ("/var/log/**", "/var/log", u8::MAX, true),
            ("/var/log/*.log", "/var/log", 0, false),
            ("/srv/*/log/*.log", "/srv", 2, false),
            ("/**/x.log", "/", u8::MAX, false),
            ("/var/log/syslog", "/var/log/syslog", 0, false),
        ] {
            let pattern = Pattern::new(text).unwrap();
            let got = (pattern.base(), pattern.depth(), pattern.all);
            assert_eq!(got, (base.as_bytes(), depth, all), "{text}");
        }
    }

    #[test]
    fn names_that_are_not_utf8_match() {
        let pattern = Pattern::new("/var/log/*.log").unwrap();
        assert!(pattern.matches(b"/var/log/\xff\xfe.log"));
        assert!(!pattern.matches(b"/var/log/sub/\xff.log"));
    }

    #[test]
    fn a_relative_or_broken_pattern_is_refused() {
        assert!(matches!(Pattern::new("var/log/*"), Err(PatternError::Relative(_))));
        assert!(matches!(Pattern::new("/var/log/[a"), Err(PatternError::Glob { .. })));
    }
}
