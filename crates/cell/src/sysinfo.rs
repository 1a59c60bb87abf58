//! What `getSystemInfo` says of the machine.

use std::path::Path;

use myelin_error::Result;
use myelin_value::Map;

use crate::Cell;

/// Sizes in bytes, times in milliseconds.
impl Cell {
    /// What is known of the machine that the service runs on. Blocks.
    ///
    /// # Errors
    /// What the system does not tell.
    pub fn system_info(&self) -> Result<Map> {
        system_info(self)
    }
}

pub(crate) fn system_info(cell: &Cell) -> Result<Map> {
    let (volsize, volfree) = volume(cell.dirn())?;
    let (backsize, backfree) = match cell.conf().str("backup:dir") {
        Some(path) => volume(Path::new(&path)).unwrap_or_default(),
        None => (0, 0),
    };
    let (real, apparent) = dir_size(cell.dirn());
    let (totalmem, availmem) = memory();
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let osversion = format!("{}-{}-{}", text(uname.sysname()), text(uname.release()), text(uname.machine()));
    Ok(Map::new()
        .with("volsize", volsize)
        .with("volfree", volfree)
        .with("backupvolsize", backsize)
        .with("backupvolfree", backfree)
        .with("cellstarttime", cell.inner().startms)
        .with("celluptime", cell.uptime().as_millis() as u64)
        .with("cellrealdisk", real)
        .with("cellapprdisk", apparent)
        .with("osversion", osversion)
        .with("pyversion", "")
        .with("totalmem", totalmem)
        .with("availmem", availmem)
        .with("cpucount", std::thread::available_parallelism().map_or(1, |count| count.get() as u64))
        .with("sysctls", crate::host::sysctls())
        .with("tmpdir", std::env::temp_dir().display().to_string()))
}

/// Size and free space of the volume a path lies on.
pub(crate) fn volume(path: &Path) -> Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path).map_err(std::io::Error::from)?;
    Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
}

/// What a directory takes on the disk, and what its files say they hold.
pub(crate) fn dir_size(path: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(path) else { return (0, 0) };
    entries.flatten().fold((0, 0), |(real, apparent), entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => {
            let (sub_real, sub_apparent) = dir_size(&entry.path());
            (real + sub_real, apparent + sub_apparent)
        }
        Ok(meta) if meta.is_file() => (real + meta.blocks() * 512, apparent + meta.len()),
        _ => (real, apparent),
    })
}

fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    (field("MemTotal:").unwrap_or_default(), field("MemAvailable:").unwrap_or_default())
}
