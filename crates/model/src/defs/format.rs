//! Reads the model format: one declaration a line, its parts indented below it.
//!
//! A line is words, then `;` and information words, then `--` and what it means in plain text. A word is `name` (which
//! stands for true), `name=value`, or a type. Values are JSON, or text without quotes when it cannot be taken for JSON,
//! or `@name` for a table of the same file or a schema of [`super::SCHEMAS`].

use std::collections::HashMap;
use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

use super::SCHEMAS;
use crate::moddef::{CtorDef, EdgeKey, FormDef, ModelDef, PropDef, TypeDef, TypeRef};

/// Reads a file of declarations.
///
/// # Errors
/// `BadArg` with file and line when it is not well-formed.
pub fn parse(name: &str, text: &str) -> Result<ModelDef> {
    let mut parser = Parser::new(name);
    for (indx, line) in text.lines().enumerate() {
        parser.line(line).map_err(|mesg| err!("BadArg", mesg = format!("model {name}, line {}: {mesg}", indx + 1)))?;
    }
    Ok(parser.finish())
}

type Parsed<T> = std::result::Result<T, String>;

/// The declaration to which indented lines belong.
enum Block {
    None,
    Table(String, Vec<Value>),
    Ctor(CtorDef),
    Type(TypeDef),
    Iface(Arc<str>, Map, Vec<Value>),
    Form(FormDef),
}

struct Parser {
    model: ModelDef,
    tables: HashMap<String, Value>,
    block: Block,
}

impl Parser {
    fn new(name: &str) -> Parser {
        let model = ModelDef { name: name.into(), ..ModelDef::default() };
        Parser { model, tables: HashMap::new(), block: Block::None }
    }

    fn line(&mut self, line: &str) -> Parsed<()> {
        let rest = line.trim();
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(());
        }
        if line.starts_with(' ') {
            return self.part(rest);
        }
        self.close();
        let (kind, rest) = rest.split_once(' ').ok_or("a declaration needs a name")?;
        let line = Line::split(rest)?;
        match kind {
            "table" => self.block = Block::Table(line.name()?.to_owned(), Vec::new()),
            "ctor" => self.block = Block::Ctor(self.ctor(&line)?),
            "type" => self.block = Block::Type(self.typ(&line)?),
            "interface" => self.block = Block::Iface(line.name()?.into(), self.info(&line)?, Vec::new()),
            "form" => self.block = Block::Form(form(&line)?),
            "univ" => {
                let mut univ = self.prop(&line)?;
                univ.name = univ.name.strip_prefix('.').ok_or("a universal property begins with a dot")?.into();
                self.model.univs.push(univ);
            }
            "tagprop" => {
                let prop = self.prop(&line)?;
                self.model.tagprops.push(prop);
            }
            "edge" => {
                let edge = (edge(&line)?, self.info(&line)?);
                self.model.edges.push(edge);
            }
            _ => return Err(format!("unknown declaration {kind}")),
        }
        Ok(())
    }

    /// A line below a declaration.
    fn part(&mut self, rest: &str) -> Parsed<()> {
        if let Some(rest) = rest.strip_prefix(':') {
            let prop = self.prop(&Line::split(rest)?)?;
            match &mut self.block {
                Block::Form(form) => form.props.push(prop),
                Block::Iface(_, _, props) => props.push(prop.pack()),
                _ => return Err("a property belongs below a form or an interface".to_owned()),
            }
            return Ok(());
        }
        let (key, rest) = rest.split_once(' ').ok_or("too short")?;
        if let Block::Table(_, rows) = &mut self.block {
            let number = key.parse::<i64>().map_err(|_| "a table row begins with a number")?;
            rows.push(Value::list([Value::from(number), Value::from(rest)]));
            return Ok(());
        }
        if key == "field" {
            let field = self.field(&Line::split(rest)?)?;
            let Block::Type(typ) = &mut self.block else {
                return Err("a field belongs below a type".to_owned());
            };
            return push_field(typ, field);
        }
        let valu = match key {
            "interfaces" => Value::list(rest.split(' ').map(Value::from)),
            "template" | "templates" => Value::from(self.opts(&Line::split(rest)?.words)?),
            "columns" => columns(rest),
            _ => return Err(format!("unknown part {key}")),
        };
        let key = if key == "columns" { "display" } else { key };
        match &mut self.block {
            Block::Ctor(ctor) => ctor.info.insert(key, valu),
            Block::Type(typ) => typ.info.insert(key, valu),
            Block::Iface(_, info, _) => info.insert(key, valu),
            _ => return Err(format!("{key} belongs below a type or an interface")),
        };
        Ok(())
    }

    /// Ends the declaration that is being read.
    fn close(&mut self) {
        match std::mem::replace(&mut self.block, Block::None) {
            Block::None => {}
            Block::Table(name, rows) => {
                self.tables.insert(name, Value::from(rows));
            }
            Block::Ctor(ctor) => self.model.ctors.push(ctor),
            Block::Type(typ) => self.model.types.push(typ),
            Block::Iface(name, mut info, props) => {
                info.insert("props", Value::from(props));
                self.model.interfaces.push((name, info));
            }
            Block::Form(form) => self.model.forms.push(form),
        }
    }

    fn finish(mut self) -> ModelDef {
        self.close();
        for form in self.model.forms.iter().filter(|form| form.inline) {
            let props = Value::list(form.props.iter().map(PropDef::pack));
            let ctor = self.model.ctors.iter_mut().find(|ctor| ctor.name == form.name).map(|ctor| &mut ctor.info);
            let info =
                ctor.or_else(|| self.model.types.iter_mut().find(|typ| typ.name == form.name).map(|typ| &mut typ.info));
            if let Some(info) = info {
                info.insert("props", props);
            }
        }
        self.model
    }

    fn ctor(&self, line: &Line<'_>) -> Parsed<CtorDef> {
        let class = line.words.get(1).ok_or("a constructor needs a class")?;
        Ok(CtorDef {
            name: line.name()?.into(),
            ctor: (*class).into(),
            opts: self.opts(&line.words[2..])?,
            info: self.info(line)?,
        })
    }

    fn typ(&self, line: &Line<'_>) -> Parsed<TypeDef> {
        Ok(TypeDef { name: line.name()?.into(), base: self.type_ref(&line.words[1..])?, info: self.info(line)? })
    }

    fn prop(&self, line: &Line<'_>) -> Parsed<PropDef> {
        Ok(PropDef {
            name: line.name()?.into(),
            typ: self.type_ref(&line.words[1..])?,
            info: Arc::new(self.info(line)?),
        })
    }

    /// A field of a compound type: name and type, the latter as text unless it has options.
    fn field(&self, line: &Line<'_>) -> Parsed<Value> {
        let name = line.name()?;
        let typ = self.type_ref(&line.words[1..])?;
        let typ =
            if line.words.len() == 2 && !line.words[1].starts_with('[') { Value::from(typ.name) } else { typ.pack() };
        Ok(Value::list([Value::from(name), typ]))
    }

    fn type_ref(&self, words: &[&str]) -> Parsed<TypeRef> {
        let (first, rest) = words.split_first().ok_or("a type is missing")?;
        if rest == ["()"] {
            return Ok(TypeRef::new(*first, Value::empty_list()));
        }
        if rest == ["{}"] {
            return Ok(TypeRef::new(*first, Map::new()));
        }
        match first.strip_prefix('[').and_then(|item| item.strip_suffix(']')) {
            Some(item) => {
                let mut opts = Map::new().with("type", item);
                opts.update(&self.opts(rest)?);
                Ok(TypeRef::new("array", opts))
            }
            None => Ok(TypeRef::new(*first, self.opts(rest)?)),
        }
    }

    fn opts(&self, words: &[&str]) -> Parsed<Map> {
        let mut opts = Map::with_capacity(words.len());
        for word in words {
            match word.split_once('=') {
                Some((key, text)) => opts.insert(key, self.valu(text)?),
                None => opts.insert(*word, true),
            };
        }
        Ok(opts)
    }

    fn info(&self, line: &Line<'_>) -> Parsed<Map> {
        let mut info = Map::new();
        if !line.doc.is_empty() {
            info.insert("doc", line.doc);
        }
        for word in &line.info {
            match word.split_once('=') {
                Some(("disp", hint)) if !hint.starts_with('{') => {
                    info.insert("disp", Map::new().with("hint", hint));
                }
                Some(("alts", names)) => {
                    info.insert("alts", Value::list(names.split(',').map(Value::from)));
                }
                Some((key, text)) => {
                    info.insert(key, self.valu(text)?);
                }
                None => {
                    info.insert(*word, true);
                }
            }
        }
        Ok(info)
    }

    fn valu(&self, text: &str) -> Parsed<Value> {
        if let Some(name) = text.strip_prefix('@') {
            if let Some(table) = self.tables.get(name) {
                return Ok(table.clone());
            }
            let schema = SCHEMAS.iter().find(|(have, _)| *have == name);
            let (_, text) = schema.ok_or_else(|| format!("there is no table or schema {name}"))?;
            return json(text);
        }
        let is_json = text.starts_with(|chr: char| chr.is_ascii_digit() || "-\"[{".contains(chr));
        if is_json || matches!(text, "true" | "false" | "null") { json(text) } else { Ok(Value::from(text)) }
    }
}

fn json(text: &str) -> Parsed<Value> {
    myelin_value::json::parse(text.as_bytes()).map_err(|error| format!("{error} in {text}"))
}

fn form(line: &Line<'_>) -> Parsed<FormDef> {
    let mut form = FormDef { name: line.name()?.into(), info: Map::new(), props: Vec::new(), inline: false };
    for word in &line.words[1..] {
        match *word {
            "runt" => {
                form.info.insert("runt", true);
            }
            "inline" => form.inline = true,
            other => return Err(format!("unknown flag {other} of a form")),
        }
    }
    Ok(form)
}

/// `form -(verb)> form`, with `*` for any form.
fn edge(line: &Line<'_>) -> Parsed<EdgeKey> {
    let [n1form, verb, n2form] = line.words[..] else {
        return Err("an edge is a form, a verb and a form".to_owned());
    };
    let verb = verb.strip_prefix("-(").and_then(|verb| verb.strip_suffix(")>")).ok_or("a verb looks like -(uses)>")?;
    let side = |name: &str| (name != "*").then(|| Arc::from(name));
    Ok((side(n1form), verb.into(), side(n2form)))
}

fn push_field(typ: &mut TypeDef, field: Value) -> Parsed<()> {
    let mut opts = typ.base.opts.as_map().cloned().unwrap_or_default();
    let mut fields = opts.get("fields").and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default();
    fields.push(field);
    opts.insert("fields", Value::from(fields));
    typ.base.opts = Value::from(opts);
    Ok(())
}

/// The display hint for a table of properties.
fn columns(names: &str) -> Value {
    let column = |name: &str| Value::from(Map::new().with("type", "prop").with("opts", Map::new().with("name", name)));
    Value::from(Map::new().with("columns", Value::list(names.split(' ').map(column))))
}

/// A line taken apart.
struct Line<'a> {
    words: Vec<&'a str>,
    info: Vec<&'a str>,
    doc: &'a str,
}

impl<'a> Line<'a> {
    fn split(text: &'a str) -> Parsed<Line<'a>> {
        let mut line = Line { words: Vec::new(), info: Vec::new(), doc: "" };
        let mut in_info = false;
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let end = word_end(rest)?;
            let (word, tail) = rest.split_at(end);
            rest = tail.trim_start();
            match word {
                "--" => {
                    line.doc = rest.trim_end();
                    break;
                }
                ";" => in_info = true,
                word if in_info => line.info.push(word),
                word => line.words.push(word),
            }
        }
        Ok(line)
    }

    fn name(&self) -> Parsed<&'a str> {
        self.words.first().copied().ok_or_else(|| "a name is missing".to_owned())
    }
}

/// Where the first word ends: at a blank that is not inside JSON.
fn word_end(text: &str) -> Parsed<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (indx, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1).ok_or("a bracket closes that was not opened")?,
            b' ' if depth == 0 => return Ok(indx),
            _ => {}
        }
    }
    if quoted || depth != 0 { Err("a value does not end on its line".to_owned()) } else { Ok(text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# a comment
table colour
    0 light red
    1 blue

type test:point comp sepr="," ; deprecated -- A place.
    field x int min=-5
    field y int
    interfaces test:a test:b
    columns x foo::bar
type test:colour int enums=@colour --
form test:point runt
    :names [str] uniq split=, ; ro alts=x,y disp=text -- Other names -- all of them.
    :old loc () --
edge * -(likes)> test:point ; deprecated -- Why.
"#;

    #[test]
    fn reads_every_kind_of_line() {
        let model = parse("test", TEXT).expect("well-formed");
        let typ = &model.types[0];
        let opts = typ.base.opts.as_map().expect("a map");
        assert_eq!(opts.get_str("sepr"), Some(","));
        let fields = opts.get("fields").expect("fields");
        assert_eq!(
            fields.at(0).and_then(|field| field.at(1)).and_then(|typ| typ.at(1)),
            json(r#"{"min":-5}"#).ok().as_ref()
        );
        assert_eq!(fields.at(1).and_then(|field| field.at(1)).and_then(Value::as_str), Some("int"));
        assert_eq!(typ.info.get_str("doc"), Some("A place."));
        assert_eq!(typ.info.get("display"), Some(&columns("x foo::bar")));
        assert_eq!(model.types[1].base.opts.get("enums"), json(r#"[[0,"light red"],[1,"blue"]]"#).ok().as_ref());
        let form = &model.forms[0];
        assert!(form.info.get("runt").is_some_and(Value::is_truthy));
        assert_eq!(
            form.props[0].typ,
            TypeRef::new("array", json(r#"{"type":"str","uniq":true,"split":","}"#).expect("json"))
        );
        assert_eq!(form.props[0].info.get_str("doc"), Some("Other names -- all of them."));
        assert_eq!(form.props[1].typ.opts, Value::empty_list());
        assert_eq!(model.edges[0].0, (None, "likes".into(), Some("test:point".into())));
    }

    #[test]
    fn names_the_line_of_a_mistake() {
        for text in ["type x", "nonsense y", "type x:y str regex=\"abc", "form a:b wrong", "\n    :x str"] {
            let error = parse("test", text).expect_err(text);
            assert!(error.is("BadArg") && error.message().contains("line "), "{error}");
        }
    }
}
