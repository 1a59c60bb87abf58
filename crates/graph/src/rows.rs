//! Walks over the rows of one index, for peers that copy what a layer knows: each node with its value, from a value on.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_model::StorType;
use myelin_value::{Buid, Value};

use crate::index;
use crate::layer::Layer;
use crate::scan::{Scan, Span};
use crate::sode::SodeRef;

/// Which index.
#[derive(Clone, Debug)]
pub enum RowsBy {
    /// The values of a form.
    Form(String),
    /// A property of a form, or without a form a universal property.
    Prop(Option<String>, String),
    /// A property of a tag, on one form or all.
    TagProp(Option<String>, String, String),
}

/// A walk over nodes and their values, in the order of the index.
pub struct RowWalk {
    layer: Arc<Layer>,
    scan: Scan,
    by: RowsBy,
    stor: Option<StorType>,
}

impl RowWalk {
    /// The next node and its value.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn next_row(&mut self) -> Result<Option<(Buid, Value)>> {
        while self.scan.advance()? {
            let buid = buid_of(self.scan.valu())?;
            let decoded = self.stor.and_then(|stor| index::decode_item(stor, self.scan.key().get(8..)?));
            let valu = match decoded {
                Some(valu) => Some(valu),
                None => self.stored(&buid)?,
            };
            if let Some(valu) = valu {
                return Ok(Some((buid, valu)));
            }
        }
        Ok(None)
    }

    fn stored(&self, buid: &Buid) -> Result<Option<Value>> {
        let Some(byts) = self.layer.sode(buid)? else { return Ok(None) };
        let sode = SodeRef::new(&byts);
        let stored = match &self.by {
            RowsBy::Form(_) => sode.valu()?,
            RowsBy::Prop(_, prop) => sode.prop(prop)?,
            RowsBy::TagProp(_, tag, prop) => sode.tagprop(tag, prop)?,
        };
        Ok(stored.map(|(valu, _)| valu))
    }
}

/// A walk over the nodes with a tag.
pub struct TagWalk {
    layer: Arc<Layer>,
    scan: Scan,
    tag: String,
    /// The row to begin with: what comes before it under the same key is passed over.
    from: Option<(Vec<u8>, Buid)>,
}

impl TagWalk {
    /// The next node, the tag's interval and the node's form.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn next_row(&mut self) -> Result<Option<(Buid, Value, String)>> {
        while self.scan.advance()? {
            if let Some((key, start)) = &self.from
                && self.scan.key() == &key[..]
                && self.scan.valu() < &start.0[..]
            {
                continue;
            }
            let buid = buid_of(self.scan.valu())?;
            let Some(byts) = self.layer.sode(&buid)? else { continue };
            let sode = SodeRef::new(&byts);
            if let (Some(valu), Some(form)) = (sode.tag(&self.tag)?, sode.form()?) {
                return Ok(Some((buid, valu, form.to_owned())));
            }
        }
        Ok(None)
    }
}

fn buid_of(byts: &[u8]) -> Result<Buid> {
    Buid::from_slice(byts).ok_or_else(|| err!("BadCoreStore", mesg = "An index row names no node."))
}

impl Layer {
    /// The rows of an index, from a value on. With a storage type the values are read from the index where it holds them.
    ///
    /// # Errors
    /// `BadTypeValu` for a first value that is not of the storage type; what reading fails with.
    pub fn row_walk(
        self: &Arc<Layer>,
        by: RowsBy,
        stor: Option<StorType>,
        from: Option<&Value>,
    ) -> Result<Option<RowWalk>> {
        let (table, abrv) = match &by {
            RowsBy::Form(form) => (self.tables.byprop, self.prop_abrv(Some(form), None)),
            RowsBy::Prop(form, prop) => (self.tables.byprop, self.prop_abrv(form.as_deref(), Some(prop))),
            RowsBy::TagProp(form, tag, prop) => (self.tables.bytagprop, self.tagprop_abrv(form.as_deref(), tag, prop)),
        };
        let Some(abrv) = abrv else { return Ok(None) };
        let mut first: Option<Vec<u8>> = None;
        if let (Some(stor), Some(valu)) = (stor, from) {
            index::for_each_key(stor, valu, &mut Vec::new(), |key| {
                first.get_or_insert_with(|| [&abrv[..], key].concat());
                Ok(())
            })?;
        }
        let span = Span::Range(first.unwrap_or_else(|| abrv.to_vec()), abrv.to_vec());
        let scan = Scan::fresh(&self.slab, table, span, false)?;
        Ok(Some(RowWalk { layer: self.clone(), scan, by, stor }))
    }

    /// The nodes with a tag, of one form or all, from a node of a form on.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn tag_walk(
        self: &Arc<Layer>,
        tag: &str,
        form: Option<&str>,
        from: Option<(Buid, &str)>,
    ) -> Result<Option<TagWalk>> {
        let form_abrv = |form| self.prop_abrv(Some(form), None);
        let Some(tag_abrv) = self.tag_abrv(tag) else { return Ok(None) };
        let pref = match form {
            None => tag_abrv.to_vec(),
            Some(form) => match form_abrv(form) {
                Some(abrv) => [tag_abrv, abrv].concat(),
                None => return Ok(None),
            },
        };
        let from = match from {
            None => None,
            // Who wants one form cannot begin with another.
            Some((_, start)) if form.is_some_and(|form| form != start) => return Ok(None),
            Some((buid, start)) => match form_abrv(start) {
                Some(abrv) => Some(([tag_abrv, abrv].concat(), buid)),
                None => return Ok(None),
            },
        };
        let first = from.as_ref().map_or_else(|| pref.clone(), |(key, _)| key.clone());
        let scan = Scan::fresh(&self.slab, self.tables.bytag, Span::Range(first, pref), false)?;
        Ok(Some(TagWalk { layer: self.clone(), scan, tag: tag.to_owned(), from }))
    }
}
