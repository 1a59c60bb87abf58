//! A check of an object store that nobody has open: paths, objects and the counts of their paths.

use std::collections::HashMap;

use myelin_error::Result;
use myelin_slab::{Findings, Reads, Slab, show};
use myelin_value::msgpack;

/// Checks the tables `<prefix>:paths`, `<prefix>:items` and `<prefix>:meta` of a slab.
///
/// # Errors
/// What reading fails with. Damage goes to the findings.
pub fn verify_objs(slab: &Slab, prefix: &str, found: &mut Findings) -> Result<()> {
    let mut table = |name: &str| found.table(slab, &format!("{prefix}:{name}"));
    let (Some(paths), Some(items), Some(meta)) = (table("paths")?, table("items")?, table("meta")?) else {
        return Ok(());
    };
    let txn = slab.read()?;
    let mut refs: HashMap<Vec<u8>, i64> = HashMap::new();
    for row in txn.iter(paths)? {
        let (path, iden) = row?;
        found.row();
        *refs.entry(iden.to_vec()).or_default() += 1;
        if !txn.has(items, iden)? {
            found.bad(format!("the path {} is of an object that does not exist", show(path).replace('\0', "/")));
        }
    }
    for row in txn.iter(items)? {
        let (iden, item) = row?;
        found.row();
        if msgpack::decode(item).is_err() {
            found.bad(format!("the object {} cannot be read", show(iden)));
        }
        let want = refs.get(iden).copied().unwrap_or_default();
        let have = txn.get_value(meta, &[iden, b"refs"].concat())?.and_then(|refs| refs.as_i64()).unwrap_or_default();
        if want == 0 {
            found.bad(format!("the object {} has no path", show(iden)));
        } else if have != want {
            found.bad(format!("the object {} says that it has {have} paths, and has {want}", show(iden)));
        }
    }
    Ok(())
}
