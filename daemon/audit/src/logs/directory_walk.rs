//! The ticks of a chain, one after the other, from any place to any other.
//! What is no record, or no tick, is passed over: the chain's own
//! verification says what is wrong with it.

use std::io;

use provenance_core::{
    encoding::time::Timestamp,
    record::{
        Record,
        chain::{Body, Tick},
    },
};

use provenance_host::chain_files::{self, ChainFile};
use provenance_verifier::line_reader;

/// A line of the chain: file and line, both from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Line {
    pub file: usize,
    pub line: u64,
}

/// A tick's record, and where and when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub line: Line,
    pub seq: u64,
    /// The time of the tick before; of this one where there is none.
    pub since: Timestamp,
    pub time: Timestamp,
}

/// Where a walk begins: a line, and the time of the tick before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    pub line: Line,
    pub before: Option<Timestamp>,
}

/// Why a walk ends before its end.
enum Halt {
    Reached,
    Io(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Calls `genesis` with the machine id of the chain where that is met, and
/// `each` with every tick from `start` up to and with `end`. Gives the last
/// line.
///
/// # Errors
/// As reading the files.
pub(super) fn walk(
    files: &[ChainFile],
    start: Start,
    end: Option<Line>,
    mut genesis: impl FnMut(&str),
    mut each: impl FnMut(At, &Tick<'_>),
) -> io::Result<Line> {
    let (mut before, mut last) = (start.before, start.line);
    for (index, file) in files.iter().enumerate().skip(start.line.file) {
        let mut next = 0;
        let source = chain_files::open(file)?;
        let walked = line_reader::for_each_line(source, |bytes| {
            let line = Line { file: index, line: next };
            next += 1;
            if line < start.line {
                return Ok(());
            }
            if end.is_some_and(|end| line > end) {
                return Err(Halt::Reached);
            }
            last = line;
            let Ok(record) = Record::parse(bytes) else { return Ok(()) };
            match record.kind {
                "tick" | "genesis" => match Body::read(&record) {
                    Ok(Body::Tick(tick)) => {
                        let time = record.time;
                        let since = before.unwrap_or(time);
                        each(At { line, seq: record.seq, since, time }, &tick);
                        if !tick.more {
                            before = Some(time);
                        }
                    }
                    Ok(Body::Genesis(body)) => genesis(&body.machine),
                    _ => {}
                },
                _ => {}
            }
            Ok(())
        });
        match walked {
            Ok(_) => {}
            Err(Halt::Reached) => break,
            Err(Halt::Io(error)) => return Err(error),
        }
    }
    Ok(last)
}
