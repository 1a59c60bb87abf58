//! A check of a slab's file that trusts nothing in it: pages are read from the file, never through the map, so that a damaged
//! one is an entry in a list and not a fault of the process.
//!
//! What is checked: both meta pages; every page of every table is inside the file, says its own number, is of the kind its
//! place asks for, holds nodes inside its bounds in key order, and belongs to one place only; the tables hold as many rows as
//! they say; no page is used and free at once.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use myelin_error::{Result, err};

use crate::page::{
    BRANCH, Db, HEADER, LEAF, LEAF2, Meta, NO_PAGE, NODE_BIG, NODE_DUP, NODE_SUB, OVERFLOW, u16_at, u32_at, u64_at,
};

/// Deeper trees than this do not exist: each level has at least two children.
const DEPTH_MOST: u16 = 40;
/// Findings after which the rest of a file is not worth reading.
const FOUND_MOST: usize = 100;

/// What a check found.
#[derive(Debug, Default)]
pub struct FileCheck {
    /// Bytes that belong to tables.
    pub used: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// The tables by name.
    pub tables: Vec<String>,
    /// The last commit's number.
    pub txnid: u64,
    /// What is wrong; empty for a sound file.
    pub damage: Vec<String>,
}

/// Checks the file of the slab in a directory.
///
/// # Errors
/// What reading the file fails with. Damage is no error but what the check is for.
pub fn check_file(slab: &Path) -> Result<FileCheck> {
    let path = slab.join("data.mdb");
    let file = File::open(&path).map_err(|error| {
        err!(
            "NoSuchFile",
            mesg = format!("The slab file {} cannot be read: {error}", path.display()),
            path = path.display().to_string()
        )
    })?;
    let mut found = FileCheck::default();
    let metas = match Meta::read(&file, &path) {
        Ok(metas) => metas,
        Err(error) => {
            found.damage.push(error.message().to_owned());
            return Ok(found);
        }
    };
    for (numb, (meta, _)) in metas.iter().enumerate() {
        if meta.is_none() {
            found.damage.push(format!("meta page {numb} is unreadable"));
        }
    }
    let Some(meta) = metas.iter().filter_map(|(meta, _)| *meta).max_by_key(|meta| meta.txnid) else {
        return Ok(found);
    };
    found.txnid = meta.txnid;
    let size = file.metadata()?.len();
    let mut walk = Walk::new(&file, &meta, size);
    walk.tree("the list of tables", meta.main, true, &mut |_| {})?;
    for (name, db) in std::mem::take(&mut walk.tables) {
        walk.tree(&format!("table {name}"), db, true, &mut |_| {})?;
        found.tables.push(name);
    }
    found.used = walk.seen.len() as u64 * meta.psize as u64;
    found.rows = walk.rows;
    let used = std::mem::take(&mut walk.seen);
    let mut free = Vec::new();
    walk.free_list(meta.free, &mut free)?;
    found.free = free.len() as u64 * meta.psize as u64;
    if let Some(page) = free.iter().find(|page| used.contains(page)) {
        walk.damage.push(format!("page {page} is in use and in the list of free pages"));
    }
    found.damage.append(&mut walk.damage);
    Ok(found)
}

/// The free pages of a snapshot, in order.
pub(crate) fn free_pages(file: &File, meta: &Meta) -> Result<Vec<u64>> {
    let mut walk = Walk::new(file, meta, file.metadata()?.len());
    let mut pages = Vec::new();
    walk.free_list(meta.free, &mut pages)?;
    if let Some(damage) = walk.damage.first() {
        return Err(err!("BadCoreStore", mesg = format!("The list of free pages is damaged: {damage}.")));
    }
    pages.sort_unstable();
    Ok(pages)
}

/// The lowest page that is free together with all after it, if the file's end may be missing.
pub(crate) fn tail_is_free(file: &File, from: u64) -> Result<bool> {
    let metas = Meta::read(file, Path::new("data.mdb"))?;
    let Some(meta) = metas.iter().filter_map(|(meta, _)| *meta).max_by_key(|meta| meta.txnid) else {
        return Ok(false);
    };
    let pages = free_pages(file, &meta)?;
    let want = (meta.last_pgno + 1).saturating_sub(from);
    Ok(pages.iter().rev().take_while(|page| **page >= from).count() as u64 >= want)
}

/// Called with the value of each row that has one value.
type Visit<'a> = &'a mut dyn FnMut(&[u8]);

struct Walk<'f> {
    file: &'f File,
    psize: usize,
    last: u64,
    size: u64,
    seen: HashSet<u64>,
    rows: u64,
    tables: Vec<(String, Db)>,
    damage: Vec<String>,
}

impl<'f> Walk<'f> {
    fn new(file: &'f File, meta: &Meta, size: u64) -> Walk<'f> {
        Walk {
            file,
            psize: meta.psize,
            last: meta.last_pgno,
            size,
            seen: HashSet::new(),
            rows: 0,
            tables: Vec::new(),
            damage: Vec::new(),
        }
    }

    fn bad(&mut self, what: String) {
        if self.damage.len() < FOUND_MOST {
            self.damage.push(what);
        }
    }

    /// Walks one table and compares the number of its rows with what it says.
    fn tree(&mut self, name: &str, db: Db, ordered: bool, visit: Visit<'_>) -> Result<u64> {
        if db.root == NO_PAGE {
            if db.entries != 0 {
                self.bad(format!("{name} says that it has {} rows and has no page", db.entries));
            }
            return Ok(0);
        }
        if db.depth > DEPTH_MOST {
            self.bad(format!("{name} says that it is {} levels deep", db.depth));
            return Ok(0);
        }
        let before = self.damage.len();
        let count = self.pages(name, db.root, db.depth, ordered, visit)?;
        if count != db.entries && self.damage.len() == before {
            self.bad(format!("{name} has {count} rows and says that it has {}", db.entries));
        }
        Ok(count)
    }

    fn page(&mut self, name: &str, pgno: u64, count: u64) -> Result<Option<Vec<u8>>> {
        let end = pgno.saturating_add(count);
        if pgno < 2 || end > self.last + 1 {
            self.bad(format!("{name} refers to page {pgno}, which does not exist"));
            return Ok(None);
        }
        if end.saturating_mul(self.psize as u64) > self.size {
            self.bad(format!("{name} has page {pgno} behind the end of the file"));
            return Ok(None);
        }
        for page in pgno..end {
            if !self.seen.insert(page) {
                self.bad(format!("{name} refers to page {page}, which is in use elsewhere"));
                return Ok(None);
            }
        }
        let mut page = vec![0; self.psize];
        if let Err(error) = self.file.read_exact_at(&mut page, pgno * self.psize as u64) {
            self.bad(format!("{name}: page {pgno} cannot be read: {error}"));
            return Ok(None);
        }
        if u64_at(&page, 0) != Some(pgno) {
            self.bad(format!("{name}: page {pgno} does not say its own number"));
            return Ok(None);
        }
        Ok(Some(page))
    }

    fn pages(&mut self, name: &str, pgno: u64, depth: u16, ordered: bool, visit: Visit<'_>) -> Result<u64> {
        if self.damage.len() >= FOUND_MOST {
            return Ok(0);
        }
        let Some(page) = self.page(name, pgno, 1)? else { return Ok(0) };
        let flags = u16_at(&page, 10).unwrap_or_default();
        let want = if depth > 1 { BRANCH } else { LEAF };
        if flags & (BRANCH | LEAF | OVERFLOW | LEAF2) & !LEAF2 != want {
            self.bad(format!("{name}: page {pgno} is of the wrong kind ({flags:#x})"));
            return Ok(0);
        }
        let (lower, upper) =
            (u16_at(&page, 12).unwrap_or_default() as usize, u16_at(&page, 14).unwrap_or_default() as usize);
        if lower < HEADER || lower > upper || upper > self.psize || lower % 2 != 0 {
            self.bad(format!("{name}: page {pgno} has impossible bounds"));
            return Ok(0);
        }
        let keys = (lower - HEADER) / 2;
        if flags & LEAF2 != 0 {
            return Ok(keys as u64);
        }
        let mut count = 0;
        let mut last: Option<Vec<u8>> = None;
        for indx in 0..keys {
            let at = u16_at(&page, HEADER + indx * 2).unwrap_or_default() as usize;
            let node = Node::parse(&page, at).filter(|_| at >= upper);
            let Some(node) = node else {
                self.bad(format!("{name}: page {pgno} has a node outside of its bounds"));
                return Ok(count);
            };
            // The first key of a branch stands for everything below the second and is empty.
            let compared = ordered && !(want == BRANCH && indx == 0);
            if compared && last.as_deref().is_some_and(|last| last >= node.key) {
                self.bad(format!("{name}: page {pgno} is out of order"));
                return Ok(count);
            }
            last = compared.then(|| node.key.to_vec());
            if want == BRANCH {
                count += self.pages(name, node.child, depth - 1, ordered, visit)?;
            } else {
                count += self.leaf(name, pgno, &page, &node, ordered, visit)?;
            }
        }
        Ok(count)
    }

    fn leaf(
        &mut self,
        name: &str,
        pgno: u64,
        page: &[u8],
        node: &Node<'_>,
        ordered: bool,
        visit: Visit<'_>,
    ) -> Result<u64> {
        let valu = page.get(node.valu_at..node.valu_at + if node.flags & NODE_BIG != 0 { 8 } else { node.size });
        let Some(valu) = valu else {
            self.bad(format!("{name}: page {pgno} has a value outside of its bounds"));
            return Ok(0);
        };
        match node.flags {
            flags if flags & NODE_BIG != 0 => self.big(name, u64_at(valu, 0).unwrap_or_default(), node, visit),
            flags if flags & NODE_SUB != 0 => {
                let Some(db) = Db::parse(valu).filter(|_| valu.len() == Db::SIZE) else {
                    self.bad(format!("{name}: page {pgno} has a broken table"));
                    return Ok(0);
                };
                if flags & NODE_DUP == 0 {
                    self.tables.push((String::from_utf8_lossy(node.key).into_owned(), db));
                    return Ok(1);
                }
                self.tree(name, db, ordered, &mut |_| {})
            }
            flags if flags & NODE_DUP != 0 => {
                let lower = u16_at(valu, 12).unwrap_or_default() as usize;
                if lower < HEADER || lower > valu.len() {
                    self.bad(format!("{name}: page {pgno} has a broken list of values"));
                    return Ok(0);
                }
                let count = ((lower - HEADER) / 2) as u64;
                self.rows += count;
                Ok(count)
            }
            _ => {
                self.rows += 1;
                visit(valu);
                Ok(1)
            }
        }
    }

    fn big(&mut self, name: &str, first: u64, node: &Node<'_>, visit: Visit<'_>) -> Result<u64> {
        let count = (HEADER + node.size).div_ceil(self.psize) as u64;
        let Some(page) = self.page(name, first, count)? else { return Ok(0) };
        if u16_at(&page, 10).unwrap_or_default() & OVERFLOW == 0 || u32_at(&page, 12).map(u64::from) < Some(count) {
            self.bad(format!("{name}: page {first} is not the large value that it should be"));
            return Ok(0);
        }
        self.rows += 1;
        let mut byts = vec![0; node.size];
        match self.file.read_exact_at(&mut byts, first * self.psize as u64 + HEADER as u64) {
            Ok(()) => visit(&byts),
            Err(error) => self.bad(format!("{name}: page {first} cannot be read: {error}")),
        }
        Ok(1)
    }

    /// `txnid → [count, page…]`.
    fn free_list(&mut self, db: Db, pages: &mut Vec<u64>) -> Result<()> {
        let mut short = false;
        self.tree("the list of free pages", db, false, &mut |row| {
            let count = u64_at(row, 0).unwrap_or_default() as usize;
            let before = pages.len();
            pages.extend((1..=count).map_while(|numb| u64_at(row, numb.saturating_mul(8))));
            short |= pages.len() - before != count;
        })?;
        if short {
            self.bad("the list of free pages is shorter than it says".to_owned());
        }
        Ok(())
    }
}

struct Node<'p> {
    flags: u16,
    key: &'p [u8],
    /// Of a leaf: the size of the value.
    size: usize,
    /// Of a leaf: where the value, or what stands for it, begins.
    valu_at: usize,
    /// Of a branch.
    child: u64,
}

impl Node<'_> {
    fn parse(page: &[u8], at: usize) -> Option<Node<'_>> {
        let (low, high, flags) = (u16_at(page, at)?, u16_at(page, at + 2)?, u16_at(page, at + 4)?);
        let ksize = u16_at(page, at + 6)? as usize;
        let key = page.get(at + 8..at + 8 + ksize)?;
        let size = low as usize | (high as usize) << 16;
        let child = low as u64 | u64::from(high) << 16 | u64::from(flags) << 32;
        Some(Node { flags, key, size, valu_at: at + 8 + ksize, child })
    }
}
