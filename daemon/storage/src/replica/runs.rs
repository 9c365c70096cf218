//! The objects of an appliance, run by run.

use std::collections::{BTreeMap, VecDeque};

use provenance_core::{
    report::{Code, Finding, Location, Report},
    statement::replication_manifest::{folder, run_of},
};

use super::CopyError;
use crate::{Object, ReadStorage, StoreError};

/// No run has more objects; what comes behind is found, and not kept.
const MAX_OBJECTS: usize = 2 * provenance_core::statement::replication_manifest::MAX_FILES;
/// Objects that are listed at once.
const PAGE: usize = 1_000;

/// What lies in a run's folder.
#[derive(Debug, Default)]
pub struct Run {
    pub number: u64,
    /// By name, every version, the newest first.
    pub objects: BTreeMap<String, Vec<Object>>,
}

impl Run {
    /// The version that counts: the first that was put. Whoever writes one anew
    /// cannot take the first away.
    pub fn first(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)?.iter().rev().find(|object| !object.deleted)
    }
}

/// An appliance's objects, by name, a page at a time.
#[derive(Debug)]
pub struct Runs {
    prefix: String,
    page: VecDeque<Object>,
    /// The last name of the page.
    after: String,
    done: bool,
}

impl Runs {
    /// The runs below `base` that come behind run `after`.
    pub fn new(base: &str, after: Option<u64>) -> Self {
        let prefix = format!("{base}/");
        // `:` follows `/` and every digit.
        let after = after.map_or_else(String::new, |run| format!("{prefix}{}:", folder(run)));
        Self { prefix, page: VecDeque::new(), after, done: false }
    }

    fn peek(&mut self, bucket: &mut dyn ReadStorage) -> Result<Option<&Object>, CopyError> {
        if self.page.is_empty() && !self.done {
            let (page, mut ended) = (&mut self.page, true);
            bucket.list(&self.prefix, &self.after, &mut |object| {
                // All versions of one name are in one page.
                let full = page.len() >= PAGE;
                if full && page.back().is_some_and(|last| last.key != object.key) {
                    ended = false;
                    return false;
                }
                page.push_back(object);
                true
            })?;
            self.done = ended;
            self.after = self.page.back().map(|last| last.key.clone()).unwrap_or_default();
        }
        Ok(self.page.front())
    }

    /// The next run; `None` behind the last. Objects that lie in no run's folder
    /// are findings.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn next(
        &mut self,
        bucket: &mut dyn ReadStorage,
        report: &mut Report,
    ) -> Result<Option<Run>, CopyError> {
        let (mut run, own) = (None::<Run>, self.prefix.len());
        while let Some(object) = self.peek(bucket)? {
            let inside = object.key.get(own..).unwrap_or_default();
            let mut extra = |message: &str| {
                report.add_finding(Finding::new(Code::StoreExtra, Location::file(inside), message));
            };
            let place = inside.split_once('/').and_then(|(folder, name)| {
                let number = run_of(folder)?;
                (!name.is_empty()).then(|| (number, name.to_owned()))
            });
            match place {
                None => extra("no run of ours puts an object here"),
                Some((number, name)) => {
                    let run = run.get_or_insert_with(|| Run { number, objects: BTreeMap::new() });
                    if run.number != number {
                        break;
                    }
                    if run.objects.len() >= MAX_OBJECTS && !run.objects.contains_key(&name) {
                        extra("the run has more objects than any run may have");
                    } else {
                        run.objects.entry(name).or_default().push(object.clone());
                    }
                }
            }
            self.page.pop_front();
        }
        Ok(run)
    }
}

/// Whether objects of one name differ: somebody wrote it anew, or marked it as
/// deleted. A run that was killed may have put the same bytes twice.
pub(super) fn versions(
    bucket: &mut dyn ReadStorage,
    place: &Location,
    versions: &[Object],
    report: &mut Report,
) -> Result<(), StoreError> {
    let Some(first) = versions.iter().rev().find(|object| !object.deleted) else {
        return Ok(());
    };
    let mut find = |message: &str| {
        report.add_finding(Finding::new(Code::StoreVersion, place.clone(), message));
    };
    let mut own = None;
    for other in versions.iter().filter(|other| other.version != first.version) {
        if other.deleted {
            find("somebody marked the object as deleted; its first version is still there");
            continue;
        }
        let alike = other.bytes == first.bytes && !other.tag.is_empty() && other.tag == first.tag;
        if alike {
            continue;
        }
        let mut digest = |object: &Object| {
            let (key, version) = (&object.key, object.version.as_deref());
            crate::read(bucket, key, version, first.bytes, &mut |_| Ok(()))
        };
        let own = match own {
            Some(own) => own,
            None => *own.insert(digest(first)?.sha256),
        };
        if other.bytes != first.bytes || digest(other)?.sha256 != own {
            find("somebody wrote the object anew, with other bytes; its first version counts");
        }
    }
    Ok(())
}
