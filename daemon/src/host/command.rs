//! A child process whose output is read as it comes: nothing is inherited but
//! the environment, nothing waits for ever, nothing is left running.

use std::{
    ffi::OsStr,
    io::{self, Read},
    os::fd::AsFd,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// How much is kept of what a child says on standard error.
const MAX_SAID: u64 = 4 << 10;

/// A running child whose standard output is read. It is killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: ChildStdout,
    said: Option<JoinHandle<Vec<u8>>>,
    patience: Duration,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// With which status.
    pub status: ExitStatus,
    /// What it said on standard error, at most 4 KiB.
    pub said: String,
}

impl Running {
    /// Starts `program` (found by `PATH`) in the locale C. A read for which
    /// nothing comes within `patience` fails with
    /// [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// As starting a process; [`io::ErrorKind::NotFound`] without the program.
    pub fn start<A: AsRef<OsStr>>(
        program: &str,
        arguments: impl IntoIterator<Item = A>,
        patience: Duration,
    ) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let said = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut said = Vec::new();
                let kept = stderr.by_ref().take(MAX_SAID).read_to_end(&mut said);
                // The rest is read too, or the child would wait for us.
                let _ = kept.and_then(|_| io::copy(&mut stderr, &mut io::sink()));
                said
            })
        });
        Ok(Self { child, output, said, patience })
    }

    /// Ends the child, where it has not ended, and tells how it did.
    ///
    /// # Errors
    /// As waiting for it.
    pub fn end(mut self) -> io::Result<Ended> {
        let status = match self.child.try_wait()? {
            Some(status) => status,
            None => {
                // It may be about to end: its output is closed before it is.
                thread::sleep(Duration::from_millis(20));
                let _ = self.child.kill();
                self.child.wait()?
            }
        };
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        Ok(Ended { status, said: String::from_utf8_lossy(&said).trim().to_owned() })
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = Timespec::try_from(self.patience).map_err(io::Error::other)?;
        let mut fds = [PollFd::from_borrowed_fd(self.output.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long")),
            Ok(_) => self.output.read(buffer),
            Err(Errno::INTR) => Err(io::ErrorKind::Interrupted.into()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn output_comes_whole_and_the_end_is_told() {
        let script = "echo out; head -c 300000 /dev/zero >&2; exit 3";
        let mut child = Running::start("sh", ["-c", script], LONG).unwrap();
        let mut output = String::new();
        child.read_to_string(&mut output).unwrap();
        thread::sleep(Duration::from_millis(100));
        let ended = child.end().unwrap();
        assert_eq!((output.as_str(), ended.status.code()), ("out\n", Some(3)));
        assert_eq!(ended.said.len(), 4096);
    }

    #[test]
    fn a_silent_child_is_given_up_and_killed() {
        let mut child = Running::start("sleep", ["1000"], Duration::from_millis(50)).unwrap();
        let id = child.child.id();
        let error = child.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_missing_program_is_not_found() {
        let error = Running::start("no-such-program", ["x"], LONG).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
