//! The storage node ("sode"): what one layer holds of one node, as msgpack.
//!
//! ```text
//! {form: text, valu: [value, stortype], props: {name: [value, stortype]}, tags: {tag: [min, max]},
//!  tagprops: {tag: {prop: [value, stortype]}}}
//! ```
//!
//! [`SodeRef`] reads the stored bytes and decodes only what is asked. [`Sode`] is the owned form that edits work on. It
//! keeps the order in which its keys were first touched, an emptied key included, so that it encodes to the bytes the
//! reference would write.

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Result, err};
use myelin_model::StorType;
use myelin_value::msgpack::{self, DecodeError, Reader};
use myelin_value::{Map, Value};
use smallvec::SmallVec;

/// A value with its storage type.
pub type Stored = (Value, StorType);

/// A storage node as bytes, read lazily.
#[derive(Clone, Copy)]
pub struct SodeRef<'a>(&'a [u8]);

type Found<T> = std::result::Result<Option<T>, DecodeError>;

impl<'a> SodeRef<'a> {
    /// Over the stored bytes.
    pub fn new(byts: &'a [u8]) -> SodeRef<'a> {
        SodeRef(byts)
    }

    /// The form's name.
    pub fn form(self) -> Result<Option<&'a str>> {
        Ok(self.field(b"form")?.map(|mut field| field.str()).transpose()?)
    }

    /// Whether the node was added in this layer.
    pub fn has_valu(self) -> Result<bool> {
        Ok(self.field(b"valu")?.is_some())
    }

    /// The primary value.
    pub fn valu(self) -> Result<Option<Stored>> {
        Ok(self.field(b"valu")?.map(|mut field| stored(&mut field)).transpose()?)
    }

    /// Whether a property is set.
    pub fn has_prop(self, name: &str) -> Result<bool> {
        Ok(self.entry(b"props", name)?.is_some())
    }

    /// A property.
    pub fn prop(self, name: &str) -> Result<Option<Stored>> {
        Ok(self.entry(b"props", name)?.map(|mut field| stored(&mut field)).transpose()?)
    }

    /// Whether any tag is set.
    pub fn has_tags(self) -> Result<bool> {
        Ok(match self.field(b"tags")? {
            Some(mut field) => field.map()? > 0,
            None => false,
        })
    }

    /// Whether a tag is set.
    pub fn has_tag(self, name: &str) -> Result<bool> {
        Ok(self.entry(b"tags", name)?.is_some())
    }

    /// A tag's interval.
    pub fn tag(self, name: &str) -> Result<Option<Value>> {
        Ok(self.entry(b"tags", name)?.map(|mut field| field.value()).transpose()?)
    }

    /// A property of a tag.
    pub fn tagprop(self, tag: &str, name: &str) -> Result<Option<Stored>> {
        let Some(mut props) = self.entry(b"tagprops", tag)? else { return Ok(None) };
        Ok(find(&mut props, name.as_bytes())?.map(|mut field| stored(&mut field)).transpose()?)
    }

    /// Whether a property of a tag is set.
    pub fn has_tagprop(self, tag: &str, name: &str) -> Result<bool> {
        let Some(mut props) = self.entry(b"tagprops", tag)? else { return Ok(false) };
        Ok(find(&mut props, name.as_bytes())?.is_some())
    }

    /// The properties that a function gives a number for, with that number. The others are passed over.
    pub fn pick_props(self, mut want: impl FnMut(&[u8]) -> Option<usize>) -> Result<SmallVec<[(usize, Value); 4]>> {
        let mut found = SmallVec::new();
        let Some(mut field) = self.field(b"props")? else { return Ok(found) };
        for _ in 0..field.map()? {
            match want(field.str_bytes()?) {
                Some(indx) => found.push((indx, stored(&mut field)?.0)),
                None => {
                    field.skip()?;
                }
            }
        }
        Ok(found)
    }

    /// Calls `each` with every property.
    pub fn each_prop(self, mut each: impl FnMut(&'a str, Value, StorType)) -> Result<()> {
        let Some(mut field) = self.field(b"props")? else { return Ok(()) };
        for _ in 0..field.map()? {
            let name = field.str()?;
            let (valu, stor) = stored(&mut field)?;
            each(name, valu, stor);
        }
        Ok(())
    }

    /// Calls `each` with every tag and its interval.
    pub fn each_tag(self, mut each: impl FnMut(&'a str, Value)) -> Result<()> {
        let Some(mut field) = self.field(b"tags")? else { return Ok(()) };
        for _ in 0..field.map()? {
            let name = field.str()?;
            each(name, field.value()?);
        }
        Ok(())
    }

    /// Calls `each` with every property of every tag.
    pub fn each_tagprop(self, mut each: impl FnMut(&'a str, &'a str, Value, StorType)) -> Result<()> {
        let Some(mut field) = self.field(b"tagprops")? else { return Ok(()) };
        for _ in 0..field.map()? {
            let tag = field.str()?;
            for _ in 0..field.map()? {
                let name = field.str()?;
                let (valu, stor) = stored(&mut field)?;
                each(tag, name, valu, stor);
            }
        }
        Ok(())
    }

    /// The whole as a value.
    pub fn to_value(self) -> Result<Value> {
        Ok(msgpack::decode(self.0)?)
    }

    fn field(self, name: &[u8]) -> Found<Reader<'a>> {
        find(&mut Reader::new(self.0), name)
    }

    fn entry(self, field: &[u8], name: &str) -> Found<Reader<'a>> {
        match self.field(field)? {
            Some(mut field) => find(&mut field, name.as_bytes()),
            None => Ok(None),
        }
    }
}

/// The value under a key of the map that the cursor is at.
fn find<'a>(map: &mut Reader<'a>, name: &[u8]) -> Found<Reader<'a>> {
    for _ in 0..map.map()? {
        if map.str_bytes()? == name {
            return Ok(Some(Reader::new(map.rest())));
        }
        map.skip()?;
    }
    Ok(None)
}

/// What a storage node has by name.
pub type Names<T> = IndexMap<Arc<str>, T, foldhash::fast::RandomState>;

/// A `[value, stortype]` pair.
fn stored(field: &mut Reader<'_>) -> std::result::Result<Stored, DecodeError> {
    field.array()?;
    let valu = field.value()?;
    Ok((valu, StorType(field.u64()? as u16)))
}

/// The keys of a storage node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The form's name.
    Form,
    /// The primary value.
    Valu,
    /// Properties.
    Props,
    /// Tags.
    Tags,
    /// Properties of tags.
    TagProps,
}

impl Key {
    fn name(self) -> &'static [u8] {
        match self {
            Key::Form => b"form",
            Key::Valu => b"valu",
            Key::Props => b"props",
            Key::Tags => b"tags",
            Key::TagProps => b"tagprops",
        }
    }
}

/// A storage node in memory.
#[derive(Clone, Debug, Default)]
pub struct Sode {
    order: SmallVec<[Key; 5]>,
    form: Option<Arc<str>>,
    valu: Option<Stored>,
    props: Names<Stored>,
    tags: Names<Value>,
    tagprops: Names<Names<Stored>>,
}

impl Sode {
    /// From the stored bytes.
    ///
    /// # Errors
    /// `BadCoreStore` for a key no storage node has, else what decoding fails with.
    pub fn decode(byts: &[u8]) -> Result<Sode> {
        let mut sode = Sode::default();
        let mut read = Reader::new(byts);
        for _ in 0..read.map()? {
            match read.str_bytes()? {
                b"form" => sode.set_form(&Arc::from(read.str()?)),
                b"valu" => sode.set_valu(stored(&mut read)?),
                b"props" => {
                    sode.touch(Key::Props);
                    for _ in 0..read.map()? {
                        sode.props.insert(Arc::from(read.str()?), stored(&mut read)?);
                    }
                }
                b"tags" => {
                    sode.touch(Key::Tags);
                    for _ in 0..read.map()? {
                        sode.tags.insert(Arc::from(read.str()?), read.value()?);
                    }
                }
                b"tagprops" => {
                    sode.touch(Key::TagProps);
                    for _ in 0..read.map()? {
                        let props = sode.tagprops.entry(Arc::from(read.str()?)).or_default();
                        for _ in 0..read.map()? {
                            props.insert(Arc::from(read.str()?), stored(&mut read)?);
                        }
                    }
                }
                other => {
                    let name = String::from_utf8_lossy(other).into_owned();
                    let mesg = format!("A stored node has the unknown key {name}.");
                    return Err(err!("BadCoreStore", mesg = mesg, name = name));
                }
            }
        }
        Ok(sode)
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let pair = |out: &mut Vec<u8>, (valu, stor): &Stored| {
            msgpack::write_array_len(out, 2);
            msgpack::encode_into(out, valu);
            msgpack::write_u64(out, u64::from(stor.code()));
        };
        let props = |out: &mut Vec<u8>, props: &Names<Stored>| {
            msgpack::write_map_len(out, props.len());
            for (name, stored) in props {
                msgpack::write_str(out, name.as_bytes());
                pair(out, stored);
            }
        };
        let there = |key: &Key| match key {
            Key::Form => self.form.is_some(),
            Key::Valu => self.valu.is_some(),
            _ => true,
        };
        msgpack::write_map_len(&mut out, self.order.iter().filter(|key| there(key)).count());
        for key in self.order.iter().filter(|key| there(key)) {
            msgpack::write_str(&mut out, key.name());
            match key {
                Key::Form => self.form.iter().for_each(|form| msgpack::write_str(&mut out, form.as_bytes())),
                Key::Valu => self.valu.iter().for_each(|valu| pair(&mut out, valu)),
                Key::Props => props(&mut out, &self.props),
                Key::Tags => {
                    msgpack::write_map_len(&mut out, self.tags.len());
                    for (tag, ival) in &self.tags {
                        msgpack::write_str(&mut out, tag.as_bytes());
                        msgpack::encode_into(&mut out, ival);
                    }
                }
                Key::TagProps => {
                    msgpack::write_map_len(&mut out, self.tagprops.len());
                    for (tag, of_tag) in &self.tagprops {
                        msgpack::write_str(&mut out, tag.as_bytes());
                        props(&mut out, of_tag);
                    }
                }
            }
        }
        out
    }

    /// Notes that a key has been looked at for writing: from then on it is stored, empty or not.
    pub fn touch(&mut self, key: Key) {
        if !self.order.contains(&key) {
            self.order.push(key);
        }
    }

    /// The form's name.
    pub fn form(&self) -> Option<&Arc<str>> {
        self.form.as_ref()
    }

    /// Sets the form's name.
    pub fn set_form(&mut self, form: &Arc<str>) {
        self.touch(Key::Form);
        self.form = Some(form.clone());
    }

    /// The primary value.
    pub fn valu(&self) -> Option<&Stored> {
        self.valu.as_ref()
    }

    /// Sets the primary value.
    pub fn set_valu(&mut self, valu: Stored) {
        self.touch(Key::Valu);
        self.valu = Some(valu);
    }

    /// Takes the primary value out.
    pub fn take_valu(&mut self) -> Option<Stored> {
        self.order.retain(|key| *key != Key::Valu);
        self.valu.take()
    }

    /// The properties, to read.
    pub fn props(&self) -> &Names<Stored> {
        &self.props
    }

    /// The tags, to read.
    pub fn tags(&self) -> &Names<Value> {
        &self.tags
    }

    /// The properties of tags, to read.
    pub fn tagprops(&self) -> &Names<Names<Stored>> {
        &self.tagprops
    }

    /// The properties, to change.
    pub fn props_mut(&mut self) -> &mut Names<Stored> {
        self.touch(Key::Props);
        &mut self.props
    }

    /// The tags, to change.
    pub fn tags_mut(&mut self) -> &mut Names<Value> {
        self.touch(Key::Tags);
        &mut self.tags
    }

    /// The properties of tags, to change.
    pub fn tagprops_mut(&mut self) -> &mut Names<Names<Stored>> {
        self.touch(Key::TagProps);
        &mut self.tagprops
    }

    /// Whether it says no more than the form.
    pub fn is_bare(&self) -> bool {
        self.valu.is_none() && self.props.is_empty() && self.tags.is_empty() && self.tagprops.is_empty()
    }

    /// As a value.
    pub fn to_value(&self) -> Value {
        msgpack::decode(&self.encode()).unwrap_or_else(|_| Value::from(Map::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{shared_lines, untag};

    #[test]
    fn sodes_of_the_vectors_decode_and_encode_to_the_same_bytes() {
        let Some(lines) = shared_lines("spec/vectors/storage/sodes.jsonl") else { return };
        for line in lines {
            let byts = crate::index::hex_bytes(line["sode"].as_str().expect("sode")).expect("hex");
            let sode = Sode::decode(&byts).expect("sode");
            assert_eq!(sode.encode(), byts, "{line}");
            assert_eq!(SodeRef::new(&byts).to_value().expect("value"), untag(&line["decoded"]));
            let lazy = SodeRef::new(&byts);
            assert_eq!(lazy.form().expect("form"), sode.form().map(|form| &**form));
            assert_eq!(lazy.valu().expect("valu").as_ref(), sode.valu());
            for (name, stored) in sode.props() {
                assert_eq!(lazy.prop(name).expect("prop").as_ref(), Some(stored));
            }
            for (tag, ival) in sode.tags() {
                assert_eq!(lazy.tag(tag).expect("tag").as_ref(), Some(ival));
            }
            assert!(!lazy.has_prop("no such").expect("prop"));
        }
    }

    #[test]
    fn an_emptied_map_stays() {
        let mut sode = Sode::default();
        sode.tags_mut().insert(Arc::from("foo"), Value::Null);
        sode.set_form(&Arc::from("inet:asn"));
        sode.tags_mut().clear();
        assert_eq!(hex::encode(sode.encode()), "82a47461677380a4666f726da8696e65743a61736e");
    }
}
