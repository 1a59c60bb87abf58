//! A check of a layer that nobody has open: every index row against the storage nodes and back, node data and edges against
//! their reverse tables, abbreviations against themselves, and on request the log of edits against what it should have made.
//!
//! Rows are derived from each storage node and looked up; they are distinct, so that a table with as many rows as were derived,
//! none of them missing, is exactly the derived one. Only where the numbers differ is the table walked to name what is too much.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use myelin_error::Result;
use myelin_model::StorType;
use myelin_slab::tables::{Abrv, StateSum};
use myelin_slab::{Findings, ReadTxn, Reads, Slab, Table, Writer, show};
use myelin_value::{Buid, Map, Value, buid_of, msgpack};

use crate::edit::unpack_edits;
use crate::facts::Facts;
use crate::index;
use crate::layer::{LAYER_VERSION, Layer, pack_names};
use crate::sode::{Sode, SodeRef};

const INDEXES: [&str; 6] = ["byform", "byprop", "byarray", "byndef", "bytag", "bytagprop"];

/// Checks the layer in a directory.
///
/// # Errors
/// What reading fails with. Damage goes to the findings.
pub fn verify_layer(dir: &Path, found: &mut Findings) -> Result<()> {
    let place = format!("layer {}", dir.file_name().unwrap_or_default().to_string_lossy());
    let mut slabs = HashMap::new();
    for name in ["layer_v2", "nodedata", "nodeedits"] {
        found.at(format!("{place}, {name}"));
        let path = dir.join(format!("{name}.lmdb"));
        if !path.join("data.mdb").is_file() {
            found.bad("the slab is missing");
        } else if let Some(slab) = found.open(&path)? {
            slabs.insert(name, slab);
        }
    }
    found.at(format!("{place}, indexes"));
    let Some(slab) = slabs.get("layer_v2") else { return Ok(()) };
    let Some(check) = Check::open(slab, found)? else { return Ok(()) };
    check.sodes(found)?;
    found.at(format!("{place}, edges"));
    check.edges(found)?;
    if let Some(data) = slabs.get("nodedata") {
        found.at(format!("{place}, node data"));
        check.data(data, found)?;
    }
    found.at(format!("{place}, sums"));
    check.sums(slabs.get("nodedata"), found)?;
    if let Some(edits) = slabs.get("nodeedits") {
        found.at(format!("{place}, edits"));
        log(edits, found)?;
    }
    Ok(())
}

struct Check {
    slab: Slab,
    bybuid: Table,
    tables: BTreeMap<&'static str, Table>,
    props: HashMap<Vec<u8>, Abrv>,
    names: HashMap<Abrv, (Option<String>, Option<String>)>,
    tags: HashMap<Vec<u8>, Abrv>,
    tagprops: HashMap<Vec<u8>, Abrv>,
}

/// A row of an index: the table, the key, the value.
type Row = (&'static str, Vec<u8>, Vec<u8>);

impl Check {
    fn open(slab: &Slab, found: &mut Findings) -> Result<Option<Check>> {
        let version = match found.table(slab, "layer:meta")? {
            Some(meta) => slab.read()?.get_value(meta, b"version")?.and_then(|valu| valu.as_i64()),
            None => None,
        };
        if version != Some(LAYER_VERSION) {
            found.bad(format!("the version is {version:?}, not {LAYER_VERSION}"));
            return Ok(None);
        }
        for name in ["propabrv", "tagabrv", "tagpropabrv"] {
            found.inverse(slab, &format!("{name}:byts2abrv"), &format!("{name}:abrv2byts"))?;
        }
        let mut tables = BTreeMap::new();
        for name in INDEXES.into_iter().chain(["byverb", "edgesn1", "edgesn2", "edgesn1n2"]) {
            let Some(table) = found.table(slab, name)? else { return Ok(None) };
            tables.insert(name, table);
        }
        let Some(bybuid) = found.table(slab, "bybuidv3")? else { return Ok(None) };
        let props = abrvs(slab, "propabrv", found)?;
        let pair = |name: &[u8]| {
            let name = msgpack::decode(name).ok()?;
            let text = |indx| name.at(indx).and_then(|part| part.as_str().map(str::to_owned));
            Some((text(0), text(1)))
        };
        let names = props.iter().filter_map(|(name, abrv)| Some((*abrv, pair(name)?))).collect();
        let (tags, tagprops) = (abrvs(slab, "tagabrv", found)?, abrvs(slab, "tagpropabrv", found)?);
        Ok(Some(Check { slab: slab.clone(), bybuid, tables, props, names, tags, tagprops }))
    }

    fn sodes(&self, found: &mut Findings) -> Result<()> {
        let txn = self.slab.read()?;
        let mut forms: BTreeMap<String, i64> = BTreeMap::new();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for row in txn.iter(self.bybuid)? {
            let (key, byts) = row?;
            found.row();
            let (Some(buid), Ok(sode)) = (Buid::from_slice(key), Sode::decode(byts)) else {
                found.bad(format!("node {} cannot be read", show(key)));
                continue;
            };
            let Some(form) = sode.form() else {
                found.bad(format!("node {} has no form", show(key)));
                continue;
            };
            if let Some((valu, _)) = sode.valu() {
                *forms.entry(form.to_string()).or_default() += 1;
                if buid_of(&Value::list([Value::from(&**form), valu.clone()])) != buid {
                    found.bad(format!("node {} is not where its value {form} belongs", show(key)));
                }
            }
            let mut rows = self.rows_of(&buid, form, &sode, found);
            rows.sort_unstable();
            rows.dedup();
            for (name, key, valu) in rows {
                *counts.entry(name).or_default() += 1;
                if !txn.has_dup(self.tables[name], &key, &valu)? {
                    found.bad(format!("node {buid:?} ({form}) is not in {name} under {}", show(&key)));
                }
            }
        }
        for name in INDEXES {
            let (have, want) = (txn.entries(self.tables[name])?, counts.get(name).copied().unwrap_or_default());
            if have != want {
                let before = found.damage_count();
                self.extra(&txn, name, found)?;
                if have > want && found.damage_count() == before {
                    found.bad(format!("{name} has {have} rows, and the nodes make {want}"));
                }
            }
        }
        self.form_counts(forms, found)
    }

    fn form_counts(&self, mut forms: BTreeMap<String, i64>, found: &mut Findings) -> Result<()> {
        let Some(table) = found.table(&self.slab, "count:forms")? else { return Ok(()) };
        let txn = self.slab.read()?;
        for row in txn.iter(table)? {
            let (form, count) = row?;
            let form = String::from_utf8_lossy(form).into_owned();
            let count = count.try_into().map(i64::from_be_bytes).unwrap_or_default();
            let want = forms.remove(&form).unwrap_or_default();
            if count != want {
                found.bad(format!("count:forms says {count} for {form}, and there are {want}"));
            }
        }
        for (form, want) in forms {
            found.bad(format!("count:forms does not know {form}, and there are {want}"));
        }
        Ok(())
    }

    /// The sums that copies are compared by. Where none is known there is nothing to compare.
    fn sums(&self, data: Option<&Slab>, found: &mut Findings) -> Result<()> {
        let mut compare = |what: &str, slab: &Slab, count: &dyn Fn(&ReadTxn) -> Result<u64>| -> Result<()> {
            let Some(stored) = StateSum::stored(slab)? else { return Ok(()) };
            match count(&slab.read()?) {
                Ok(counted) if counted == stored => {}
                Ok(counted) => found.bad(format!("the sum of {what} is {counted:016x}, and {stored:016x} was kept")),
                // Damaged rows are named elsewhere.
                Err(error) => found.note(format!("the sum of {what} cannot be made: {error}")),
            }
            Ok(())
        };
        compare("the nodes and edges", &self.slab, &|txn| {
            Facts::default().of_layer(txn, self.bybuid, self.tables["edgesn1"])
        })?;
        let Some(data) = data else { return Ok(()) };
        let Some(rows) = data.find_table("nodedata")? else { return Ok(()) };
        compare("the node data", data, &|txn| {
            let name_of = |abrv: &[u8]| self.names.get(&Abrv::try_from(abrv).ok()?)?.0.clone();
            Facts::default().of_data(txn, rows, name_of)
        })
    }

    /// The index rows that a storage node makes. A name without an abbreviation was never indexed: that is damage too.
    fn rows_of(&self, buid: &Buid, form: &str, sode: &Sode, found: &mut Findings) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut lost = |what: String| found.bad(format!("node {buid:?} ({form}) has {what} without an abbreviation"));
        let prop_abrv = |form: Option<&str>, prop: Option<&str>| self.props.get(&pack_names(&[form, prop])).copied();
        let own = prop_abrv(Some(form), None);
        match own {
            Some(abrv) => rows.push(("byform", abrv.to_vec(), buid.0.to_vec())),
            None => lost("a form".to_owned()),
        }
        let mut odd = Vec::new();
        if let (Some((valu, stor)), Some(abrv)) = (sode.valu(), own)
            && let Err(error) = value_rows(buid, abrv, *stor, valu, false, &mut rows)
        {
            odd.push(error.to_string());
        }
        for (name, (valu, stor)) in sode.props() {
            let univ = name.starts_with('.').then(|| prop_abrv(None, Some(name)));
            for (numb, abrv) in [Some(prop_abrv(Some(form), Some(name))), univ].into_iter().flatten().enumerate() {
                match abrv {
                    None => lost(format!("the property {name}")),
                    Some(abrv) => {
                        if let Err(error) = value_rows(buid, abrv, *stor, valu, numb == 0, &mut rows) {
                            odd.push(error.to_string());
                        }
                    }
                }
            }
        }
        for tag in sode.tags().keys() {
            match (self.tags.get(tag.as_bytes()), own) {
                (Some(abrv), Some(own)) => rows.push(("bytag", [&abrv[..], &own].concat(), buid.0.to_vec())),
                _ => lost(format!("the tag {tag}")),
            }
        }
        let mut scratch = Vec::new();
        for (tag, props) in sode.tagprops() {
            for (prop, (valu, stor)) in props {
                for of in [None, Some(form)] {
                    let Some(abrv) = self.tagprops.get(&pack_names(&[of, Some(tag), Some(prop)])) else {
                        lost(format!("the tag property {tag}:{prop}"));
                        continue;
                    };
                    let done = index::for_each_key(*stor, valu, &mut scratch, |key| {
                        rows.push(("bytagprop", [&abrv[..], key].concat(), buid.0.to_vec()));
                        Ok(())
                    });
                    odd.extend(done.err().map(|error| error.to_string()));
                }
            }
        }
        odd.into_iter()
            .for_each(|what| found.note(format!("node {buid:?} ({form}) has a value without a key: {what}")));
        rows
    }

    /// Names the rows of an index that no storage node makes.
    fn extra(&self, txn: &ReadTxn, name: &'static str, found: &mut Findings) -> Result<()> {
        for row in txn.iter(self.tables[name])? {
            let (key, valu) = row?;
            found.row();
            let sode = match Buid::from_slice(valu.get(..32).unwrap_or_default()) {
                Some(buid) => txn.get(self.bybuid, &buid.0)?.and_then(|byts| Some((buid, Sode::decode(byts).ok()?))),
                None => None,
            };
            let made = sode.is_some_and(|(buid, sode)| {
                let Some(form) = sode.form().cloned() else { return false };
                let mut ignored = Findings::new(Box::new(|_, _| {}));
                let rows = self.rows_of(&buid, &form, &sode, &mut ignored);
                rows.iter().any(|(table, want, buid)| *table == name && want == key && buid == valu)
            });
            if !made {
                let abrv = key.get(..8).and_then(|abrv| self.names.get(&Abrv::try_from(abrv).ok()?));
                let of = abrv.filter(|_| name != "bytag" && name != "bytagprop" && name != "byndef");
                let of = of.map(|(form, prop)| {
                    format!(
                        " of {}{}",
                        form.as_deref().unwrap_or("*"),
                        prop.as_deref().map_or(String::new(), |prop| format!(":{prop}"))
                    )
                });
                found.bad(format!(
                    "{name} has a row{} {} for {} that no node makes",
                    of.unwrap_or_default(),
                    show(key),
                    show(valu)
                ));
            }
        }
        Ok(())
    }

    fn edges(&self, found: &mut Findings) -> Result<()> {
        let txn = self.slab.read()?;
        let table = |name: &str| self.tables[name];
        for row in txn.iter(table("edgesn1"))? {
            let (key, n2) = row?;
            found.row();
            let Some((n1, verb)) = key.split_at_checked(32).filter(|(_, verb)| !verb.is_empty() && n2.len() == 32)
            else {
                found.bad(format!("edgesn1 has the unreadable row {}", show(key)));
                continue;
            };
            let pair = [n1, n2].concat();
            let reverse = [
                ("edgesn2", [n2, verb].concat(), n1),
                ("byverb", verb.to_vec(), &pair[..]),
                ("edgesn1n2", pair.clone(), verb),
            ];
            for (name, key, valu) in reverse {
                if !txn.has_dup(table(name), &key, valu)? {
                    found.bad(format!("the edge {} -({})> {} is not in {name}", show(n1), show(verb), show(n2)));
                }
            }
            if !txn.has(self.bybuid, n1)? {
                found.bad(format!("the edge {} -({})> {} has no node to begin at", show(n1), show(verb), show(n2)));
            }
        }
        let want = txn.entries(table("edgesn1"))?;
        for name in ["edgesn2", "byverb", "edgesn1n2"] {
            let have = txn.entries(table(name))?;
            if have > want {
                found.bad(format!("{name} has {have} edges, and edgesn1 has {want}"));
            }
        }
        Ok(())
    }

    fn data(&self, slab: &Slab, found: &mut Findings) -> Result<()> {
        let (Some(rows), Some(names)) = (found.table(slab, "nodedata")?, found.table(slab, "dataname")?) else {
            return Ok(());
        };
        let (txn, nodes) = (slab.read()?, self.slab.read()?);
        for row in txn.iter(rows)? {
            let (key, valu) = row?;
            found.row();
            let Some((buid, abrv)) = key.split_at_checked(32).filter(|(_, abrv)| abrv.len() == 8) else {
                found.bad(format!("nodedata has the unreadable key {}", show(key)));
                continue;
            };
            if Abrv::try_from(abrv).is_ok_and(|abrv| !self.names.contains_key(&abrv)) {
                found.bad(format!("the data of node {} has a name without an abbreviation", show(buid)));
            }
            if msgpack::decode(valu).is_err() {
                found.bad(format!("the data of node {} cannot be read", show(buid)));
            }
            if !txn.has_dup(names, abrv, buid)? {
                found.bad(format!("the data of node {} is not in dataname", show(buid)));
            }
            if !nodes.has(self.bybuid, buid)? {
                found.bad(format!("there is data of node {}, which does not exist", show(buid)));
            }
        }
        let (have, want) = (txn.entries(names)?, txn.entries(rows)?);
        if have > want {
            found.bad(format!("dataname has {have} rows, and nodedata has {want}"));
        }
        Ok(())
    }
}

fn abrvs(slab: &Slab, name: &str, found: &mut Findings) -> Result<HashMap<Vec<u8>, Abrv>> {
    let mut all = HashMap::new();
    let Some(table) = found.table(slab, &format!("{name}:byts2abrv"))? else { return Ok(all) };
    for row in slab.read()?.iter(table)? {
        let (key, valu) = row?;
        match valu.try_into() {
            Ok(abrv) => drop(all.insert(key.to_vec(), abrv)),
            Err(_) => found.bad(format!("{name} has an abbreviation of the wrong length for {}", show(key))),
        }
    }
    Ok(all)
}

fn value_rows(buid: &Buid, abrv: Abrv, stor: StorType, valu: &Value, refs: bool, rows: &mut Vec<Row>) -> Result<()> {
    let mut whole = Vec::new();
    index::encode_item(if stor.is_array() { StorType::MSGP } else { stor }, valu, &mut whole)?;
    rows.push(("byprop", [&abrv[..], &whole].concat(), buid.0.to_vec()));
    let refs = refs && stor.item() == StorType::NDEF;
    let target = [&buid.0[..], &abrv].concat();
    if !stor.is_array() {
        if refs {
            rows.push(("byndef", whole, target));
        }
        return Ok(());
    }
    index::for_each_key(stor, valu, &mut Vec::new(), |key| {
        rows.push(("byarray", [&abrv[..], key].concat(), buid.0.to_vec()));
        if refs {
            rows.push(("byndef", key.to_vec(), target.clone()));
        }
        Ok(())
    })
}

/// Every entry of the log of edits can be read.
fn log(slab: &Slab, found: &mut Findings) -> Result<()> {
    let Some(table) = found.table(slab, "nodeedits")? else { return Ok(()) };
    let txn = slab.read()?;
    for row in txn.iter(table)? {
        let (key, valu) = row?;
        found.row();
        let good = key.len() == 8
            && msgpack::decode(valu).is_ok_and(|row| row.at(0).is_some_and(|edits| unpack_edits(edits).is_ok()));
        if !good {
            found.bad(format!("entry {} cannot be read", show(key)));
        }
    }
    Ok(())
}

/// Applies a layer's whole log of edits to an empty layer in `scratch`, and compares nodes, node data and edges with those of
/// the layer. Only for a layer that has logged every edit since it was made.
///
/// # Errors
/// What reading, and writing the scratch layer, fails with. Differences go to the findings.
pub fn verify_replay(dir: &Path, scratch: &Path, found: &mut Findings) -> Result<()> {
    let place = format!("layer {}, its log applied anew", dir.file_name().unwrap_or_default().to_string_lossy());
    found.at(place);
    let writer = Writer::start("replay")?;
    let done = replay(&writer, dir, scratch, found);
    done.and(writer.fini())?;
    let want = Contents::read(dir)?;
    let have = Contents::read(scratch)?;
    want.compare(&have, found);
    Ok(())
}

fn replay(writer: &Writer, dir: &Path, scratch: &Path, found: &mut Findings) -> Result<()> {
    let layer = Layer::open(writer, scratch, Map::new().with("iden", "replay"))?;
    let edits = Slab::open_readonly(&dir.join("nodeedits.lmdb"))?;
    let Some(table) = found.table(&edits, "nodeedits")? else { return Ok(()) };
    let txn = edits.read()?;
    for row in txn.iter(table)? {
        let (key, valu) = row?;
        found.row();
        let row = msgpack::decode(valu)?;
        let offs = key.try_into().map(u64::from_be_bytes).ok();
        let part = |indx| row.at(indx).cloned().unwrap_or(Value::Null);
        let ops = unpack_edits(&part(0))?;
        writer.run(|cx| layer.apply_edits(cx, &ops, &part(1), offs).map(drop))?;
    }
    layer.fini()
}

/// What a layer says, without the numbers that stand for names.
#[derive(Default)]
struct Contents {
    nodes: BTreeMap<Vec<u8>, Value>,
    data: BTreeMap<(Vec<u8>, String), Vec<u8>>,
    edges: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Contents {
    fn read(dir: &Path) -> Result<Contents> {
        let mut out = Contents::default();
        let slab = Slab::open_readonly(&dir.join("layer_v2.lmdb"))?;
        let data = Slab::open_readonly(&dir.join("nodedata.lmdb"))?;
        // A transaction knows the tables that were opened before it began.
        let [bybuid, edges, abrvs] = ["bybuidv3", "edgesn1", "propabrv:abrv2byts"].map(|name| slab.table(name, false));
        let nodedata = data.table("nodedata", false)?;
        let (txn, data_txn) = (slab.read()?, data.read()?);
        for row in txn.iter(bybuid?)? {
            let (key, valu) = row?;
            let sode = SodeRef::new(valu).to_value()?;
            // Maps that were emptied stay or do not; both say the same. The order of keys says nothing.
            let mut full: Vec<(String, Value)> = sode
                .as_map()
                .into_iter()
                .flat_map(Map::text_entries)
                .filter(|(_, valu)| valu.is_truthy())
                .map(|(key, valu)| (key.to_owned(), ordered(valu)))
                .collect();
            full.sort_by(|one, two| one.0.cmp(&two.0));
            out.nodes.insert(key.to_vec(), full.into_iter().collect::<Map>().into());
        }
        for row in txn.iter(edges?)? {
            let (key, valu) = row?;
            out.edges.entry(key.to_vec()).or_default().push(valu.to_vec());
        }
        let names: HashMap<Vec<u8>, Vec<u8>> =
            txn.iter(abrvs?)?.map(|row| row.map(|(key, valu)| (key.to_vec(), valu.to_vec()))).collect::<Result<_>>()?;
        for row in data_txn.iter(nodedata)? {
            let (key, valu) = row?;
            let (buid, abrv) = key.split_at_checked(32).unwrap_or((key, &[]));
            let name = names.get(abrv).and_then(|name| msgpack::decode(name).ok());
            let name = name.and_then(|name| name.at(0).and_then(|name| name.as_str().map(str::to_owned)));
            out.data.insert((buid.to_vec(), name.unwrap_or_default()), valu.to_vec());
        }
        Ok(out)
    }

    fn compare(&self, replayed: &Contents, found: &mut Findings) {
        differ(&self.nodes, &replayed.nodes, found, |key| format!("node {}", show(key)));
        differ(&self.data, &replayed.data, found, |(buid, name)| format!("the data {name} of node {}", show(buid)));
        differ(&self.edges, &replayed.edges, found, |key| {
            let (n1, verb) = key.split_at_checked(32).unwrap_or((key, &[]));
            format!("the edges {} of node {}", show(verb), show(n1))
        });
    }
}

/// A map with its keys in order, all the way down.
fn ordered(valu: &Value) -> Value {
    let Some(map) = valu.as_map() else { return valu.clone() };
    let sorted: BTreeMap<String, Value> =
        map.text_entries().map(|(key, valu)| (key.to_owned(), ordered(valu))).collect();
    sorted.into_iter().collect::<Map>().into()
}

fn differ<K: Ord, V: PartialEq>(
    layer: &BTreeMap<K, V>,
    replayed: &BTreeMap<K, V>,
    found: &mut Findings,
    name: impl Fn(&K) -> String,
) {
    for (key, valu) in layer {
        match replayed.get(key) {
            None => found.bad(format!("{} is not in the log", name(key))),
            Some(other) if other != valu => found.bad(format!("{} is other than the log makes it", name(key))),
            Some(_) => {}
        }
    }
    for key in replayed.keys().filter(|key| !layer.contains_key(key)) {
        found.bad(format!("{} is in the log and not in the layer", name(key)));
    }
}
