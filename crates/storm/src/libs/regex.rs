//! `$lib.regex`: regular expressions as Python's `regex` reads them.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_error::err;
use myelin_model::types::regex::{Flags, Groups, PyRegex};
use myelin_value::{Map, Value};
use parking_lot::Mutex;

use super::help::list_of;
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

const FLAG_I: i64 = 0x2;
const FLAG_M: i64 = 0x8;
const FLAG_S: i64 = 0x10;
const FLAG_X: i64 = 0x40;

const ARGS: &[Arg] = &[Arg::req("pattern"), Arg::req("text"), Arg::opt("flags", Dflt::Int(0))];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "regex",
    funcs: &[
        FuncDef::ro("search", ARGS, search),
        FuncDef::ro("matches", ARGS, |rt, _, args| {
            let (regx, text) = open(rt, &args, 1, 2)?;
            Ok(Item::from(regx.match_start(&text)?.is_some()))
        }),
        FuncDef::ro("findall", ARGS, findall),
        FuncDef::ro(
            "replace",
            &[Arg::req("pattern"), Arg::req("replace"), Arg::req("text"), Arg::opt("flags", Dflt::Int(0))],
            replace,
        ),
        FuncDef::ro("escape", &[Arg::req("text")], |rt, _, args| Ok(Item::from(escape(&args.str(rt, 0)?)))),
    ],
    consts: &[("flags", |_, _| Ok(Item::Val(Map::new().with("i", FLAG_I).with("m", FLAG_M).into())))],
};

/// How many patterns are kept compiled.
const MAX_CACHE: usize = 256;

type Cache = Mutex<HashMap<(Arc<str>, i64), Arc<PyRegex>>>;

static CACHE: std::sync::LazyLock<Cache> = std::sync::LazyLock::new(Cache::default);

/// A compiled pattern.
///
/// # Errors
/// `BadArg` when it is none.
pub fn compile(pattern: &Arc<str>, flags: i64) -> Flow<Arc<PyRegex>> {
    let key = (pattern.clone(), flags);
    if let Some(found) = CACHE.lock().get(&key) {
        return Ok(found.clone());
    }
    let has = |flag: i64| flags & flag != 0;
    let flags = Flags { icase: has(FLAG_I), multiline: has(FLAG_M), dotall: has(FLAG_S), verbose: has(FLAG_X) };
    let made = Arc::new(PyRegex::with_flags(pattern, flags)?);
    let mut cache = CACHE.lock();
    if cache.len() >= MAX_CACHE {
        cache.clear();
    }
    cache.insert(key, made.clone());
    Ok(made)
}

fn open(rt: &Rt, args: &Args, text: usize, flags: usize) -> Flow<(Arc<PyRegex>, Arc<str>)> {
    let (text, flags) = (args.str(rt, text)?, args.int(rt, flags)?);
    Ok((compile(&args.str(rt, 0)?, flags)?, text))
}

fn group<'a>(text: &'a str, groups: &Groups, indx: usize) -> Option<&'a str> {
    groups.get(indx).copied().flatten().map(|(from, to)| &text[from..to])
}

fn search(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (regx, text) = open(rt, &args, 1, 2)?;
    let Some(groups) = regx.search_at(&text, 0)? else { return Ok(Item::NULL) };
    Ok(Item::Val(Value::list(
        (1..groups.len()).map(|indx| group(&text, &groups, indx).map_or(Value::Null, Value::from)),
    )))
}

/// Every match from left to right. An empty one may begin where the one before it ended.
pub fn matches(rt: &Rt, regx: &PyRegex, text: &str) -> Flow<Vec<Groups>> {
    let (mut retn, mut from): (Vec<Groups>, usize) = (Vec::new(), 0);
    while from <= text.len() {
        rt.tick()?;
        let Some(groups) = regx.search_at(text, from)? else { break };
        let Some((start, end)) = groups.first().copied().flatten() else { break };
        if end > start {
            from = end;
        } else {
            from = end + text[end..].chars().next().map_or(1, char::len_utf8);
        }
        retn.push(groups);
    }
    Ok(retn)
}

fn findall(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (regx, text) = open(rt, &args, 1, 2)?;
    let found = matches(rt, &regx, &text)?;
    let part = |groups: &Groups, indx: usize| Value::from(group(&text, groups, indx).unwrap_or_default());
    Ok(list_of(found.iter().map(|groups| match groups.len() {
        1 => part(groups, 0),
        2 => part(groups, 1),
        count => Value::list((1..count).map(|indx| part(groups, indx))),
    })))
}

fn replace(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (regx, text) = open(rt, &args, 2, 3)?;
    let template = template(&args.str(rt, 1)?, &regx)?;
    let (mut out, mut from) = (String::new(), 0);
    for groups in matches(rt, &regx, &text)? {
        let Some((start, end)) = groups.first().copied().flatten() else { continue };
        out.push_str(&text[from.min(start)..start]);
        for part in &template {
            match part {
                Part::Text(part) => out.push_str(part),
                Part::Group(indx) => out.push_str(group(&text, &groups, *indx).unwrap_or_default()),
            }
        }
        from = end;
    }
    out.push_str(&text[from..]);
    Ok(Item::from(out))
}

enum Part {
    Text(String),
    Group(usize),
}

fn bad_template(why: &str) -> crate::Ctl {
    err!("BadArg", mesg = format!("$lib.regex.replace() error: {why}")).into()
}

/// The parts of a replacement: text, `\1` and `\g<name>`.
fn template(text: &str, regx: &PyRegex) -> Flow<Vec<Part>> {
    let names = regx.group_names();
    let numbered = |indx: usize| {
        if indx < names.len() { Ok(Part::Group(indx)) } else { Err(bad_template("invalid group reference")) }
    };
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(ch) = rest.chars().next() else { return Err(bad_template("bad escape (end of pattern)")) };
        let found = if ch.is_ascii_digit() && ch != '0' {
            let size = rest.chars().take(2).take_while(char::is_ascii_digit).count();
            let indx: usize = rest[..size].parse().unwrap_or(0);
            rest = &rest[size..];
            Some(numbered(indx)?)
        } else if let Some(after) = rest.strip_prefix("g<") {
            let Some((name, after)) = after.split_once('>') else { return Err(bad_template("missing >")) };
            rest = after;
            match name.parse::<usize>() {
                Ok(indx) => Some(numbered(indx)?),
                Err(_) => match names.iter().position(|have| *have == Some(name)) {
                    Some(indx) => Some(Part::Group(indx)),
                    None => return Err(bad_template("unknown group")),
                },
            }
        } else {
            rest = &rest[ch.len_utf8()..];
            plain.push(match ch {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'a' => '\u{7}',
                'f' => '\u{c}',
                'v' => '\u{b}',
                '0' => '\0',
                ch if ch.is_ascii_alphabetic() => return Err(bad_template(&format!("bad escape \\{ch}"))),
                ch => ch,
            });
            None
        };
        if let Some(part) = found {
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
        }
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// A text as a pattern that matches it alone.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.chars() {
        match ch {
            '.' | '\\' | '+' | '*' | '?' | '[' | '^' | '$' | '(' | ')' | '{' | '}' | '|' | '-' | '#' | '&' | '~' => {
                out.push('\\');
                out.push(ch);
            }
            ch if myelin_model::types::py::is_space(ch) => {
                out.push('\\');
                out.push(ch);
            }
            ch => out.push(ch),
        }
    }
    out
}
