//! What users, roles and gates add up to, for the comparison of copies.

use myelin_error::Result;
use myelin_slab::tables::{StateSum, fact, valu_fact};
use myelin_slab::{ReadTxn, Reads, Table};
use myelin_value::{Value, msgpack};

use super::Auth;
use crate::HasSum;

/// The number of a row of the table `auth`. The password of root is left out: an option sets it, on each service its own.
pub(crate) fn row_fact(key: &[u8], valu: &[u8]) -> u64 {
    let number = match msgpack::decode(valu) {
        Ok(Value::Map(info)) if key.starts_with(b"user:info:") && info.get_str("name") == Some("root") => {
            let mut info = (*info).clone();
            info.remove("passwd");
            valu_fact(&info.into())
        }
        Ok(valu) => valu_fact(&valu),
        // Damage counts as what it is.
        Err(_) => fact(valu),
    };
    fact(&[key, &number.to_be_bytes()].concat())
}

/// All rows of the table.
pub(crate) fn table_sum(txn: &ReadTxn, table: Table) -> Result<u64> {
    let mut sum = 0u64;
    for row in txn.iter(table)? {
        let (key, valu) = row?;
        sum = sum.wrapping_add(row_fact(key, valu));
    }
    Ok(sum)
}

impl HasSum for Auth {
    fn state_sum(&self, next: Option<u64>) -> Option<u64> {
        let sum = &self.0.sum;
        next.map_or_else(|| sum.now(), |next| sum.at(next))
    }

    fn count_sum(&self) -> Result<()> {
        if self.0.sum.is_known() {
            return Ok(());
        }
        self.0.sum.count(|txn| table_sum(txn, self.0.stor.table()))
    }
}

/// Opens the sum of a slab with the table `auth`.
pub(super) fn open(slab: &myelin_slab::Slab, table: Table) -> Result<StateSum> {
    let writer = slab.writer()?;
    writer.run(|cx| {
        let empty = cx.iter(table)?.next().is_none();
        StateSum::open_in(cx, slab, empty)
    })
}
