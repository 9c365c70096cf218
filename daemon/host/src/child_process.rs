//! A child process whose output is read as it comes, or at its end: nothing is
//! inherited but the environment, nothing waits for ever, nothing is left
//! running.

use std::{
    ffi::OsStr,
    io::{self, Read},
    os::{fd::AsFd, unix::process::CommandExt as _},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
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

/// A child that has ended, and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// With which status.
    pub status: ExitStatus,
    /// Its standard output.
    pub output: Vec<u8>,
    /// What it said on standard error, at most 4 KiB.
    pub said: String,
}

/// Runs `program` in the locale C until it ends, and gives what it wrote. What
/// it started and left behind is killed with it.
///
/// # Errors
/// As starting a process; [`io::ErrorKind::TimedOut`] if it has not ended within
/// `deadline`, [`io::ErrorKind::FileTooLarge`] if it writes more than `cap`.
pub fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
    deadline: Duration,
    cap: usize,
) -> io::Result<Finished> {
    let until = Instant::now().checked_add(deadline);
    let until = until.ok_or_else(|| io::Error::other("a deadline past all time"))?;
    let mut group = Group::start(Command::new(program).args(arguments))?;
    let ended = pidfd_open(Pid::from_child(&group.child), PidfdFlags::empty())?;
    let mut output = Pipe::new(group.child.stdout.take());
    let mut said = Pipe::new(group.child.stderr.take());
    loop {
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(output.from.iter().map(|from| PollFd::new(from, PollFlags::IN)));
        fds.extend(said.from.iter().map(|from| PollFd::new(from, PollFlags::IN)));
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end in time")),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        // Both are read each time, so that neither makes it wait for us.
        let read = [output.read()?, said.read()?];
        said.bytes.truncate(usize::try_from(MAX_SAID).unwrap_or(usize::MAX));
        if output.bytes.len() > cap {
            let error = format!("it writes more than {cap} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
        }
        // What it wrote before its end is in the pipes; who holds them still
        // open is not waited for.
        if ended && read == [false; 2] {
            break;
        }
    }
    let status = group.end()?;
    let said = String::from_utf8_lossy(&said.bytes).trim().to_owned();
    Ok(Finished { status, output: output.bytes, said })
}

/// A child that leads a process group, which is killed with it.
struct Group {
    child: Child,
    reaped: bool,
}

impl Group {
    fn start(command: &mut Command) -> io::Result<Self> {
        let command = command.env("LC_ALL", "C").process_group(0).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Self { child, reaped: false })
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        if !self.reaped {
            // Until it is reaped, nobody else has its number.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The reading end of a pipe, until the other is closed, and what came.
struct Pipe<R> {
    from: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(from: Option<R>) -> Self {
        Self { from, bytes: Vec::new() }
    }

    /// Reads what is there, and tells whether there was something.
    fn read(&mut self) -> io::Result<bool> {
        let Some(from) = &mut self.from else { return Ok(false) };
        let mut fds = [PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) => return Ok(false),
            Err(Errno::INTR) => return Ok(true),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut buffer = [0; 8 << 10];
        let count = from.read(&mut buffer)?;
        self.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 {
            self.from = None;
        }
        Ok(count > 0)
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
    fn a_run_gives_both_outputs_and_the_end() {
        let script = "echo out; head -c 300000 /dev/zero >&2; echo end; exit 3";
        let finished = run("sh", ["-c", script], LONG, 100).unwrap();
        assert_eq!(finished.output, b"out\nend\n");
        assert_eq!((finished.status.code(), finished.said.len()), (Some(3), 4096));
        let finished = run("printf", ["%0100d", "1"], LONG, 100).unwrap();
        assert_eq!(finished.output.len(), 100);
    }

    #[test]
    fn a_run_that_hangs_or_drips_or_pours_is_ended() {
        let brief = Duration::from_millis(200);
        let kind = |script, cap| run("sh", ["-c", script], brief, cap).unwrap_err().kind();
        for script in
            ["sleep 1000", "exec >&- 2>&-; sleep 1000", "while echo x; do sleep 0.02; done"]
        {
            let start = Instant::now();
            assert_eq!(kind(script, 1 << 20), io::ErrorKind::TimedOut, "{script}");
            assert!(start.elapsed() < Duration::from_secs(10), "{script}");
        }
        assert_eq!(kind("yes >&2", 100), io::ErrorKind::TimedOut);
        assert_eq!(kind("yes", 100), io::ErrorKind::FileTooLarge);
        assert_eq!(kind("printf %0101d 1", 100), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_a_run_left_behind_is_killed_and_not_waited_for() {
        let start = Instant::now();
        let finished = run("sh", ["-c", "sleep 1000 & echo $!"], LONG, 100).unwrap();
        assert!(start.elapsed() < LONG / 2);
        let left = String::from_utf8(finished.output).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", left.trim()));
        let running = || stat().is_ok_and(|stat| !stat.contains(") Z "));
        while running() {
            assert!(start.elapsed() < LONG / 2, "still there");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_missing_program_is_not_found() {
        let error = run("no-such-program", ["x"], LONG, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);

        let error = Running::start("no-such-program", ["x"], LONG).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
