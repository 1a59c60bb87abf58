//! A check of the files of an axon that nobody has open: every one against its hash and its size, chunks against their offsets.

use std::path::Path;

use myelin_error::Result;
use myelin_slab::{Findings, ReadTxn, Reads, Table, show};
use sha2::{Digest, Sha256};

/// Checks the slabs `axon.lmdb` and `blob.lmdb` in a directory.
///
/// # Errors
/// What reading fails with. Damage goes to the findings.
pub fn verify_axon(dirn: &Path, found: &mut Findings) -> Result<()> {
    found.at("files, axon.lmdb");
    let axon = found.open(&dirn.join("axon.lmdb"))?;
    found.at("files, blob.lmdb");
    let blob = found.open(&dirn.join("blob.lmdb"))?;
    let (Some(axon), Some(blob)) = (axon, blob) else { return Ok(()) };
    found.at("files");
    let Some(sizes) = found.table(&axon, "sizes")? else { return Ok(()) };
    let (Some(blobs), Some(offsets)) = (found.table(&blob, "blobs")?, found.table(&blob, "offsets")?) else {
        return Ok(());
    };
    let metrics = axon.find_table("metrics")?;
    let (names, txn) = (axon.read()?, blob.read()?);
    let (mut count, mut bytes) = (0, 0);
    for row in names.iter(sizes)? {
        let (sha256, size) = row?;
        found.row();
        let size = size.try_into().map(u64::from_be_bytes).unwrap_or_default();
        count += 1;
        bytes += size;
        verify_file(&txn, (blobs, offsets), sha256, size, found)?;
    }
    leftovers(&txn, blobs, &names, sizes, found)?;
    if let Some(metrics) = metrics {
        for (name, want) in [("file:count", count), ("size:bytes", bytes)] {
            let have = names.get(metrics, name.as_bytes())?.and_then(|row| row.try_into().ok().map(u64::from_be_bytes));
            if have != Some(want) {
                found.bad(format!("the metric {name} says {have:?}, and there are {want}"));
            }
        }
    }
    Ok(())
}

fn verify_file(txn: &ReadTxn, tables: (Table, Table), sha256: &[u8], size: u64, found: &mut Findings) -> Result<()> {
    let (blobs, offsets) = tables;
    let (mut hash, mut total, mut chunks) = (Sha256::new(), 0u64, 0u64);
    for row in txn.prefix(blobs, sha256)? {
        let (key, byts) = row?;
        found.row();
        hash.update(byts);
        total += byts.len() as u64;
        let end = [sha256, &total.to_be_bytes()].concat();
        if txn.get(offsets, &end)? != key.get(32..) {
            found.bad(format!("the file {} has a chunk that is not found by its offset {total}", show(sha256)));
        }
        chunks += 1;
    }
    if total != size {
        found.bad(format!("the file {} has {total} bytes and should have {size}", show(sha256)));
    } else if hash.finalize()[..] != *sha256 {
        found.bad(format!("the file {} has other bytes than its hash says", show(sha256)));
    }
    if txn.count_prefix(offsets, sha256)? > chunks {
        found.bad(format!("the file {} has offsets without a chunk", show(sha256)));
    }
    Ok(())
}

/// Chunks of files that were never finished take space and do no harm.
fn leftovers(txn: &ReadTxn, blobs: Table, names: &ReadTxn, sizes: Table, found: &mut Findings) -> Result<()> {
    let mut last: Vec<u8> = Vec::new();
    for row in txn.iter(blobs)? {
        let Some(sha256) = row?.0.get(..32) else { continue };
        if sha256 != last {
            last = sha256.to_vec();
            if !names.has(sizes, sha256)? {
                found.note(format!("there are chunks of {}, which was never finished", show(sha256)));
            }
        }
    }
    Ok(())
}
