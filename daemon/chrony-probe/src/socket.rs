// SPDX-License-Identifier: GPL-2.0-only
//! The socket to chronyd. The crate's own client knows only one path, and
//! needs IPv6 for UDP.

use std::{
    ffi::OsStr,
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::unix::{ffi::OsStrExt as _, fs::FileTypeExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{fs::Mode, process::umask};

use crate::failure::Failure;

/// How our end's name in the file system begins.
const NAME: &str = "chrony-probe.";
/// An end that nobody has open is swept away when it is this old.
const STALE: Duration = Duration::from_secs(60);

/// Where chronyd listens for commands.
pub(crate) enum Address {
    Unix(PathBuf),
    Udp(SocketAddr),
}

/// A socket that sends to and receives from that address only.
pub(crate) enum Socket {
    Unix { socket: UnixDatagram, _own: Own },
    Udp(UdpSocket),
}

/// Our end's path: chronyd answers to it. It goes when we go.
pub(crate) struct Own(PathBuf);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Address {
    pub(crate) fn parse(text: &OsStr) -> Result<Self, Failure> {
        let bytes = text.as_bytes();
        if let Some(path) = bytes.strip_prefix(b"unix:").filter(|path| path.starts_with(b"/")) {
            return Ok(Self::Unix(OsStr::from_bytes(path).into()));
        }
        let udp = bytes.strip_prefix(b"udp:").and_then(|host| std::str::from_utf8(host).ok());
        if let Some(address) = udp.and_then(|address| address.parse().ok()) {
            return Ok(Self::Udp(address));
        }
        let text = text.display();
        Err(Failure::Usage(format!("{text} is neither unix:/PATH nor udp:IP:PORT")))
    }
}

impl Socket {
    /// Opens a socket to `address`; for a path, our own end is made in
    /// `bind_dir` or beside chronyd's.
    pub(crate) fn open(address: &Address, bind_dir: Option<PathBuf>) -> Result<Self, Failure> {
        match address {
            Address::Unix(path) => {
                let beside = path.parent().unwrap_or(Path::new("/")).to_owned();
                let folder = bind_dir.unwrap_or(beside);
                sweep(&folder);
                Self::unix(path, &folder)
            }
            Address::Udp(to) => {
                let any = if to.is_ipv4() {
                    SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
                } else {
                    SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
                };
                let connected = UdpSocket::bind(any).and_then(|socket| {
                    socket.connect(to)?;
                    Ok(socket)
                });
                connected.map(Self::Udp).map_err(|error| failure(&format!("udp:{to}"), &error))
            }
        }
    }

    fn unix(path: &Path, folder: &Path) -> Result<Self, Failure> {
        let name = format!("{NAME}{}.{:08x}.sock", std::process::id(), random());
        let own = folder.join(name);
        let in_folder = |error| failure(&folder.display().to_string(), &error);
        // chronyd, which is another user, has to be able to write to it. Not by
        // chmod: who owns the folder could put a link in its place.
        umask(Mode::empty());
        let socket = UnixDatagram::bind(&own).map_err(in_folder)?;
        let own = Own(own);
        let to = |error| failure(&format!("unix:{}", path.display()), &error);
        socket.connect(path).map_err(to)?;
        Ok(Self::Unix { socket, _own: own })
    }

    /// Sends a datagram, unless the queue stays full `within` that time.
    pub(crate) fn send(&self, bytes: &[u8], within: Duration) -> io::Result<Option<usize>> {
        in_time(match self {
            Self::Unix { socket, .. } => {
                socket.set_write_timeout(Some(within))?;
                socket.send(bytes)
            }
            Self::Udp(socket) => socket.send(bytes),
        })
    }

    /// A datagram; one that comes not `within` that time is `None`.
    pub(crate) fn receive(&self, buffer: &mut [u8], within: Duration) -> io::Result<Option<usize>> {
        in_time(match self {
            Self::Unix { socket, .. } => {
                socket.set_read_timeout(Some(within))?;
                socket.recv(buffer)
            }
            Self::Udp(socket) => {
                socket.set_read_timeout(Some(within))?;
                socket.recv(buffer)
            }
        })
    }
}

/// Nothing, where it did not happen in time.
fn in_time(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(length) => Ok(Some(length)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        },
    }
}

/// A failure of the socket, by what an operator has to do about it.
pub(crate) fn failure(place: &str, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::PermissionDenied => Failure::NoPermission(format!("{place}: {error}")),
        _ => Failure::Unavailable(format!("{place}: {error}")),
    }
}

/// What nobody guesses: std seeds its hashers from the system's randomness.
pub(crate) fn random() -> u32 {
    let hash = RandomState::new().hash_one(());
    u32::try_from(hash >> 32).unwrap_or_default()
}

/// Removes the ends of probes that were killed: nobody has them open.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().as_bytes().starts_with(NAME.as_bytes());
        let Ok(found) = entry.metadata() else { continue };
        let age = found.modified().ok().and_then(|time| time.elapsed().ok());
        if !ours || !found.file_type().is_socket() || age.is_none_or(|age| age < STALE) {
            continue;
        }
        let connected = UnixDatagram::unbound().and_then(|socket| socket.connect(entry.path()));
        if connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
