//! `$lib.compression`: bzip2, gzip and zlib.

use std::io::{Read, Write};

use myelin_error::err;

use super::help::bytes_item;
use crate::ctl::Flow;
use crate::item::{Arg, FuncDef, Item, trim_text};
use crate::registry::LibDef;

const VALU: &[Arg] = &[Arg::req("valu")];

/// The most bytes that unpacking makes: a small bomb should not end the service.
const MAX_SIZE: u64 = 1 << 30;

/// bzip2.
pub static BZIP2: LibDef = LibDef {
    path: "compression.bzip2",
    funcs: &[
        FuncDef::ro("en", VALU, |rt, _, args| run(&Item::Val(args.prim(rt, 0)?), "bzip2 compression", bzip)),
        FuncDef::rw("un", VALU, |rt, _, args| run(&Item::Val(args.prim(rt, 0)?), "bzip2 decompression", bunzip)),
    ],
    consts: &[],
};

/// gzip.
pub static GZIP: LibDef = LibDef {
    path: "compression.gzip",
    funcs: &[
        FuncDef::ro("en", VALU, |rt, _, args| run(&Item::Val(args.prim(rt, 0)?), "gzip compression", gzip)),
        FuncDef::rw("un", VALU, |rt, _, args| run(&Item::Val(args.prim(rt, 0)?), "gzip decompression", gunzip)),
    ],
    consts: &[],
};

/// zlib.
pub static ZLIB: LibDef = LibDef {
    path: "compression.zlib",
    funcs: &[
        FuncDef::ro("en", VALU, |rt, _, args| run(&Item::Val(args.prim(rt, 0)?), "zlib compression", zlib)),
        FuncDef::rw("un", VALU, |rt, _, args| run(&Item::Val(args.prim(rt, 0)?), "zlib decompression", unzlib)),
    ],
    consts: &[],
};

type Coder = fn(&[u8]) -> std::io::Result<Vec<u8>>;

/// Runs a coder over the bytes of an item.
///
/// # Errors
/// `StormRuntimeError` naming what was done.
pub fn run(item: &Item, what: &str, coder: Coder) -> Flow<Item> {
    let made = match super::help::bytes_of(item) {
        Some(byts) => coder(&byts).map_err(|error| error.to_string()),
        None => Err("a bytes-like object is required".to_owned()),
    };
    match made {
        Ok(byts) => Ok(bytes_item(byts)),
        Err(why) => {
            let mesg = format!("Error during {what} - {why}: {}", trim_text(&format!("{item:?}")));
            Err(err!("StormRuntimeError", mesg = mesg).into())
        }
    }
}

fn read_all(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let size = reader.take(MAX_SIZE + 1).read_to_end(&mut out)?;
    if size as u64 > MAX_SIZE {
        return Err(std::io::Error::other("the unpacked data is too large"));
    }
    Ok(out)
}

/// Packs with bzip2.
///
/// # Errors
/// None in practice.
pub fn bzip(byts: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    writer.write_all(byts)?;
    writer.finish()
}

/// Unpacks bzip2, several streams in a row too.
///
/// # Errors
/// When it is no such data, or ends early.
pub fn bunzip(byts: &[u8]) -> std::io::Result<Vec<u8>> {
    if byts.is_empty() {
        return Ok(Vec::new());
    }
    read_all(bzip2::read::MultiBzDecoder::new(byts))
}

/// Packs with gzip, without a time in the header.
///
/// # Errors
/// None in practice.
pub fn gzip(byts: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(byts)?;
    writer.finish()
}

/// Unpacks gzip, several members in a row too.
///
/// # Errors
/// When it is no such data, or ends early.
pub fn gunzip(byts: &[u8]) -> std::io::Result<Vec<u8>> {
    if byts.is_empty() {
        return Ok(Vec::new());
    }
    read_all(flate2::read::MultiGzDecoder::new(byts))
}

fn zlib(byts: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(byts)?;
    writer.finish()
}

fn unzlib(byts: &[u8]) -> std::io::Result<Vec<u8>> {
    if byts.is_empty() {
        return Err(std::io::Error::other("incomplete or truncated stream"));
    }
    read_all(flate2::read::ZlibDecoder::new(byts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_data_comes_back() {
        let pairs: [(Coder, Coder); 3] = [(bzip, bunzip), (gzip, gunzip), (zlib, unzlib)];
        for (pack, unpack) in pairs {
            let packed = pack(b"foobar foobar").expect("packs");
            assert_eq!(unpack(&packed).expect("unpacks"), b"foobar foobar");
            assert!(unpack(b"newp").is_err());
            assert!(unpack(&packed[..packed.len() - 4]).is_err());
        }
    }
}
