//! Feeding packed nodes: `((form, value), {props, tags, tagprops, nodedata, edges})`, as exports hold them.
//!
//! A feed may be of mixed quality: an item whose value does not fit its form is passed over, a property or tag that does not
//! fit is left out, each with a warning. Items are stored in groups, so that a feed of many nodes is few events. An edge
//! may lead to a node that comes later in the feed or not at all. Permissions are the caller's business.

use myelin_error::{Error, Result, err};
use myelin_value::{Buid, Map, Value};

use crate::ctl::{Ctl, Flow};
use crate::edit::Editor;
use crate::node::Node;
use crate::rt::Rt;

/// Items that are stored together.
const GROUP: usize = 100;

/// Adds the items; the number of nodes. `each` gets every node after it was stored.
///
/// # Errors
/// What reading the items and storing them gives, and the end of the query.
pub fn add(
    rt: &Rt,
    items: impl IntoIterator<Item = Result<Value>>,
    mut each: impl FnMut(&Rt, &Node) -> Result<()>,
) -> Flow<u64> {
    let mut count = 0;
    let mut items = items.into_iter();
    loop {
        rt.tick()?;
        let mut editor = Editor::new(rt);
        let mut added = Vec::new();
        let mut ended = true;
        for item in items.by_ref().take(GROUP) {
            ended = false;
            let item = item?;
            match add_one(&mut editor, &item) {
                Ok(buid) => added.push(buid),
                Err(ctl) => warn(rt, &format!("an item of the feed was passed over ({})", ndef_text(&item)), ctl)?,
            }
        }
        if ended {
            return Ok(count);
        }
        editor.finish()?;
        for buid in added {
            if let Some(node) = rt.snap().node_by_buid(&buid)? {
                count += 1;
                each(rt, &node)?;
            }
        }
    }
}

/// Puts one item into an editor.
fn add_one(editor: &mut Editor<'_>, item: &Value) -> Flow<Buid> {
    let ndef = item.at(0).and_then(Value::as_list);
    let Some([Value::Str(form), valu]) = ndef else {
        let mesg = "An item of a feed is ((form, value), {…}).";
        return Err(err!("BadArg", mesg = mesg).into());
    };
    let buid = editor.add_node(form, valu)?;
    let empty = Map::new();
    let info = item.at(1).and_then(Value::as_map).unwrap_or(&empty);
    let part = |key: &str| info.get(key).and_then(Value::as_map).into_iter().flat_map(Map::text_entries);
    for (name, valu) in part("props").filter(|(name, _)| *name != ".created") {
        let done = editor.set(buid, name, valu).map(drop);
        keep_on(editor.rt(), &format!("{form}:{name}"), done)?;
    }
    for (tag, valu) in part("tags") {
        let done = editor.add_tag(buid, tag, valu).map(drop);
        keep_on(editor.rt(), &format!("#{tag}"), done)?;
    }
    for (tag, props) in part("tagprops") {
        for (name, valu) in props.as_map().into_iter().flat_map(Map::text_entries) {
            let done = editor.set_tagprop(buid, tag, name, valu);
            keep_on(editor.rt(), &format!("#{tag}:{name}"), done)?;
        }
    }
    for (name, valu) in part("nodedata") {
        let done = editor.set_data(buid, name, valu);
        keep_on(editor.rt(), &format!("node data {name}"), done)?;
    }
    for edge in info.get("edges").and_then(Value::as_list).unwrap_or_default() {
        let done = add_edge(editor, buid, edge);
        keep_on(editor.rt(), "an edge", done)?;
    }
    Ok(buid)
}

/// `(verb, iden)`, or `(verb, (form, value))` for a node that is added as well.
fn add_edge(editor: &mut Editor<'_>, buid: Buid, edge: &Value) -> Flow<()> {
    let bad = || err!("BadArg", mesg = "An edge in a feed is (verb, iden) or (verb, (form, value)).");
    let verb = edge.at(0).and_then(Value::as_str).ok_or_else(bad)?;
    let n2 = match edge.at(1) {
        Some(Value::Str(iden)) => Buid::from_hex(iden).ok_or_else(bad)?,
        Some(Value::List(ndef)) => match &ndef[..] {
            [Value::Str(form), valu] => editor.add_node(form, valu)?,
            _ => return Err(bad().into()),
        },
        _ => return Err(bad().into()),
    };
    editor.add_edge(buid, verb, n2).map(drop)
}

/// An error in a part of an item is a warning; anything else ends the feed.
fn keep_on(rt: &Rt, part: &str, done: Flow<()>) -> Flow<()> {
    match done {
        Ok(()) => Ok(()),
        Err(ctl) => warn(rt, &format!("a feed's {part} was left out"), ctl),
    }
}

fn warn(rt: &Rt, what: &str, ctl: Ctl) -> Flow<()> {
    match ctl {
        Ctl::Err(error) if !is_fatal(&error) => rt.warn(format!("{what}: {error}")),
        ctl => Err(ctl),
    }
}

/// Errors that are not about the item.
fn is_fatal(error: &Error) -> bool {
    ["DbOutOfSpace", "IsReadOnly", "HitLimit", "LowSpace", "IsFini"].contains(&error.name())
}

fn ndef_text(item: &Value) -> String {
    let text = item.at(0).map_or_else(|| format!("{item:?}"), |ndef| format!("{ndef:?}"));
    text.chars().take(200).collect()
}
