//! What a verification collects: what is damaged, what is odd but harmless, and how much was looked at.

use std::path::Path;
use std::time::{Duration, Instant};

use myelin_error::Result;

use crate::{Reads, Slab, Table, check_file};

/// Findings of each kind that are kept; the rest is counted.
const KEPT_MOST: usize = 1000;
/// How often progress is told.
const PERIOD: Duration = Duration::from_secs(5);

/// Hears how far a verification is: the part it is at, and the rows looked at so far.
pub type Progress = Box<dyn FnMut(&str, u64)>;

/// The findings of a verification.
pub struct Findings {
    damage: Vec<String>,
    notes: Vec<String>,
    more: u64,
    rows: u64,
    applied: Vec<(String, u64)>,
    place: String,
    told: Instant,
    progress: Progress,
}

impl Findings {
    /// None so far.
    pub fn new(progress: Progress) -> Findings {
        Findings {
            damage: Vec::new(),
            notes: Vec::new(),
            more: 0,
            rows: 0,
            applied: Vec::new(),
            place: String::new(),
            told: Instant::now(),
            progress,
        }
    }

    /// What is looked at from now on; it is named in what is found.
    pub fn at(&mut self, place: impl Into<String>) {
        self.place = place.into();
        (self.progress)(&self.place, self.rows);
        self.told = Instant::now();
    }

    /// Something is damaged.
    pub fn bad(&mut self, what: impl std::fmt::Display) {
        if self.damage.len() < KEPT_MOST {
            self.damage.push(format!("{}: {what}", self.place));
        } else {
            self.more += 1;
        }
    }

    /// Something is odd, and no reason to worry.
    pub fn note(&mut self, what: impl std::fmt::Display) {
        if self.notes.len() < KEPT_MOST {
            self.notes.push(format!("{}: {what}", self.place));
        }
    }

    /// A row was looked at.
    #[inline]
    pub fn row(&mut self) {
        self.rows += 1;
        if self.rows.is_multiple_of(4096) && self.told.elapsed() > PERIOD {
            (self.progress)(&self.place, self.rows);
            self.told = Instant::now();
        }
    }

    /// What is damaged.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// What is odd.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How much damage was found, kept or not.
    pub fn damage_count(&self) -> u64 {
        self.damage.len() as u64 + self.more
    }

    /// Rows looked at.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Up to where the opened slabs have the nexus log, as far as they say.
    pub fn applied(&self) -> &[(String, u64)] {
        &self.applied
    }

    /// Checks the pages of a slab's file and opens it for reading. Nothing if it is too damaged for that: it is not opened
    /// then, since the library below trusts what it reads.
    pub fn open(&mut self, slab: &Path) -> Result<Option<Slab>> {
        let checked = check_file(slab)?;
        let sound = checked.damage.is_empty();
        checked.damage.iter().for_each(|what| self.bad(what));
        self.rows += checked.rows;
        if !sound {
            return Ok(None);
        }
        match Slab::open_readonly(slab) {
            Ok(slab) => {
                if let Some(applied) = slab.applied_at_open() {
                    self.applied.push((slab_name(slab.path()), applied));
                }
                Ok(Some(slab))
            }
            Err(error) => {
                self.bad(error);
                Ok(None)
            }
        }
    }

    /// A table that must be there.
    pub fn table(&mut self, slab: &Slab, name: &str) -> Result<Option<Table>> {
        let table = slab.find_table(name)?;
        if table.is_none() {
            self.bad(format!("there is no table {name}"));
        }
        Ok(table)
    }

    /// Checks that the rows of `back` are those of `there` with key and value exchanged.
    pub fn inverse(&mut self, slab: &Slab, there: &str, back: &str) -> Result<()> {
        let (Some(from), Some(into)) = (self.table(slab, there)?, self.table(slab, back)?) else { return Ok(()) };
        let txn = slab.read()?;
        for row in txn.iter(from)? {
            let (key, valu) = row?;
            self.row();
            if txn.get(into, valu)? != Some(key) {
                self.bad(format!("{there} has {} without its row in {back}", show(key)));
            }
        }
        if txn.entries(from)? != txn.entries(into)? {
            self.bad(format!("{back} has other rows than {there}"));
        }
        Ok(())
    }
}

/// The last two parts of a path: layers have slabs of the same names.
fn slab_name(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// Bytes for a message: text where they are text, else hex.
pub fn show(byts: &[u8]) -> String {
    match std::str::from_utf8(byts) {
        Ok(text) if !text.is_empty() && text.chars().all(|ch| ch.is_ascii_graphic() || ch == ' ') => text.to_owned(),
        _ => byts.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
