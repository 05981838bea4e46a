//! A small disk: a tmpfs in a mount namespace of its own, so that nothing of it is left when its process ends. Who is not
//! root is it in a user namespace, where the system allows that.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::peer::peers_are_there;

/// What takes the room away.
const BALLAST: &str = "ballast";
const MEBIBYTE: u64 = 1 << 20;

/// The disk, and the process that keeps it.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    keeper: Child,
    mount_point: TempDir,
}

impl SmallDisk {
    /// A disk of this many MiB; `None`, saying so, where the system does not allow it and the tests with programs from
    /// outside are not asked for.
    #[allow(clippy::print_stderr, reason = "a test that is not run says so")]
    pub(crate) fn mount(mebibytes: u64) -> Option<Self> {
        let mount_point = tempfile::tempdir().unwrap();
        let alone: &[&str] = if is_root() { &["--mount"] } else { &["--map-root-user", "--mount"] };
        let mut keeper = Command::new("unshare")
            .args(alone)
            .args(["sh", "-c", "mount -t tmpfs -o size=\"$0\" tmpfs \"$1\" && echo mounted && exec cat"])
            .arg(format!("{mebibytes}m"))
            .arg(mount_point.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("unshare: {e}"));
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let disk = Self { keeper, mount_point };
        if line == "mounted\n" {
            return Some(disk);
        }
        assert!(!peers_are_there(), "no disk can be mounted; that takes root, or user namespaces");
        eprintln!("not run: no disk can be mounted");
        None
    }

    /// What has a program see this disk.
    pub(crate) fn enter(&self) -> Vec<String> {
        let namespace = |name| format!("/proc/{}/ns/{name}", self.keeper.id());
        let mut command = vec!["nsenter".to_owned(), format!("--mount={}", namespace("mnt"))];
        if !is_root() {
            command.extend([format!("--user={}", namespace("user")), "--preserve-credentials".to_owned()]);
        }
        command
    }

    /// Where programs that see it find it.
    pub(crate) fn inside(&self) -> &Path {
        self.mount_point.path()
    }

    /// Where this process finds it.
    pub(crate) fn outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.inside().strip_prefix("/").unwrap())
    }

    /// Mounts it again with other options: `ro`, `rw`.
    pub(crate) fn remount(&self, options: &str) {
        let enter = self.enter();
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).args(["mount", "-o", &format!("remount,bind,{options}")]).arg(self.inside());
        let output = command.output().unwrap_or_else(|e| panic!("nsenter: {e}"));
        assert!(output.status.success(), "{output:?}");
    }

    /// Bytes that are free.
    pub(crate) fn room(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.outside()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Takes room away until at most this many MiB are left.
    pub(crate) fn fill_up_to(&self, mebibytes_left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.outside().join(BALLAST)).unwrap();
        let mut piece = vec![0; usize::try_from(MEBIBYTE).unwrap()];
        while self.room() > mebibytes_left * MEBIBYTE {
            let wanted = (self.room() - mebibytes_left * MEBIBYTE).min(MEBIBYTE);
            piece.resize(usize::try_from(wanted).unwrap(), 0);
            // Somebody else may have been faster.
            if ballast.write_all(&piece).is_err() {
                break;
            }
        }
    }

    /// Gives it back.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.outside().join(BALLAST)).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
