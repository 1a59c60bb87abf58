//! Node edits: what is asked of a layer, and what it says it did.
//!
//! ```text
//! batch = [[buid, form, [edit…]]…]      edit = [type, info, subedits]      subedits = [[buid, form, [edit…]]…]
//! ```
//!
//! Old values are filled in by the layer: in a request they are ignored.

use std::sync::Arc;

use myelin_error::{Error, Result, err};
use myelin_model::StorType;
use myelin_value::{Buid, Value, msgpack};

/// Edits of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeEdit {
    /// The node.
    pub buid: Buid,
    /// Its form.
    pub form: Arc<str>,
    /// What to do, in this order.
    pub edits: Vec<Edit>,
}

/// One edit, and the edits of other nodes which follow if it changes something.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// What to do.
    pub op: EditOp,
    /// What then follows.
    pub subs: Vec<NodeEdit>,
}

/// The kinds of edits, by their numbers on disk and wire. `old` is what was there before, as the layer says.
#[allow(missing_docs, reason = "the fields are named for what they are, and each variant says what it does")]
#[derive(Clone, Debug, PartialEq)]
pub enum EditOp {
    /// 0: adds the node.
    NodeAdd { valu: Value, stor: StorType },
    /// 1: removes the node's value, with its data and outgoing edges.
    NodeDel { old: Value, stor: StorType },
    /// 2: sets a property.
    PropSet { prop: Arc<str>, valu: Value, old: Value, stor: StorType },
    /// 3: removes a property.
    PropDel { prop: Arc<str>, old: Value, stor: StorType },
    /// 4: sets a tag, with its interval.
    TagSet { tag: Arc<str>, valu: Value, old: Value },
    /// 5: removes a tag.
    TagDel { tag: Arc<str>, old: Value },
    /// 6: sets a property of a tag.
    TagPropSet { tag: Arc<str>, prop: Arc<str>, valu: Value, old: Value, stor: StorType },
    /// 7: removes a property of a tag.
    TagPropDel { tag: Arc<str>, prop: Arc<str>, old: Value, stor: StorType },
    /// 8: sets node data.
    DataSet { name: Arc<str>, valu: Value, old: Value },
    /// 9: removes node data.
    DataDel { name: Arc<str>, old: Value },
    /// 10: adds an edge to another node.
    EdgeAdd { verb: Arc<str>, n2: Buid },
    /// 11: removes an edge.
    EdgeDel { verb: Arc<str>, n2: Buid },
}

impl From<EditOp> for Edit {
    fn from(op: EditOp) -> Edit {
        Edit { op, subs: Vec::new() }
    }
}

impl EditOp {
    /// The number on disk and wire.
    pub fn code(&self) -> i64 {
        match self {
            EditOp::NodeAdd { .. } => 0,
            EditOp::NodeDel { .. } => 1,
            EditOp::PropSet { .. } => 2,
            EditOp::PropDel { .. } => 3,
            EditOp::TagSet { .. } => 4,
            EditOp::TagDel { .. } => 5,
            EditOp::TagPropSet { .. } => 6,
            EditOp::TagPropDel { .. } => 7,
            EditOp::DataSet { .. } => 8,
            EditOp::DataDel { .. } => 9,
            EditOp::EdgeAdd { .. } => 10,
            EditOp::EdgeDel { .. } => 11,
        }
    }

    fn info(&self) -> Value {
        let text = |text: &Arc<str>| Value::Str(text.clone());
        match self {
            EditOp::NodeAdd { valu, stor } | EditOp::NodeDel { old: valu, stor } => {
                Value::list([valu.clone(), Value::from(*stor)])
            }
            EditOp::PropSet { prop, valu, old, stor } => {
                Value::list([text(prop), valu.clone(), old.clone(), Value::from(*stor)])
            }
            EditOp::PropDel { prop, old, stor } => Value::list([text(prop), old.clone(), Value::from(*stor)]),
            EditOp::TagSet { tag, valu, old } => Value::list([text(tag), valu.clone(), old.clone()]),
            EditOp::TagDel { tag, old } => Value::list([text(tag), old.clone()]),
            EditOp::TagPropSet { tag, prop, valu, old, stor } => {
                Value::list([text(tag), text(prop), valu.clone(), old.clone(), Value::from(*stor)])
            }
            EditOp::TagPropDel { tag, prop, old, stor } => {
                Value::list([text(tag), text(prop), old.clone(), Value::from(*stor)])
            }
            EditOp::DataSet { name, valu, old } => Value::list([text(name), valu.clone(), old.clone()]),
            EditOp::DataDel { name, old } => Value::list([text(name), old.clone()]),
            EditOp::EdgeAdd { verb, n2 } | EditOp::EdgeDel { verb, n2 } => {
                Value::list([text(verb), Value::from(n2.to_hex())])
            }
        }
    }

    fn write_info(&self, out: &mut Vec<u8>) {
        let texts = |out: &mut Vec<u8>, len: usize, names: &[&Arc<str>]| {
            msgpack::write_array_len(out, len);
            names.iter().for_each(|name| msgpack::write_str(out, name.as_bytes()));
        };
        let values = |out: &mut Vec<u8>, values: &[&Value]| {
            values.iter().for_each(|valu| msgpack::encode_into(out, valu));
        };
        let kind = |out: &mut Vec<u8>, stor: StorType| msgpack::write_u64(out, u64::from(stor.code()));
        match self {
            EditOp::NodeAdd { valu, stor } | EditOp::NodeDel { old: valu, stor } => {
                texts(out, 2, &[]);
                values(out, &[valu]);
                kind(out, *stor);
            }
            EditOp::PropSet { prop, valu, old, stor } => {
                texts(out, 4, &[prop]);
                values(out, &[valu, old]);
                kind(out, *stor);
            }
            EditOp::PropDel { prop, old, stor } => {
                texts(out, 3, &[prop]);
                values(out, &[old]);
                kind(out, *stor);
            }
            EditOp::TagSet { tag: name, valu, old } | EditOp::DataSet { name, valu, old } => {
                texts(out, 3, &[name]);
                values(out, &[valu, old]);
            }
            EditOp::TagDel { tag: name, old } | EditOp::DataDel { name, old } => {
                texts(out, 2, &[name]);
                values(out, &[old]);
            }
            EditOp::TagPropSet { tag, prop, valu, old, stor } => {
                texts(out, 5, &[tag, prop]);
                values(out, &[valu, old]);
                kind(out, *stor);
            }
            EditOp::TagPropDel { tag, prop, old, stor } => {
                texts(out, 4, &[tag, prop]);
                values(out, &[old]);
                kind(out, *stor);
            }
            EditOp::EdgeAdd { verb, n2 } | EditOp::EdgeDel { verb, n2 } => {
                texts(out, 2, &[verb]);
                msgpack::write_str(out, n2.to_hex().as_bytes());
            }
        }
    }

    fn from_parts(code: i64, info: &[Value]) -> Option<EditOp> {
        let text = |indx: usize| info.get(indx)?.as_arc_str().cloned();
        let valu = |indx: usize| info.get(indx).cloned();
        let stor = |indx: usize| stor_of(info.get(indx)?);
        // Requests to delete may leave the old type out as null: it is looked up anyway.
        let any_stor = |indx: usize| info.get(indx).and_then(stor_of).unwrap_or(StorType(0));
        let buid = |indx: usize| Buid::from_hex(info.get(indx)?.as_str()?);
        Some(match code {
            0 => EditOp::NodeAdd { valu: valu(0)?, stor: stor(1)? },
            1 => EditOp::NodeDel { old: valu(0).unwrap_or(Value::Null), stor: any_stor(1) },
            2 => EditOp::PropSet { prop: text(0)?, valu: valu(1)?, old: valu(2)?, stor: stor(3)? },
            3 => EditOp::PropDel { prop: text(0)?, old: valu(1)?, stor: any_stor(2) },
            4 => EditOp::TagSet { tag: text(0)?, valu: valu(1)?, old: valu(2)? },
            5 => EditOp::TagDel { tag: text(0)?, old: valu(1)? },
            6 => EditOp::TagPropSet { tag: text(0)?, prop: text(1)?, valu: valu(2)?, old: valu(3)?, stor: stor(4)? },
            7 => EditOp::TagPropDel { tag: text(0)?, prop: text(1)?, old: valu(2)?, stor: any_stor(3) },
            8 => EditOp::DataSet { name: text(0)?, valu: valu(1)?, old: valu(2)? },
            9 => EditOp::DataDel { name: text(0)?, old: valu(1)? },
            10 => EditOp::EdgeAdd { verb: text(0)?, n2: buid(1)? },
            11 => EditOp::EdgeDel { verb: text(0)?, n2: buid(1)? },
            _ => return None,
        })
    }
}

fn stor_of(valu: &Value) -> Option<StorType> {
    valu.as_i64().and_then(|code| u16::try_from(code).ok()).map(StorType)
}

impl Edit {
    /// As on disk and wire.
    pub fn pack(&self) -> Value {
        Value::list([Value::from(self.op.code()), self.op.info(), pack_edits(&self.subs)])
    }

    fn unpack(valu: &Value) -> Result<Edit> {
        let parts = valu.as_list().and_then(|items| match items {
            [code, info, subs] => Some((code.as_i64()?, info.as_list()?, subs)),
            _ => None,
        });
        let Some((code, info, subs)) = parts else { return Err(bad_edit(valu)) };
        let op = EditOp::from_parts(code, info).ok_or_else(|| bad_edit(valu))?;
        Ok(Edit { op, subs: unpack_edits(subs)? })
    }
}

impl NodeEdit {
    /// Edits of one node.
    pub fn new(buid: Buid, form: Arc<str>, ops: impl IntoIterator<Item = EditOp>) -> NodeEdit {
        NodeEdit { buid, form, edits: ops.into_iter().map(Edit::from).collect() }
    }

    /// As on disk and wire.
    pub fn pack(&self) -> Value {
        let edits = Value::list(self.edits.iter().map(Edit::pack));
        Value::list([Value::from(self.buid.0.as_slice()), Value::Str(self.form.clone()), edits])
    }

    fn unpack(valu: &Value) -> Result<NodeEdit> {
        let parts = valu.as_list().and_then(|items| match items {
            [buid, form, edits] => {
                Some((Buid::from_slice(buid.as_bytes()?)?, form.as_arc_str()?.clone(), edits.as_list()?))
            }
            _ => None,
        });
        let Some((buid, form, edits)) = parts else { return Err(bad_edit(valu)) };
        Ok(NodeEdit { buid, form, edits: edits.iter().map(Edit::unpack).collect::<Result<_>>()? })
    }
}

/// A batch as on disk and wire.
pub fn pack_edits(edits: &[NodeEdit]) -> Value {
    Value::list(edits.iter().map(NodeEdit::pack))
}

/// A batch from outside.
///
/// # Errors
/// `BadArg` for what is not shaped as a batch.
pub fn unpack_edits(valu: &Value) -> Result<Vec<NodeEdit>> {
    valu.as_list().ok_or_else(|| bad_edit(valu))?.iter().map(NodeEdit::unpack).collect()
}

/// Writes a batch as on disk and wire: the bytes of [`pack_edits`], without its values in between.
pub fn write_edits(out: &mut Vec<u8>, edits: &[NodeEdit]) {
    msgpack::write_array_len(out, edits.len());
    for node in edits {
        msgpack::write_array_len(out, 3);
        msgpack::write_bytes(out, &node.buid.0);
        msgpack::write_str(out, node.form.as_bytes());
        msgpack::write_array_len(out, node.edits.len());
        for edit in &node.edits {
            msgpack::write_array_len(out, 3);
            msgpack::write_i64(out, edit.op.code());
            edit.op.write_info(out);
            write_edits(out, &edit.subs);
        }
    }
}

fn bad_edit(valu: &Value) -> Error {
    let text = format!("{valu:?}");
    let text: String = text.chars().take(200).collect();
    err!("BadArg", mesg = format!("This is no node edit: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_is_written_as_its_value_is() {
        let text = |text: &str| Arc::<str>::from(text);
        let (valu, old, stor) =
            (Value::list([Value::from("é"), Value::from(-3)]), Value::from(1u64 << 40), StorType(5));
        let ops = [
            EditOp::NodeAdd { valu: valu.clone(), stor },
            EditOp::NodeDel { old: old.clone(), stor: StorType(0x8001) },
            EditOp::PropSet { prop: text("p"), valu: valu.clone(), old: old.clone(), stor },
            EditOp::PropDel { prop: text("p"), old: old.clone(), stor },
            EditOp::TagSet { tag: text("t.u"), valu: valu.clone(), old: old.clone() },
            EditOp::TagDel { tag: text("t"), old: Value::Null },
            EditOp::TagPropSet { tag: text("t"), prop: text("p"), valu: valu.clone(), old: old.clone(), stor },
            EditOp::TagPropDel { tag: text("t"), prop: text("p"), old: old.clone(), stor },
            EditOp::DataSet { name: text("n"), valu, old: old.clone() },
            EditOp::DataDel { name: text("n"), old },
            EditOp::EdgeAdd { verb: text("refs"), n2: Buid([3; 32]) },
            EditOp::EdgeDel { verb: text("refs"), n2: Buid([200; 32]) },
        ];
        let edits = [NodeEdit::new(Buid([1; 32]), text("inet:ipv4"), ops)];
        let mut byts = Vec::new();
        write_edits(&mut byts, &edits);
        assert_eq!(byts, msgpack::encode(&pack_edits(&edits)));
    }

    #[test]
    fn edits_pack_and_unpack() {
        let sub = NodeEdit::new(
            Buid([2; 32]),
            Arc::from("inet:asn"),
            [EditOp::EdgeAdd { verb: Arc::from("refs"), n2: Buid([3; 32]) }],
        );
        let set =
            EditOp::PropSet { prop: Arc::from("asn"), valu: Value::from(3), old: Value::Null, stor: StorType::I64 };
        let edit = NodeEdit {
            buid: Buid([1; 32]),
            form: Arc::from("inet:ipv4"),
            edits: vec![Edit { op: set, subs: vec![sub] }],
        };
        let packed = pack_edits(std::slice::from_ref(&edit));
        let mut byts = Vec::new();
        write_edits(&mut byts, std::slice::from_ref(&edit));
        assert_eq!(byts, msgpack::encode(&packed));
        assert_eq!(unpack_edits(&packed).expect("edits"), vec![edit]);
        assert!(unpack_edits(&Value::from(3)).is_err());
    }
}
