//! A check of what every service keeps: users, roles, gates and keys against one another, and the nexus log against itself and
//! against what the databases say they have of it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use myelin_error::Result;
use myelin_slab::tables::StateSum;
use myelin_slab::{Findings, Reads, Slab, show};
use myelin_value::{Map, Value, msgpack};

use crate::nexus::Event;

/// Checks the slab of a cell: `slabs/cell.lmdb`.
///
/// # Errors
/// What reading fails with. Damage goes to the findings.
pub fn verify_auth(slab: &Slab, found: &mut Findings) -> Result<()> {
    let Some(table) = found.table(slab, "auth")? else { return Ok(()) };
    let txn = slab.read()?;
    if let Some(stored) = StateSum::stored(slab)? {
        let counted = crate::auth::sum::table_sum(&txn, table)?;
        if counted != stored {
            found.bad(format!("the sum of auth is {counted:016x}, and {stored:016x} was kept"));
        }
    }
    let mut records: Vec<(String, Value)> = Vec::new();
    for row in txn.iter(table)? {
        let (key, valu) = row?;
        found.row();
        match (std::str::from_utf8(key), msgpack::decode(valu)) {
            (Ok(key), Ok(valu)) => records.push((key.to_owned(), valu)),
            _ => found.bad(format!("the row {} of auth cannot be read", show(key))),
        }
    }
    let under =
        |pref: &'static str| records.iter().filter_map(move |(key, valu)| Some((key.strip_prefix(pref)?, valu)));
    let users: HashSet<&str> = under("user:info:").map(|(iden, _)| iden).collect();
    let roles: HashSet<&str> = under("role:info:").map(|(iden, _)| iden).collect();
    let gates: HashSet<&str> = under("gate:info:").map(|(iden, _)| iden).collect();
    for (kind, idens) in [("user", &users), ("role", &roles)] {
        let pref = if kind == "user" { "user:name:" } else { "role:name:" };
        let info = if kind == "user" { "user:info:" } else { "role:info:" };
        for (name, iden) in under(pref) {
            if !iden.as_str().is_some_and(|iden| idens.contains(iden)) {
                found.bad(format!("the name {name} is of a {kind} that does not exist"));
            }
        }
        for (iden, record) in under(info) {
            let name = record.get("name").and_then(Value::as_str).unwrap_or_default();
            let named = under(pref).find(|(known, _)| *known == name).and_then(|(_, iden)| iden.as_str());
            if named != Some(iden) {
                found.bad(format!("the {kind} {iden} ({name}) is not found by its name"));
            }
            let held = record.get("authgates").and_then(Value::as_map).into_iter().flat_map(Map::text_entries);
            for (gate, _) in held.filter(|(gate, _)| !gates.contains(gate)) {
                found.bad(format!("the {kind} {name} has rights at the gate {gate}, which does not exist"));
            }
            for role in record.get("roles").and_then(Value::as_list).unwrap_or_default() {
                if !role.as_str().is_some_and(|role| roles.contains(role)) {
                    found.bad(format!("the user {name} has a role that does not exist: {role:?}"));
                }
            }
        }
    }
    for (email, iden) in under("user:email:") {
        if !iden.as_str().is_some_and(|iden| users.contains(iden)) {
            found.bad(format!("the address {email} is of a user that does not exist"));
        }
    }
    for (rest, _) in under("gate:").filter(|(rest, _)| !rest.starts_with("info:")) {
        let mut parts = rest.rsplitn(3, ':');
        let (iden, kind, gate) = (parts.next(), parts.next(), parts.next());
        let known = match kind {
            Some("user") => iden.is_some_and(|iden| users.contains(iden)),
            Some("role") => iden.is_some_and(|iden| roles.contains(iden)),
            _ => false,
        };
        if !known || !gate.is_some_and(|gate| gates.contains(gate)) {
            found.bad(format!("the row gate:{rest} is of a gate, user or role that does not exist"));
        }
    }
    verify_keys(slab, &users, found)
}

/// API keys are found both by key and by user.
fn verify_keys(slab: &Slab, users: &HashSet<&str>, found: &mut Findings) -> Result<()> {
    let (Some(keys), Some(meta)) = (slab.find_table("user:apikeys")?, slab.find_table("user:meta")?) else {
        return Ok(());
    };
    let txn = slab.read()?;
    for row in txn.iter(keys)? {
        let (key, user) = row?;
        found.row();
        if !users.contains(&*hex_of(user)) {
            found.bad(format!("the API key {} is of a user that does not exist", show(key)));
        } else if !txn.has(meta, &[user, b"apikey", key].concat())? {
            found.bad(format!("the API key {} has no definition", show(key)));
        }
    }
    for row in txn.iter(meta)? {
        let (key, valu) = row?;
        found.row();
        let parts = key.split_at_checked(16).and_then(|(user, rest)| Some((user, rest.strip_prefix(b"apikey")?)));
        if let Some((user, iden)) = parts
            && txn.get(keys, iden)? != Some(user)
        {
            found.bad(format!("the definition of the API key {} is not found by the key", show(iden)));
        }
        if msgpack::decode(valu).is_err() {
            found.bad(format!("the row {} of user:meta cannot be read", show(key)));
        }
    }
    Ok(())
}

fn hex_of(byts: &[u8]) -> String {
    byts.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the nexus log below `slabs/`, and that no database says it has more of the log than there is.
///
/// # Errors
/// What reading fails with. Damage goes to the findings.
pub fn verify_log(slabs: &Path, found: &mut Findings) -> Result<()> {
    let dirn = slabs.join("nexuslog");
    let mut segments: Vec<PathBuf> = match std::fs::read_dir(&dirn) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        Err(_) => return Ok(()),
    };
    // Of one that could not be made; whoever makes it next removes it.
    segments.retain(|path| path.extension().is_none_or(|ext| ext != "making"));
    segments.sort();
    let mut last: Option<u64> = None;
    for path in &segments {
        found.at(format!("nexus log, {}", path.file_name().unwrap_or_default().to_string_lossy()));
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(start) = name.strip_prefix("seqn").and_then(|hex| u64::from_str_radix(hex, 16).ok()) else {
            found.bad("the name is none of a segment");
            continue;
        };
        if last.is_some_and(|last| last >= start) {
            found.bad("the segment begins before the one before it ends");
        }
        if let Some(slab) = found.open(path)? {
            last = segment(&slab, start, found)?.or(last);
        }
    }
    found.at("nexus log");
    let next = last.map_or(0, |last| last + 1).max(counted(slabs).unwrap_or_default());
    let (mut behind, mut worst) = (0, next);
    for (slab, applied) in found.applied().to_vec() {
        if applied > next {
            found.bad(format!("{slab} has the log up to {applied}, and the log ends at {next}"));
        } else if applied < next {
            behind += 1;
            worst = worst.min(applied);
        }
    }
    if behind > 0 {
        found.note(format!("{behind} databases have the log up to {worst} of {next}; the next start applies the rest"));
    }
    Ok(())
}

fn counted(slabs: &Path) -> Option<u64> {
    let slab = Slab::open_readonly(&slabs.join("nexus.lmdb")).ok()?;
    let table = slab.find_table("nexs:indx").ok()??;
    let txn = slab.read().ok()?;
    let row = txn.get(table, b"nexs:indx").ok()??;
    Some(u64::from_be_bytes(row.try_into().ok()?))
}

fn segment(slab: &Slab, start: u64, found: &mut Findings) -> Result<Option<u64>> {
    let Some(table) = found.table(slab, "nexuslog")? else { return Ok(None) };
    let txn = slab.read()?;
    let mut last = None;
    for row in txn.iter(table)? {
        let (key, valu) = row?;
        found.row();
        let Ok(offs) = key.try_into().map(u64::from_be_bytes) else {
            found.bad(format!("an entry has the key {}, which is no offset", show(key)));
            continue;
        };
        if offs < start {
            found.bad(format!("entry {offs} is from before the segment's own start"));
        }
        match msgpack::decode(valu).map_err(Into::into).and_then(|valu| Event::unpack(&valu)) {
            Ok(_) => last = Some(offs),
            Err(error) => found.bad(format!("entry {offs} cannot be read: {error}")),
        }
    }
    Ok(last)
}
