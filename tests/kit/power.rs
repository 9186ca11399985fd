//! Power cuts on a real file system: an ext4 image on a loop device, shut down without flushing its journal.
//!
//! After [`PowerRig::cut`] nothing more reaches the image; mounting it again shows what a machine would find. This models
//! a disk that keeps what it was sent and loses the rest. Needs root and loop mounts: [`PowerRig::new`] says when not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::crash::{Delays, Tally, Workload, complaint, write_until_cut};

/// `EXT4_IOC_SHUTDOWN` with the flag that drops the journal too. The workspace forbids `unsafe`, so Python calls it.
const SHUTDOWN: &str = "import fcntl,os,struct,sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// A mounted image.
pub struct PowerRig {
    folder: TempDir,
    mounted: bool,
}

impl PowerRig {
    /// Makes and mounts an image of `bytes` (sparse). Errors: why this machine cannot.
    pub fn new(bytes: u64) -> Result<PowerRig, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let mut rig = PowerRig { folder, mounted: false };
        let image = File::create(rig.image()).map_err(|error| error.to_string())?;
        image.set_len(bytes).map_err(|error| error.to_string())?;
        fs::create_dir(rig.mount_point()).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(rig.image()))?;
        rig.mount()?;
        // A kernel without the call would make every later cut a no-op.
        rig.cut()?;
        rig.restore()?;
        Ok(rig)
    }

    /// A folder on the image.
    pub fn home(&self) -> PathBuf {
        self.mount_point().join("home")
    }

    /// From now on every write, and every sync, fails; what was not synced is gone.
    pub fn cut(&self) -> Result<(), String> {
        run(Command::new("python3").args(["-c", SHUTDOWN]).arg(self.mount_point()))
    }

    /// The power is back: unmounts and mounts. No process may have files open there.
    pub fn restore(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    fn mount(&mut self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.mount_point()))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        run(Command::new("umount").arg(self.mount_point()))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for PowerRig {
    fn drop(&mut self) {
        if self.mounted {
            // A rig that cannot be unmounted is left to whoever looks at the failed test.
            let _ = self.unmount();
        }
    }
}

/// A memory file system of a fixed size.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of `bytes`. Errors: why this machine cannot.
    pub fn new(bytes: u64) -> Result<SmallDisk, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let size = format!("size={bytes}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()))?;
        Ok(SmallDisk { folder })
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(self.folder.path()));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Cuts the power under the writer `rounds` times in one home, and verifies after each.
pub fn cut_power(workload: &Workload<'_>, rig: &mut PowerRig, rounds: u32, seed: u64) -> Result<Tally, String> {
    let (mut tally, mut delays) = (Tally::default(), Delays::new(seed));
    let home = rig.home();
    for round in 1..=rounds {
        let mut cut = Ok(());
        let writer = (workload.write)(&home);
        let last = write_until_cut(writer, delays.next(round), |child: &mut Child| {
            cut = rig.cut();
            let _ = child.kill();
        });
        cut?;
        rig.restore()?;
        let last = last.map_err(|error| error.to_string())?.max(tally.acknowledged);
        tally.add(last, complaint((workload.verify)(&home, last)).map_err(|error| error.to_string())?);
    }
    Ok(tally)
}
