//! What a layer holds, as numbers that add up to one: see [`StateSum`].
//!
//! A fact is a node's value, a property, a tag, a property of a tag, a piece of node data or a light edge. It is hashed from
//! names and values, never from abbreviations or the order in which a storage node has its parts: those depend on how a copy
//! came to be.

use myelin_error::{Result, err};
use myelin_model::StorType;
use myelin_slab::tables::{StateSum, fact};
use myelin_slab::{ReadTxn, Reads, Table};
use myelin_value::{Buid, Value, msgpack};

use crate::layer::Layer;
use crate::sode::SodeRef;

/// The kinds of facts.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    Valu = 1,
    Prop,
    Tag,
    TagProp,
    Data,
    Edge,
}

/// Makes facts, in a buffer of its own.
#[derive(Default)]
pub(crate) struct Facts {
    byts: Vec<u8>,
}

impl Facts {
    fn begin(&mut self, kind: Kind, buid: &Buid, names: [&str; 2]) {
        self.byts.clear();
        self.byts.push(kind as u8);
        self.byts.extend_from_slice(&buid.0);
        for name in names {
            self.byts.extend_from_slice(&(name.len() as u32).to_le_bytes());
            self.byts.extend_from_slice(name.as_bytes());
        }
    }

    /// A value. One that is null is no fact: it stands for nothing.
    pub fn valu(&mut self, kind: Kind, buid: &Buid, names: [&str; 2], valu: &Value, stor: Option<StorType>) -> u64 {
        if valu.is_null() {
            return 0;
        }
        self.begin(kind, buid, names);
        self.byts.extend_from_slice(&stor.map_or(-1, |stor| i64::from(stor.0)).to_le_bytes());
        msgpack::encode_into(&mut self.byts, valu);
        fact(&self.byts)
    }

    /// A piece of node data, as stored.
    pub fn data(&mut self, buid: &Buid, name: &str, byts: &[u8]) -> u64 {
        self.begin(Kind::Data, buid, [name, ""]);
        self.byts.extend_from_slice(byts);
        fact(&self.byts)
    }

    /// A light edge.
    pub fn edge(&mut self, n1: &Buid, verb: &[u8], n2: &Buid) -> u64 {
        self.byts.clear();
        self.byts.push(Kind::Edge as u8);
        self.byts.extend_from_slice(&n1.0);
        self.byts.extend_from_slice(&n2.0);
        self.byts.extend_from_slice(verb);
        fact(&self.byts)
    }

    /// All facts of a storage node.
    pub fn sode(&mut self, buid: &Buid, byts: &[u8]) -> Result<u64> {
        let sode = SodeRef::new(byts);
        let mut sum = 0u64;
        let mut add = |fact: u64| sum = sum.wrapping_add(fact);
        if let Some((valu, stor)) = sode.valu()? {
            add(self.valu(Kind::Valu, buid, ["", ""], &valu, Some(stor)));
        }
        sode.each_prop(|prop, valu, stor| add(self.valu(Kind::Prop, buid, [prop, ""], &valu, Some(stor))))?;
        sode.each_tag(|tag, valu| add(self.valu(Kind::Tag, buid, [tag, ""], &valu, None)))?;
        sode.each_tagprop(|tag, prop, valu, stor| {
            add(self.valu(Kind::TagProp, buid, [tag, prop], &valu, Some(stor)));
        })?;
        Ok(sum)
    }

    /// All facts of a layer's own slab.
    pub fn of_layer(&mut self, txn: &ReadTxn, bybuid: Table, edgesn1: Table) -> Result<u64> {
        let bad = || err!("BadCoreStore", mesg = "A row of the layer names no node.");
        let mut sum = 0u64;
        for row in txn.iter(bybuid)? {
            let (key, byts) = row?;
            sum = sum.wrapping_add(self.sode(&Buid::from_slice(key).ok_or_else(bad)?, byts)?);
        }
        for row in txn.iter(edgesn1)? {
            let (key, n2) = row?;
            let (n1, verb) = key.split_at_checked(32).ok_or_else(bad)?;
            let (n1, n2) = Buid::from_slice(n1).zip(Buid::from_slice(n2)).ok_or_else(bad)?;
            sum = sum.wrapping_add(self.edge(&n1, verb, &n2));
        }
        Ok(sum)
    }

    /// All facts of a layer's slab of node data. `name_of` knows the name behind an abbreviation.
    pub fn of_data(
        &mut self,
        txn: &ReadTxn,
        nodedata: Table,
        name_of: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<u64> {
        let bad = || err!("BadCoreStore", mesg = "A row of node data names no node, or has no name.");
        let mut sum = 0u64;
        for row in txn.iter(nodedata)? {
            let (key, byts) = row?;
            let (buid, abrv) = key.split_at_checked(32).ok_or_else(bad)?;
            let (buid, name) = Buid::from_slice(buid).zip(name_of(abrv)).ok_or_else(bad)?;
            sum = sum.wrapping_add(self.data(&buid, &name, byts));
        }
        Ok(sum)
    }
}

/// The two sums of a layer: of its slab, and of its slab of node data.
#[derive(Clone)]
pub(crate) struct Sums {
    pub layer: StateSum,
    pub data: StateSum,
}

/// Comparing with copies.
impl Layer {
    /// One number for all that the layer held when everything below an offset of the nexus log was applied, or holds now.
    /// Nothing if that is not known (any more).
    #[must_use]
    pub fn state_sum(&self, next: Option<u64>) -> Option<u64> {
        let sums = self.sums();
        let of = |sum: &StateSum| next.map_or_else(|| sum.now(), |next| sum.at(next));
        Some(of(&sums.layer)?.wrapping_add(of(&sums.data)?))
    }

    /// Counts what the sum begins with, where that is not known: after another program has written. Reads all of the
    /// layer; blocks.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn count_sum(&self) -> Result<()> {
        let (sums, tables) = (self.sums(), &self.tables);
        if !sums.layer.is_known() {
            sums.layer.count(|txn| Facts::default().of_layer(txn, tables.bybuid, tables.edgesn1))?;
        }
        if !sums.data.is_known() {
            sums.data.count(|txn| Facts::default().of_data(txn, tables.nodedata, |abrv| self.name_of(abrv)))?;
        }
        Ok(())
    }
}
