//! The layout of LMDB's pages, as far as copies and checks read the file themselves and not through the map.
//!
//! ```text
//! page   pgno(8) pad(2) flags(2) lower(2) upper(2) | pointers(2 each) … nodes, from the end of the page down
//! meta   page header, magic(4) version(4) address(8) mapsize(8) free db(48) main db(48) last pgno(8) txnid(8)
//! db     pad(4) flags(2) depth(2) branch(8) leaf(8) overflow(8) entries(8) root(8)
//! node   lo(2) hi(2) flags(2) key size(2) key value
//! ```
//! Numbers are the machine's, which is little-endian wherever LMDB files travel.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use myelin_error::{Result, err};

pub(crate) const HEADER: usize = 16;
pub(crate) const BRANCH: u16 = 0x01;
pub(crate) const LEAF: u16 = 0x02;
pub(crate) const OVERFLOW: u16 = 0x04;
pub(crate) const META: u16 = 0x08;
pub(crate) const LEAF2: u16 = 0x20;
pub(crate) const NODE_BIG: u16 = 0x01;
pub(crate) const NODE_SUB: u16 = 0x02;
pub(crate) const NODE_DUP: u16 = 0x04;
/// The root of an empty database.
pub(crate) const NO_PAGE: u64 = u64::MAX;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;

pub(crate) fn u16_at(byts: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(byts.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(byts: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(byts.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(byts: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(byts.get(at..at + 8)?.try_into().ok()?))
}

/// A database: where its tree begins and what it should hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Db {
    pub depth: u16,
    pub entries: u64,
    pub root: u64,
}

impl Db {
    pub const SIZE: usize = 48;

    pub fn parse(byts: &[u8]) -> Option<Db> {
        Some(Db { depth: u16_at(byts, 6)?, entries: u64_at(byts, 32)?, root: u64_at(byts, 40)? })
    }
}

/// What a commit leaves in one of the two meta pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub psize: usize,
    pub free: Db,
    pub main: Db,
    pub last_pgno: u64,
    pub txnid: u64,
}

impl Meta {
    /// Nothing for a page that is no meta page of this format.
    pub fn parse(page: &[u8]) -> Option<Meta> {
        let body = page.get(HEADER..)?;
        if u16_at(page, 10)? & META == 0 || u32_at(body, 0)? != MAGIC || u32_at(body, 4)? != VERSION {
            return None;
        }
        let psize = u32_at(body, 24)? as usize;
        if !psize.is_power_of_two() || !(256..=65536).contains(&psize) {
            return None;
        }
        let (free, main) = (Db::parse(&body[24..])?, Db::parse(body.get(72..)?)?);
        Some(Meta { psize, free, main, last_pgno: u64_at(body, 120)?, txnid: u64_at(body, 128)? })
    }

    /// Both meta pages of a file, with their bytes.
    pub fn read(file: &File, path: &Path) -> Result<[(Option<Meta>, Vec<u8>); 2]> {
        let bad = |what: &str| {
            let mesg = format!("The slab file {} is damaged: {what}.", path.display());
            err!("BadCoreStore", mesg = mesg, path = path.display().to_string())
        };
        let mut head = [0; 152];
        file.read_exact_at(&mut head, 0).map_err(|_| bad("it is shorter than its first page"))?;
        // The page size stands in the first page even where that is older than the second.
        let psize = u32_at(&head, HEADER + 24).unwrap_or_default() as usize;
        if Meta::parse(&head).is_none() && !(psize.is_power_of_two() && (256..=65536).contains(&psize)) {
            return Err(bad("its first page is none of LMDB's"));
        }
        let mut pages = vec![0; 2 * psize];
        file.read_exact_at(&mut pages, 0).map_err(|_| bad("it is shorter than its first two pages"))?;
        let (zero, one) = pages.split_at(psize);
        let parsed = |page: &[u8]| Meta::parse(page).filter(|meta| meta.psize == psize);
        Ok([(parsed(zero), zero.to_vec()), (parsed(one), one.to_vec())])
    }
}

/// Whether a file is one of LMDB's, of the version used here.
pub(crate) fn is_ours(path: &Path) -> bool {
    let metas = File::open(path).map_err(Into::into).and_then(|file| Meta::read(&file, path));
    metas.is_ok_and(|metas| metas.iter().any(|(meta, _)| meta.is_some()))
}
