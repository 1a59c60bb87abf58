//! `$lib.xml`: XML text as a tree of elements. Names carry their namespace in braces; entities beyond the five of XML
//! are refused, external ones too.

use std::any::Any;
use std::sync::Arc;

use myelin_error::{Error, Result, err};
use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "xml",
    funcs: &[FuncDef::ro("parse", &[Arg::req("valu")], |rt, _, args| {
        Ok(Item::obj(Element(Arc::new(parse(&args.str(rt, 0)?)?))))
    })],
    consts: &[],
};

/// An element of a tree.
#[derive(Debug, Default, PartialEq)]
pub struct Elem {
    name: String,
    attrs: Vec<(String, String)>,
    text: Option<String>,
    kids: Vec<Arc<Elem>>,
}

/// How deep a document may nest.
const MAX_DEPTH: usize = 1000;

struct Parser<'a> {
    text: &'a str,
    pos: usize,
}

/// Namespaces by prefix, innermost last.
type Spaces = Vec<(String, String)>;

/// Reads a document.
///
/// # Errors
/// `BadArg`.
pub fn parse(text: &str) -> Result<Elem> {
    let mut parser = Parser { text: text.trim_start_matches('\u{feff}'), pos: 0 };
    parser.misc()?;
    if !parser.rest().starts_with('<') {
        return Err(parser.bad(if parser.rest().is_empty() { "no element found" } else { "syntax error" }));
    }
    let mut spaces = vec![("xml".to_owned(), "http://www.w3.org/XML/1998/namespace".to_owned())];
    let elem = parser.element(&mut spaces, 0)?;
    parser.misc()?;
    if parser.rest().is_empty() { Ok(elem) } else { Err(parser.bad("junk after document element")) }
}

fn is_name(ch: char) -> bool {
    ch.is_alphanumeric() || matches!(ch, '_' | ':' | '-' | '.' | '\u{b7}') || !ch.is_ascii()
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn bad(&self, why: &str) -> Error {
        let before = &self.text[..self.pos];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        err!("BadArg", mesg = format!("Invalid XML text: {why}: line {line}, column {column}"))
    }

    fn eat(&mut self, part: &str) -> bool {
        let found = self.rest().starts_with(part);
        if found {
            self.pos += part.len();
        }
        found
    }

    fn space(&mut self) -> bool {
        let rest = self.rest();
        let size = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.pos += size;
        size > 0
    }

    fn until(&mut self, end: &str, why: &str) -> Result<&'a str> {
        match self.rest().find(end) {
            Some(at) => {
                let found = &self.rest()[..at];
                self.pos += at + end.len();
                Ok(found)
            }
            None => Err(self.bad(why)),
        }
    }

    /// What may stand around the root: declarations, comments, instructions, a document type.
    fn misc(&mut self) -> Result<()> {
        loop {
            self.space();
            if self.eat("<!--") {
                self.until("-->", "unclosed comment")?;
            } else if self.eat("<?") {
                self.until("?>", "unclosed processing instruction")?;
            } else if self.eat("<!DOCTYPE") {
                self.doctype()?;
            } else {
                return Ok(());
            }
        }
    }

    fn doctype(&mut self) -> Result<()> {
        let mut depth = 0usize;
        let mut quote = None;
        for (at, ch) in self.rest().char_indices() {
            match (quote, ch) {
                (Some(mark), ch) if ch == mark => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(ch),
                (None, '[') => depth += 1,
                (None, ']') => depth = depth.saturating_sub(1),
                (None, '>') if depth == 0 => {
                    self.pos += at + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(self.bad("unclosed document type"))
    }

    fn name(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let end = rest.find(|ch| !is_name(ch)).unwrap_or(rest.len());
        let starts = rest.starts_with(|ch: char| is_name(ch) && !ch.is_ascii_digit() && ch != '-' && ch != '.');
        if !starts {
            return Err(self.bad("not well-formed (invalid token)"));
        }
        self.pos += end;
        Ok(&rest[..end])
    }

    fn element(&mut self, spaces: &mut Spaces, depth: usize) -> Result<Elem> {
        if depth > MAX_DEPTH {
            return Err(self.bad("the document nests too deeply"));
        }
        self.pos += 1;
        let name = self.name()?;
        let outer = spaces.len();
        let mut attrs: Vec<(&str, String)> = Vec::new();
        let empty = loop {
            let spaced = self.space();
            if self.eat("/>") {
                break true;
            }
            if self.eat(">") {
                break false;
            }
            if !spaced {
                return Err(self.bad("not well-formed (invalid token)"));
            }
            let (attr, valu) = self.attr()?;
            if attrs.iter().any(|(have, _)| *have == attr) {
                return Err(self.bad("duplicate attribute"));
            }
            match attr.strip_prefix("xmlns") {
                Some("") => spaces.push((String::new(), valu)),
                Some(prefix) if prefix.starts_with(':') => spaces.push((prefix[1..].to_owned(), valu)),
                _ => attrs.push((attr, valu)),
            }
        };
        let mut elem = Elem { name: self.expand(name, spaces, true)?, ..Elem::default() };
        for (attr, valu) in attrs {
            elem.attrs.push((self.expand(attr, spaces, false)?, valu));
        }
        if !empty {
            self.content(&mut elem, name, spaces, depth)?;
        }
        spaces.truncate(outer);
        Ok(elem)
    }

    fn attr(&mut self) -> Result<(&'a str, String)> {
        let name = self.name()?;
        self.space();
        if !self.eat("=") {
            return Err(self.bad("not well-formed (invalid token)"));
        }
        self.space();
        let mark = if self.eat("\"") {
            "\""
        } else if self.eat("'") {
            "'"
        } else {
            return Err(self.bad("not well-formed (invalid token)"));
        };
        let raw = self.until(mark, "unclosed token")?;
        if raw.contains('<') {
            return Err(self.bad("not well-formed (invalid token)"));
        }
        let plain = raw.replace("\r\n", " ").replace(['\n', '\t', '\r'], " ");
        Ok((name, self.entities(&plain)?))
    }

    fn entities(&self, raw: &str) -> Result<String> {
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find('&') {
            out.push_str(&rest[..at]);
            let Some((name, after)) = rest[at + 1..].split_once(';') else {
                return Err(self.bad("not well-formed (invalid token)"));
            };
            let code = |text: &str, radix: u32| u32::from_str_radix(text, radix).ok().and_then(char::from_u32);
            let found = match name {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => match name.strip_prefix('#') {
                    Some(number) => number.strip_prefix('x').map_or_else(|| code(number, 10), |hex| code(hex, 16)),
                    None => return Err(self.bad(&format!("undefined entity &{name};"))),
                },
            };
            out.push(found.ok_or_else(|| self.bad("reference to invalid character number"))?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn expand(&self, name: &str, spaces: &Spaces, element: bool) -> Result<String> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if prefix.is_empty() && !element {
            return Ok(name.to_owned());
        }
        match spaces.iter().rev().find(|(have, _)| have == prefix) {
            Some((_, uri)) if !uri.is_empty() => Ok(format!("{{{uri}}}{local}")),
            None if !prefix.is_empty() => Err(self.bad("unbound prefix")),
            _ => Ok(local.to_owned()),
        }
    }

    fn content(&mut self, elem: &mut Elem, name: &str, spaces: &mut Spaces, depth: usize) -> Result<()> {
        loop {
            if self.eat("</") {
                if self.name()? != name {
                    return Err(self.bad("mismatched tag"));
                }
                self.space();
                return if self.eat(">") { Ok(()) } else { Err(self.bad("not well-formed (invalid token)")) };
            }
            if self.eat("<!--") {
                self.until("-->", "unclosed comment")?;
            } else if self.eat("<![CDATA[") {
                let text = self.until("]]>", "unclosed CDATA section")?;
                push_text(elem, text);
            } else if self.eat("<?") {
                self.until("?>", "unclosed processing instruction")?;
            } else if self.rest().starts_with('<') {
                let kid = self.element(spaces, depth + 1)?;
                elem.kids.push(Arc::new(kid));
            } else {
                let rest = self.rest();
                let Some(end) = rest.find('<') else { return Err(self.bad("no element found")) };
                let text = self.entities(&rest[..end].replace("\r\n", "\n").replace('\r', "\n"))?;
                push_text(elem, &text);
                self.pos += end;
            }
        }
    }
}

/// Only the text before the first child is the element's own.
fn push_text(elem: &mut Elem, text: &str) {
    if elem.kids.is_empty() && !text.is_empty() {
        elem.text.get_or_insert_default().push_str(text);
    }
}

/// The elements below one that a path names: names, `*` and `.` between slashes, two slashes for any depth.
fn find_path(elem: &Arc<Elem>, path: &str) -> Vec<Arc<Elem>> {
    let mut here = vec![elem.clone()];
    let mut deep = false;
    for step in path.split('/') {
        match step {
            "" => deep = true,
            "." => {}
            name => {
                let mut next = Vec::new();
                for elem in &here {
                    if deep {
                        elem.kids.iter().for_each(|kid| walk(kid, name, &mut next));
                    } else {
                        next.extend(elem.kids.iter().filter(|kid| name == "*" || kid.name == name).cloned());
                    }
                }
                here = next;
                deep = false;
            }
        }
    }
    here
}

fn walk(elem: &Arc<Elem>, name: &str, out: &mut Vec<Arc<Elem>>) {
    if name == "*" || elem.name == name {
        out.push(elem.clone());
    }
    elem.kids.iter().for_each(|kid| walk(kid, name, out));
}

/// An element as an object.
pub struct Element(Arc<Elem>);

pub(super) static TYPE: TypeDef = TypeDef {
    name: "xml:element",
    funcs: &[
        FuncDef::ro("find", &[Arg::req("name"), Arg::opt("nested", Dflt::Bool(true))], find),
        FuncDef::ro("get", &[Arg::req("name")], |rt, this, args| {
            let name = args.str(rt, 0)?;
            let found = this.as_obj::<Element>().and_then(|elem| find_path(&elem.0, &name).into_iter().next());
            Ok(found.map(item).unwrap_or_default())
        }),
    ],
    getters: &[
        ("name", |_, this| {
            Ok(this.as_obj::<Element>().map(|elem| Item::from(elem.0.name.as_str())).unwrap_or_default())
        }),
        ("text", |_, this| {
            let text = this.as_obj::<Element>().and_then(|elem| elem.0.text.as_deref());
            Ok(text.map(Item::from).unwrap_or_default())
        }),
        ("attrs", |_, this| {
            let attrs = this.as_obj::<Element>().map(|elem| elem.0.attrs.clone()).unwrap_or_default();
            Ok(Item::dict(attrs.into_iter().map(|(name, valu)| (name, Item::from(valu))).collect::<Vec<_>>()))
        }),
    ],
    setters: &[],
};

fn item(elem: Arc<Elem>) -> Item {
    Item::obj(Element(elem))
}

fn find(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (name, nested) = (args.str(rt, 0)?, args.bool(rt, 1)?);
    let Some(elem) = this.as_obj::<Element>() else { return Ok(Item::NULL) };
    let mut found = Vec::new();
    if nested {
        walk(&elem.0, &name, &mut found);
    } else {
        found = find_path(&elem.0, &name);
    }
    Ok(Item::Genr(Genr::of(found.into_iter().map(item))))
}

impl StormObj for Element {
    fn type_name(&self) -> &'static str {
        "xml:element"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(Genr::of(self.0.kids.clone().into_iter().map(item)))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees() {
        let text = "<?xml version='1.0'?><!-- c --><a x='1 &amp; 2' xmlns:n='urn:n'>hi<![CDATA[<b>]]><b/>tail<n:b>\
                    <c>deep</c></n:b></a>";
        let tree = Arc::new(parse(text).expect("valid"));
        assert_eq!((tree.name.as_str(), tree.text.as_deref()), ("a", Some("hi<b>")));
        assert_eq!(tree.attrs, [("x".to_owned(), "1 & 2".to_owned())]);
        assert_eq!(tree.kids[1].name, "{urn:n}b");
        let mut found = Vec::new();
        walk(&tree, "c", &mut found);
        assert_eq!(found[0].text.as_deref(), Some("deep"));
        assert_eq!(find_path(&tree, "*/c").len(), 1);
    }

    #[test]
    fn bad_documents_are_refused() {
        for text in ["", "hi", "<a>", "<a></b>", "<a x=1/>", "<a>&nope;</a>", "<a/><b/>", "<a x='1' x='2'/>", "<n:a/>"]
        {
            assert!(parse(text).is_err_and(|error| error.is("BadArg")), "{text}");
        }
    }
}
