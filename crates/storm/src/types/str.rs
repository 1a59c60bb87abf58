//! Methods of text.

use myelin_model::types::py;
use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, TypeDef, trim_text};
use crate::libs::help::{self, list_of, slice_range, text_of};
use crate::rt::Rt;

const TEXT: &[Arg] = &[Arg::req("text")];
const CHARS: &[Arg] = &[Arg::opt("chars", Dflt::Null)];
const SPLIT: &[Arg] = &[Arg::req("text"), Arg::opt("maxsplit", Dflt::Int(-1))];
const JUST: &[Arg] = &[Arg::req("size"), Arg::opt("fillchar", Dflt::Str(" "))];

/// Text.
pub static TYPE: TypeDef = TypeDef {
    name: "str",
    funcs: &[
        FuncDef::ro("find", &[Arg::req("valu")], find),
        FuncDef::ro("size", &[], |_, this, _| Ok(Item::from(text_of(this).chars().count()))),
        FuncDef::ro("split", SPLIT, split),
        FuncDef::ro("rsplit", SPLIT, rsplit),
        FuncDef::ro("endswith", TEXT, |rt, this, args| affix(rt, this, &args, |text, part| text.ends_with(part))),
        FuncDef::ro("startswith", TEXT, |rt, this, args| affix(rt, this, &args, |text, part| text.starts_with(part))),
        FuncDef::ro("ljust", JUST, |rt, this, args| just(rt, this, &args, true)),
        FuncDef::ro("rjust", JUST, |rt, this, args| just(rt, this, &args, false)),
        FuncDef::ro("encode", &[Arg::opt("encoding", Dflt::Str("utf8"))], encode),
        FuncDef::ro("replace", &[Arg::req("oldv"), Arg::req("newv"), Arg::opt("maxv", Dflt::Null)], replace),
        FuncDef::ro("strip", CHARS, |rt, this, args| strip(rt, this, &args, true, true)),
        FuncDef::ro("lstrip", CHARS, |rt, this, args| strip(rt, this, &args, true, false)),
        FuncDef::ro("rstrip", CHARS, |rt, this, args| strip(rt, this, &args, false, true)),
        FuncDef::ro("lower", &[], |_, this, _| Ok(Item::from(text_of(this).to_lowercase()))),
        FuncDef::ro("upper", &[], |_, this, _| Ok(Item::from(text_of(this).to_uppercase()))),
        FuncDef::ro("title", &[], |_, this, _| Ok(Item::from(title(&text_of(this))))),
        FuncDef::ro("slice", &[Arg::req("start"), Arg::opt("end", Dflt::Null)], slice),
        FuncDef::ro("reverse", &[], |_, this, _| Ok(Item::from(text_of(this).chars().rev().collect::<String>()))),
        FuncDef::ro("format", &[Arg::kwargs("kwargs")], |rt, this, args| {
            Ok(Item::from(help::kwarg_format(rt, &text_of(this), args.kwargs())?))
        }),
        FuncDef::ro("json", &[], |_, this, _| Ok(Item::deep(&crate::libs::jsontext::loads(&text_of(this))?))),
        FuncDef::ro("join", &[Arg::req("items")], |rt, this, args| join(rt, &text_of(this), args.item(0))),
    ],
    getters: &[],
    setters: &[],
};

/// Items as text with a separator between them.
///
/// # Errors
/// Whatever making text of an item gives.
pub fn join(rt: &Rt, sepr: &str, items: &Item) -> Flow<Item> {
    let parts: Flow<Vec<_>> = items.tovec(rt)?.iter().map(|item| item.tostr(rt)).collect();
    Ok(Item::from(parts?.join(sepr)))
}

fn find(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (text, part) = (text_of(this), args.str(rt, 0)?);
    Ok(text.find(&*part).map(|offs| Item::from(text[..offs].chars().count())).unwrap_or_default())
}

fn limit(maxsplit: i64) -> usize {
    usize::try_from(maxsplit).map_or(usize::MAX, |most| most.saturating_add(1))
}

fn req_sepr(args: &Args, rt: &Rt) -> Flow<std::sync::Arc<str>> {
    let sepr = args.str(rt, 0)?;
    if sepr.is_empty() {
        crate::fail!("StormRuntimeError", mesg = "empty separator");
    }
    Ok(sepr)
}

fn split(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (text, most) = (text_of(this), limit(args.int(rt, 1)?));
    if args.is_null(0) {
        return Ok(list_of(split_space(&text, most)));
    }
    let sepr = req_sepr(&args, rt)?;
    Ok(list_of(text.splitn(most, &*sepr)))
}

/// Python's split at white space: runs count once, ends are dropped.
fn split_space(text: &str, most: usize) -> Vec<&str> {
    let mut rest = text.trim_start_matches(py::is_space);
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if parts.len() + 1 == most {
            parts.push(rest.trim_end_matches(py::is_space));
            break;
        }
        let end = rest.find(py::is_space).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(py::is_space);
    }
    parts
}

fn rsplit(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (text, most) = (text_of(this), limit(args.int(rt, 1)?));
    let mut parts: Vec<&str> = if args.is_null(0) {
        let mut rest = text.trim_end_matches(py::is_space);
        let mut parts = Vec::new();
        while !rest.is_empty() {
            if parts.len() + 1 == most {
                parts.push(rest.trim_start_matches(py::is_space));
                break;
            }
            let from =
                rest.char_indices().rev().find(|(_, ch)| py::is_space(*ch)).map_or(0, |(at, ch)| at + ch.len_utf8());
            parts.push(&rest[from..]);
            rest = rest[..from].trim_end_matches(py::is_space);
        }
        parts
    } else {
        let sepr = req_sepr(&args, rt)?;
        text.rsplitn(most, &*sepr).collect()
    };
    parts.reverse();
    Ok(list_of(parts))
}

fn affix(rt: &Rt, this: &Item, args: &Args, test: fn(&str, &str) -> bool) -> Flow<Item> {
    let text = text_of(this);
    if let Some(parts) = args.item(0).members() {
        for part in parts {
            if test(&text, &part.tostr(rt)?) {
                return Ok(Item::from(true));
            }
        }
        return Ok(Item::from(false));
    }
    Ok(Item::from(test(&text, &args.str(rt, 0)?)))
}

/// The most characters that padding makes.
const MAX_PAD: i64 = 100_000_000;

fn just(rt: &Rt, this: &Item, args: &Args, left: bool) -> Flow<Item> {
    let (text, size, fill) = (text_of(this), args.int(rt, 0)?, args.str(rt, 1)?);
    let mut chars = fill.chars();
    let (Some(fill), None) = (chars.next(), chars.next()) else {
        crate::fail!("BadArg", mesg = "The fill character must be exactly one character long");
    };
    if size > MAX_PAD {
        crate::fail!("BadArg", mesg = format!("Text of {size} characters is too long."));
    }
    let pad = usize::try_from(size).unwrap_or(0).saturating_sub(text.chars().count());
    let pad: String = std::iter::repeat_n(fill, pad).collect();
    Ok(Item::from(if left { format!("{text}{pad}") } else { format!("{pad}{text}") }))
}

fn encode(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let valu = this.toprim(rt)?;
    match help::encode(&valu, &args.str(rt, 0)?)? {
        Some(byts) => Ok(help::bytes_item(byts)),
        None => {
            let mesg = format!("The text cannot be encoded: {}", trim_text(&py::repr_text(&valu)));
            crate::fail!("StormRuntimeError", mesg = mesg);
        }
    }
}

fn replace(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (text, oldv, newv) = (text_of(this), args.str(rt, 0)?, args.str(rt, 1)?);
    Ok(Item::from(match args.opt_int(rt, 2)?.and_then(|most| usize::try_from(most).ok()) {
        Some(most) => text.replacen(&*oldv, &newv, most),
        None => text.replace(&*oldv, &newv),
    }))
}

fn strip(rt: &Rt, this: &Item, args: &Args, left: bool, right: bool) -> Flow<Item> {
    let (text, chars) = (text_of(this), args.opt_str(rt, 0)?);
    let gone = |ch: char| chars.as_ref().map_or_else(|| py::is_space(ch), |chars| chars.contains(ch));
    let mut part = &*text;
    if left {
        part = part.trim_start_matches(gone);
    }
    if right {
        part = part.trim_end_matches(gone);
    }
    Ok(Item::from(part))
}

/// The first letter of every run of letters large, the others small.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for ch in text.chars() {
        let cased = ch.is_lowercase() || ch.is_uppercase();
        if inside {
            out.extend(ch.to_lowercase());
        } else {
            out.extend(ch.to_uppercase());
        }
        inside = cased;
    }
    out
}

fn slice(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let text = text_of(this);
    let (start, end) = (args.int(rt, 0)?, args.opt_int(rt, 1)?);
    let range = slice_range(text.chars().count(), start, end);
    let part: String = text.chars().skip(range.start).take(range.len()).collect();
    Ok(Item::Val(Value::from(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(title("hello wORLD 3rd"), "Hello World 3Rd");
        assert_eq!(split_space("  a  b c ", usize::MAX), ["a", "b", "c"]);
        assert_eq!(split_space("  a  b c ", 2), ["a", "b c"]);
    }
}
