// SPDX-License-Identifier: GPL-2.0-only
//! Questions to chronyd and its answers, within one budget of time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use chrony_candm::{
    common::ChronyAddr,
    reply::{AuthDataMode, Reply, ReplyBody, SourceData, SourceMode, Status, Tracking},
    request::{self, Request, RequestBody},
};

use crate::{
    failure::Failure,
    socket::{self, Socket},
};

/// How many sources are asked about; of more only the count is told.
pub(crate) const MAX_SOURCES: i32 = 64;
/// A question is asked again when a third of the budget passed in silence.
const TRIES: u32 = 3;
const MAX_REPLY: usize = 2048;

/// What chronyd said.
pub(crate) struct Answers {
    pub(crate) tracking: Tracking,
    pub(crate) source_count: u32,
    pub(crate) sources: Vec<Source>,
}

pub(crate) struct Source {
    pub(crate) data: SourceData,
    /// As it stands in chronyd's settings; only over its unix socket.
    pub(crate) name: Option<String>,
    /// Only over its unix socket.
    pub(crate) auth: Option<AuthDataMode>,
}

pub(crate) struct Chronyd {
    socket: Socket,
    deadline: Instant,
    patience: Duration,
}

impl Chronyd {
    pub(crate) fn new(socket: Socket, start: Instant, budget: Duration) -> Self {
        Self { socket, deadline: start + budget, patience: budget / TRIES }
    }

    pub(crate) fn ask(&self) -> Result<Answers, Failure> {
        let ReplyBody::Tracking(tracking) = self.must(RequestBody::Tracking)? else {
            return Err(unexpected("tracking"));
        };
        let ReplyBody::NSources(count) = self.must(RequestBody::NSources)? else {
            return Err(unexpected("the number of sources"));
        };
        let mut sources = Vec::new();
        let asked = i32::try_from(count.n_sources).unwrap_or(i32::MAX).min(MAX_SOURCES);
        for index in 0..asked {
            let question = RequestBody::SourceData(request::SourceData { index });
            match self.query(question)? {
                (Status::Success, ReplyBody::SourceData(data)) => sources.push(self.source(data)?),
                // It may have gone since they were counted.
                (Status::NoSuchSource, _) => break,
                _ => return Err(unexpected("a source")),
            }
        }
        Ok(Answers { tracking, source_count: count.n_sources, sources })
    }

    /// Name and authentication are chronyd's secret before UDP: it answers
    /// `Unauth`, and they stay unknown.
    fn source(&self, data: SourceData) -> Result<Source, Failure> {
        let ip_addr = data.ip_addr;
        if data.mode == SourceMode::Ref || matches!(ip_addr, ChronyAddr::Unspec) {
            return Ok(Source { data, name: None, auth: None });
        }
        let question = RequestBody::NtpSourceName(request::NtpSourceName { ip_addr });
        let name = match self.query(question)? {
            (Status::Success, ReplyBody::NtpSourceName(name)) => Some(text(&name.name)),
            _ => None,
        };
        let auth = match self.query(RequestBody::AuthData(request::AuthData { ip_addr }))? {
            (Status::Success, ReplyBody::AuthData(auth)) => Some(auth.mode),
            _ => None,
        };
        Ok(Source { data, name: name.filter(|name| !name.is_empty()), auth })
    }

    fn must(&self, question: RequestBody) -> Result<ReplyBody, Failure> {
        match self.query(question)? {
            (Status::Success, body) => Ok(body),
            (Status::Unauth | Status::NoHostAccess, _) => {
                Err(Failure::NoPermission("chronyd does not answer us: cmdallow".into()))
            }
            (status, _) => Err(Failure::Protocol(format!("chronyd answers {status:?}"))),
        }
    }

    fn query(&self, body: RequestBody) -> Result<(Status, ReplyBody), Failure> {
        let request = Request { sequence: socket::random(), attempt: 0, body };
        let mut packet = BytesMut::with_capacity(request.length());
        request.serialize(&mut packet);
        let lost = |error| socket::failure("chronyd", &error);
        loop {
            let until = (Instant::now() + self.patience).min(self.deadline);
            self.socket.send(&packet, self.left(until)?).map_err(lost)?;
            while until > Instant::now() {
                let mut buffer = [0; MAX_REPLY];
                let received = self.socket.receive(&mut buffer, self.left(until)?);
                let Some(length) = received.map_err(lost)? else { continue };
                let reply = parse(buffer.get(..length).unwrap_or_default())?;
                // An answer to an earlier question of ours may come late.
                if reply.sequence == request.sequence && reply.cmd == request.cmd() {
                    return Ok((reply.status, reply.body));
                }
            }
            self.left(self.deadline)?;
            request::increment_attempt(&mut packet);
        }
    }

    /// The time left until `then`, while the budget lasts.
    fn left(&self, then: Instant) -> Result<Duration, Failure> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(Failure::Unavailable("chronyd does not answer in time".into()));
        }
        Ok(then.saturating_duration_since(now).max(Duration::from_millis(1)))
    }
}

/// The crate's reader panics on a time that no chronyd would send.
fn parse(mut bytes: &[u8]) -> Result<Reply, Failure> {
    let read = catch_unwind(AssertUnwindSafe(|| Reply::deserialize(&mut bytes)));
    match read {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(Failure::Protocol(format!("not an answer of chronyd's: {error}"))),
        Err(_) => Err(Failure::Protocol("not an answer of chronyd's".into())),
    }
}

fn unexpected(what: &str) -> Failure {
    Failure::Protocol(format!("chronyd was asked for {what} and told something else"))
}

/// Text from chronyd, made harmless: printable ASCII that needs no escape.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let harmless = |byte: &u8| match byte {
        b'"' | b'\\' => '?',
        b'!'..=b'~' => char::from(*byte),
        _ => '?',
    };
    bytes.get(..end).unwrap_or_default().iter().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_made_harmless() {
        assert_eq!(text(b"ntp.example.org\0\"rest"), "ntp.example.org");
        assert_eq!(text(b"a\"b\\c\nd\x1b\xffe f"), "a?b?c?d???e?f".replace("???e", "??e"));
        assert_eq!(text(b""), "");
    }

    #[test]
    fn a_reply_that_panics_its_reader_or_is_none_is_an_error() {
        let request = Request { sequence: 7, attempt: 0, body: RequestBody::Tracking };
        let mut packet = BytesMut::new();
        request.serialize(&mut packet);
        assert!(matches!(parse(&packet), Err(Failure::Protocol(_))));
        for length in 0..200 {
            assert!(parse(&vec![0xff; length]).is_err());
        }
        // Tracking (reply 5) whose reference time is as negative as can be.
        let mut reply = vec![0; 104];
        reply[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
        assert!(parse(&reply).is_ok());
        reply[28 + 4 + 20 + 4] = 0x80;
        assert!(parse(&reply).is_err());
    }
}
