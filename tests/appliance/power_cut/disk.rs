//! A disk whose writes and flushes are recorded in their order, and disks as a
//! power cut at any moment would have left it: everything that was flushed by
//! then, and any part of the rest.
//!
//! qemu-storage-daemon records (blklogwrites, in the format of dm-log-writes) and
//! shows the disk as a file; the kernel mounts that file.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use crate::common::wait::{PATIENCE, holds, poll, wait_for};

const SECTOR: u64 = 512;
/// What a disk writes as a whole or not at all.
const BLOCK: usize = 4096;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// A mounted disk; unmounted when it is dropped.
pub(crate) struct Mounted {
    at: PathBuf,
    device: String,
}

impl Mounted {
    pub(crate) fn new(image: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(image));
        let device = device.trim().to_owned();
        let mounted = Self { at: at.to_owned(), device };
        run(Command::new("mount").arg(&mounted.device).arg(at));
        mounted
    }
}

impl Drop for Mounted {
    /// The device goes too, before its file may.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).output();
        let _ = Command::new("losetup").args(["--detach", &self.device]).output();
        // Let go of in the background, if somebody still looks at it.
        let backing = format!("/sys/block/{}/loop", self.device.trim_start_matches("/dev/"));
        let gone = || holds(!Path::new(&backing).exists(), ());
        let _ = poll(PATIENCE, gone);
    }
}

/// A recorder at work.
pub(crate) struct Recorder {
    daemon: Child,
    log: PathBuf,
    pub(crate) disk: PathBuf,
}

impl Recorder {
    /// Records what is written to a copy of `base`.
    pub(crate) fn new(program: &Path, base: &Path, dir: &Path) -> Self {
        let (image, log, disk) = (dir.join("image"), dir.join("writes"), dir.join("disk"));
        fs::copy(base, &image).unwrap();
        File::create(&log).unwrap();
        File::create(&disk).unwrap();
        let node = |node: &str, file: &Path| {
            format!("--blockdev=driver=file,node-name={node},filename={}", file.display())
        };
        let daemon = Command::new(program)
            .args([node("image", &image), node("log", &log)])
            .arg("--blockdev=driver=blklogwrites,node-name=recorded,file=image,log=log")
            .arg(format!(
                "--export=type=fuse,id=disk,node-name=recorded,mountpoint={},writable=on",
                disk.display()
            ))
            .spawn()
            .unwrap();
        wait_for("qemu-storage-daemon shows a disk", PATIENCE, || {
            let length = fs::metadata(&disk).unwrap().len();
            holds(length > 0, length)
        });
        Self { daemon, log, disk }
    }

    /// How far the record reaches: what was acknowledged before is within.
    pub(crate) fn reached(&self) -> u64 {
        fs::metadata(&self.log).unwrap().len()
    }

    /// Ends the recording; the disk must be unmounted.
    pub(crate) fn finish(&mut self) -> Recording {
        run(Command::new("kill").arg(self.daemon.id().to_string()));
        let ended = || self.daemon.try_wait().unwrap().ok_or("it runs");
        wait_for("qemu-storage-daemon ends", PATIENCE, ended);
        Recording::read(&self.log)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// All writes and flushes, in their order.
pub(crate) struct Recording {
    log: File,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    at: u64,
    length: u64,
    flags: u64,
    data: u64,
    /// Where it ends in the log.
    pub(crate) end: u64,
}

impl Recording {
    fn read(path: &Path) -> Self {
        let mut log = File::open(path).unwrap();
        let word = |bytes: &[u8], index: usize| {
            u64::from_le_bytes(bytes[index * 8..index * 8 + 8].try_into().unwrap())
        };
        let mut head = [0; 32];
        log.read_exact(&mut head).unwrap();
        assert_eq!((word(&head, 0), word(&head, 1)), (MAGIC, 1));
        assert_eq!(word(&head, 3) as u32, SECTOR as u32);
        let (count, mut at, mut entries) = (word(&head, 2), SECTOR, vec![]);
        for _ in 0..count {
            log.seek(SeekFrom::Start(at)).unwrap();
            log.read_exact(&mut head).unwrap();
            let (sector, sectors, flags) = (word(&head, 0), word(&head, 1), word(&head, 2));
            let data = at + SECTOR;
            at = data + if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
            let (start, length) = (sector * SECTOR, sectors * SECTOR);
            entries.push(Entry { at: start, length, flags, data, end: at });
        }
        Self { log, entries }
    }

    /// The index of the last flush among the first `count` entries.
    pub(crate) fn last_flush(&self, count: usize) -> usize {
        let flush = |entry: &Entry| entry.flags & FLUSH != 0;
        self.entries[..count].iter().rposition(flush).unwrap_or(0)
    }

    /// Behind the first `count` entries, the next flush, which has not happened yet.
    pub(crate) fn next_flush(&self, count: usize) -> usize {
        let flush = |entry: &Entry| entry.flags & FLUSH != 0;
        let next = self.entries[count..].iter().position(flush);
        next.map_or(self.entries.len(), |next| count + next)
    }

    /// Writes the entry at `index` to `image`: the blocks of it that `keep` says.
    pub(crate) fn apply(&mut self, index: usize, image: &mut File, keep: &mut dyn FnMut() -> bool) {
        let entry = self.entries[index];
        let mut data = vec![0; usize::try_from(entry.length).unwrap()];
        if entry.flags & DISCARD == 0 {
            self.log.seek(SeekFrom::Start(entry.data)).unwrap();
            self.log.read_exact(&mut data).unwrap();
        }
        for (number, block) in data.chunks(BLOCK).enumerate() {
            if keep() {
                image.seek(SeekFrom::Start(entry.at + (number * BLOCK) as u64)).unwrap();
                image.write_all(block).unwrap();
            }
        }
    }
}

/// What the command prints; it must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
