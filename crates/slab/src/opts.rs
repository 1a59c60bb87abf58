//! How an environment is opened, and the `<slab>.opts.yaml` beside it by which an operator overrides that.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use myelin_error::{Result, err};

/// One gibibyte.
pub const GIB: u64 = 1 << 30;
/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// What a map reserves, while the process has reserved less than the second number. It has 128 TiB of addresses: that is
/// enough for 500 slabs of the first kind and 4000 of the second.
const RESERVES: [(u64, u64); 3] = [(64 * GIB, 32 << 40), (8 * GIB, 64 << 40), (GIB, 96 << 40)];

/// How to open a slab.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of the map at least. The file is only as long as what it holds.
    pub map_size: u64,
    /// Grow by exactly this much instead of by powers of two.
    pub growsize: Option<u64>,
    /// Never grow past this; at the cap a write fails with `DbOutOfSpace`.
    pub maxsize: Option<u64>,
    /// How many tables the slab may have.
    pub max_dbs: u32,
    /// Whether the kernel may read ahead.
    pub readahead: bool,
    /// Commits reach the disk and not only the kernel.
    pub durable: bool,
    /// Commit this slab before any other (the nexus log): what another slab holds, the log holds.
    pub commit_first: bool,
    /// Open for reading only, without a writer.
    pub readonly: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            map_size: GIB,
            growsize: None,
            maxsize: None,
            max_dbs: 128,
            readahead: true,
            durable: false,
            commit_first: false,
            readonly: false,
        }
    }
}

impl Options {
    /// For the cell's and the nexus' own slabs, which the reference opens with a smaller map.
    pub fn small() -> Options {
        Options { map_size: 128 * MIB, ..Options::default() }
    }

    /// For a segment of the nexus log.
    pub fn log() -> Options {
        Options { commit_first: true, ..Options::default() }
    }

    /// The same, opened for reading only.
    #[must_use]
    pub fn readonly(mut self) -> Options {
        self.readonly = true;
        self
    }

    /// The sizes of the map to try, largest first. Address space is all that a map costs, so that it is reserved for more than
    /// a service writes in one run: a map that never moves never waits for its readers. `reserved` is what the process has
    /// reserved already; with thousands of slabs each gets less. An operator's `growsize` or `maxsize` is kept to.
    pub(crate) fn initial_maps(&self, on_disk: u64, reserved: u64) -> Vec<u64> {
        let capped = |size: u64| self.maxsize.map_or(size, |cap| size.min(cap.max(on_disk))).next_multiple_of(4096);
        let least = self.map_size.max(on_disk);
        if self.growsize.is_some() {
            return vec![capped(least)];
        }
        let room = on_disk.saturating_mul(4);
        let wanted = RESERVES.iter().map(|(size, below)| (size.max(&room).max(&least), below));
        let fitting = wanted.filter(|(size, below)| reserved + **size <= **below).map(|(size, _)| *size);
        let mut sizes: Vec<u64> = fitting.chain([least]).map(capped).collect();
        sizes.dedup();
        sizes
    }

    /// The size after `size` was not enough; `None` at the cap.
    pub(crate) fn grown(&self, size: u64) -> Option<u64> {
        const STEP: u64 = 100 * GIB;
        let next = match self.growsize {
            Some(step) => size + step,
            None if size < 64 * GIB => (size + 1).next_power_of_two(),
            None => (size / STEP + 1) * STEP,
        };
        let next = self.maxsize.map_or(next, |cap| next.min(cap)) / 4096 * 4096;
        (next > size).then_some(next)
    }

    /// Applies the options file beside the slab, and rewrites it as the reference does.
    pub(crate) fn load_beside(&mut self, slab: &Path) -> Result<()> {
        let path = opts_path(slab);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(bad_opts(&path, &error)),
        };
        let body = text.trim_start_matches("---").trim_end().trim_end_matches("...").trim();
        if !body.is_empty() && body != "{}" {
            let file: OptsFile = serde_saphyr::from_str(body).map_err(|error| bad_opts(&path, &error))?;
            file.apply(self);
        }
        if !self.readonly && (text.is_empty() || (body == "{}" && (self.growsize.is_some() || self.maxsize.is_some())))
        {
            std::fs::write(&path, self.file_text()).map_err(|error| bad_opts(&path, &error))?;
        }
        Ok(())
    }

    fn file_text(&self) -> String {
        let lines: String = [("growsize", self.growsize), ("maxsize", self.maxsize)]
            .into_iter()
            .filter_map(|(name, valu)| valu.map(|valu| format!("{name}: {valu}\n")))
            .collect();
        if lines.is_empty() { "--- {}\n...\n".to_owned() } else { format!("---\n{lines}...\n") }
    }
}

/// What an operator may pin. Other keys are the reference's own business and are left alone.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct OptsFile {
    map_size: Option<u64>,
    growsize: Option<u64>,
    maxsize: Option<u64>,
    max_dbs: Option<u32>,
    readahead: Option<bool>,
}

impl OptsFile {
    fn apply(self, opts: &mut Options) {
        opts.map_size = self.map_size.unwrap_or(opts.map_size);
        opts.growsize = self.growsize.or(opts.growsize);
        opts.maxsize = self.maxsize.or(opts.maxsize);
        opts.max_dbs = self.max_dbs.unwrap_or(opts.max_dbs);
        opts.readahead = self.readahead.unwrap_or(opts.readahead);
    }
}

/// `<slab>.opts.yaml`, with `.lmdb` replaced.
pub fn opts_path(slab: &Path) -> PathBuf {
    if slab.extension().is_some_and(|ext| ext == "lmdb") {
        return slab.with_extension("opts.yaml");
    }
    let mut name = OsString::from(slab.as_os_str());
    name.push(".opts.yaml");
    PathBuf::from(name)
}

fn bad_opts(path: &Path, error: &dyn std::fmt::Display) -> myelin_error::Error {
    err!(
        "BadConfValu",
        mesg = format!("The slab options {} cannot be used: {error}", path.display()),
        path = path.display().to_string()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_grow_as_the_reference_grows_them() {
        let opts = Options::default();
        assert_eq!(opts.grown(GIB), Some(2 * GIB));
        assert_eq!(opts.grown(64 * GIB), Some(100 * GIB));
        assert_eq!(opts.grown(100 * GIB), Some(200 * GIB));
        let capped = Options { maxsize: Some(GIB), ..Options::default() };
        assert_eq!(capped.grown(GIB), None);
        let stepped = Options { growsize: Some(4096), ..Options::default() };
        assert_eq!(stepped.grown(GIB), Some(GIB + 4096));
    }

    #[test]
    fn maps_are_reserved_for_more_than_a_run_writes() {
        let opts = Options::small();
        assert_eq!(opts.initial_maps(0, 0), [64 * GIB, 8 * GIB, GIB, 128 * MIB]);
        assert_eq!(opts.initial_maps(100 * GIB, 0), [400 * GIB, 100 * GIB]);
        assert_eq!(opts.initial_maps(0, 32 << 40)[0], 8 * GIB);
        let capped = Options { maxsize: Some(GIB), ..Options::default() };
        assert_eq!(capped.initial_maps(0, 0), [GIB]);
        assert_eq!(capped.initial_maps(2 * GIB, 0), [2 * GIB]);
        let stepped = Options { growsize: Some(MIB), ..Options::small() };
        assert_eq!(stepped.initial_maps(0, 0), [128 * MIB]);
    }

    #[test]
    fn the_options_file_lies_beside_the_slab() {
        assert_eq!(opts_path(Path::new("a/cell.lmdb")), Path::new("a/cell.opts.yaml"));
        assert_eq!(opts_path(Path::new("a/jsonstor")), Path::new("a/jsonstor.opts.yaml"));
        assert_eq!(Options::default().file_text().len(), 11);
    }
}
