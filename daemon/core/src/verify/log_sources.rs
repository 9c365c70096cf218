//! The rules that join a source's entries over the whole chain
//! (docs/format.md §2, steps 2.7 to 2.9): generations rise by one, and each
//! range begins where the last one of its generation ended.

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
};

use crate::{
    record::log_entry::{Event, LogEntry, What},
    report::{Code, Finding, Location},
};

/// What is known of every source at one place of the chain. Generations whose
/// files are gone are dropped, so this grows with the sources, not with time.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    known: BTreeMap<String, SourceState>,
    /// Verification began in the middle: a source's past is not known.
    partial: bool,
}

#[derive(Clone, Debug, Default)]
struct SourceState {
    next_generation: u64,
    /// By their numbers: a source may have a great many.
    open: BTreeMap<u64, Generation>,
    /// Those whose name did not go to another file.
    growing: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
struct Generation {
    to: u64,
    upto: Option<String>,
    /// Its name went to another file: a new generation may begin.
    closed: bool,
}

impl Sources {
    pub(super) fn new(partial: bool) -> Self {
        Self { partial, ..Self::default() }
    }

    /// Checks one entry and takes it over. Findings have no place yet but the
    /// source's; the caller adds the record.
    pub(super) fn entry(&mut self, entry: &LogEntry<'_>, mut find: impl FnMut(Finding)) {
        let state = match self.known.get_mut(entry.src.as_ref()) {
            Some(state) => state,
            None => self.known.entry(entry.src.clone().into_owned()).or_default(),
        };
        let place = || Location::default().source(&entry.src, entry.generation);
        let mut wrong = |message: String| find(Finding::new(Code::LogRange, place(), message));
        match &entry.what {
            What::Event(Event::Appeared { .. }) => state.appear(entry, self.partial, &mut wrong),
            What::Event(Event::Unreadable { .. } | Event::Lost { .. } | Event::Late { .. }) => {}
            what => match state.generation(entry.generation, what, self.partial) {
                Some(generation) => {
                    generation.go_on(what, &mut wrong);
                    if generation.closed {
                        state.growing.remove(&entry.generation);
                    }
                }
                None => wrong(format!("generation {} was never begun", entry.generation)),
            },
        }
        if matches!(entry.what, What::Event(Event::Vanished)) {
            state.open.remove(&entry.generation);
            state.growing.remove(&entry.generation);
        }
        if let Some(finding) = remark(&entry.what, place) {
            find(finding);
        }
    }
}

impl SourceState {
    fn appear(&mut self, entry: &LogEntry<'_>, partial: bool, wrong: &mut impl FnMut(String)) {
        let first = self.next_generation == 0 && self.open.is_empty();
        if entry.generation != self.next_generation && !(partial && first) {
            let expected = self.next_generation;
            wrong(format!("generation {} begins; {expected} was due", entry.generation));
        }
        if !self.growing.is_empty() {
            wrong("a generation begins before the one before it ended".into());
        }
        self.begin(entry.generation, 0, None);
    }

    fn begin(&mut self, number: u64, to: u64, upto: Option<String>) {
        self.open.insert(number, Generation { to, upto, closed: false });
        self.growing.insert(number);
        self.next_generation = self.next_generation.max(number.saturating_add(1));
    }

    /// The generation with this number; where the chain's beginning was not
    /// seen, one that is met for the first time is taken as it is.
    fn generation(
        &mut self,
        number: u64,
        what: &What<'_>,
        partial: bool,
    ) -> Option<&mut Generation> {
        if !self.open.contains_key(&number) {
            let (to, upto) = match what {
                _ if !partial => return None,
                What::Range { from, .. } => (*from, None),
                What::Journal { after, .. } => (0, after.as_deref().map(String::from)),
                What::Event(Event::Truncated { to, .. }) => (*to, None),
                What::Event(_) => (0, None),
            };
            self.begin(number, to, upto);
        }
        self.open.get_mut(&number)
    }
}

impl Generation {
    fn go_on(&mut self, what: &What<'_>, wrong: &mut impl FnMut(String)) {
        match what {
            What::Range { from, to, .. } => {
                if *from != self.to {
                    wrong(format!("a range begins at {from}; the last one ended at {}", self.to));
                }
                self.to = *to;
            }
            What::Journal { after, upto, .. } => {
                if after.as_deref() != self.upto.as_deref() {
                    wrong("journal entries do not follow the last cursor".into());
                }
                self.upto = Some(upto.clone().into_owned());
            }
            What::Event(Event::Truncated { to, .. }) if *to != self.to => {
                wrong(format!("truncated from {to}; the last range ended at {}", self.to));
                self.closed = true;
            }
            What::Event(_) => self.closed = true,
        }
    }
}

/// What an entry says that an auditor will want to see.
fn remark(what: &What<'_>, place: impl Fn() -> Location) -> Option<Finding> {
    let (code, message): (_, Cow<'_, str>) = match what {
        What::Event(Event::Truncated { to, size }) => {
            let message = format!("the file had {to} bytes and was found with {size}");
            let mut place = place();
            place.bytes = Some((*size.min(to), *to));
            return Some(Finding::new(Code::LogShrunk, place, message));
        }
        What::Event(Event::Unreadable { errno }) => {
            (Code::LogUnreadable, format!("the source could not be read (errno {errno})").into())
        }
        What::Event(Event::Lost { count }) => {
            (Code::LogUnreadable, format!("the source dropped {count} messages itself").into())
        }
        What::Event(Event::Late { ms }) => {
            (Code::LogUnreadable, format!("reading took over {ms} ms").into())
        }
        _ => return None,
    };
    Some(Finding::new(code, place(), message))
}
