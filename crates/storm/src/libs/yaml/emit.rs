//! Writing YAML: block style, ASCII, lines folded after eighty columns, text quoted only where it must be.

use std::fmt::Write as _;

use base64::Engine as _;
use myelin_model::types::py;
use myelin_value::{Map, Value};

use super::load::resolve;

const WIDTH: usize = 80;

/// Writes a document.
pub fn dumps(valu: &Value, sort_keys: bool) -> String {
    let mut emitter = Emitter { out: String::new(), column: 0, sort_keys };
    emitter.node(valu, 0, Place::Root);
    let open = match valu {
        Value::Str(text) => matches!(style_of(text, false), Style::Plain),
        other => !matches!(other, Value::List(_) | Value::Map(_) | Value::Bytes(_)),
    };
    emitter.newline();
    if open {
        emitter.out.push_str("...\n");
    }
    emitter.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// After `- `.
    Item,
    /// After `key:`.
    Value,
    /// Before `:`.
    Key,
}

struct Emitter {
    out: String,
    column: usize,
    sort_keys: bool,
}

impl Emitter {
    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn newline(&mut self) {
        if !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.column = 0;
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.column = 0;
        self.write(&" ".repeat(indent));
    }

    fn node(&mut self, valu: &Value, indent: usize, place: Place) {
        match valu {
            Value::List(items) if items.is_empty() => self.inline("[]", place),
            Value::Map(map) if map.is_empty() => self.inline("{}", place),
            Value::List(items) => {
                for (indx, item) in items.iter().enumerate() {
                    if indx > 0 || place == Place::Value {
                        self.line(indent);
                    }
                    self.write("-");
                    self.node_after(item, indent + 2, Place::Item);
                }
            }
            Value::Map(map) => self.map(map, indent, place),
            scalar => {
                let lead = if matches!(place, Place::Item | Place::Value) { " " } else { "" };
                self.write(lead);
                let indent = if place == Place::Root { 2 } else { indent };
                self.scalar(scalar, indent, place == Place::Key);
            }
        }
    }

    fn inline(&mut self, text: &str, place: Place) {
        if matches!(place, Place::Item | Place::Value) {
            self.write(" ");
        }
        self.write(text);
    }

    /// A node after `-`: collections begin on the same line.
    fn node_after(&mut self, valu: &Value, indent: usize, place: Place) {
        let block = match valu {
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            _ => false,
        };
        if block {
            self.write(" ");
        }
        self.node(valu, indent, place);
    }

    fn map(&mut self, map: &Map, indent: usize, place: Place) {
        let mut pairs: Vec<_> = map.iter().collect();
        if self.sort_keys {
            let keys: Vec<&Value> = pairs.iter().map(|pair| pair.0).collect();
            if keys.iter().all(|left| keys.iter().all(|right| py::cmp(left, right).is_some())) {
                pairs.sort_by(|left, right| py::cmp(left.0, right.0).unwrap_or(std::cmp::Ordering::Equal));
            }
        }
        for (indx, (key, valu)) in pairs.into_iter().enumerate() {
            if indx > 0 || place == Place::Value {
                self.line(indent);
            }
            let simple = key.as_str().is_none_or(|text| text.len() < 128 && !text.contains('\n'));
            if simple {
                self.node(key, indent, Place::Key);
            } else {
                self.write("? ");
                self.scalar(key, indent + 2, false);
                self.line(indent);
            }
            self.write(":");
            let below = if matches!(valu, Value::List(_)) { indent } else { indent + 2 };
            self.node(valu, below, Place::Value);
        }
    }

    fn scalar(&mut self, valu: &Value, indent: usize, key: bool) {
        match valu {
            Value::Null => self.write("null"),
            Value::Bool(flag) => self.write(if *flag { "true" } else { "false" }),
            Value::Float(float) => self.write(&float_text(*float)),
            Value::Bytes(byts) => {
                self.write("!!binary |");
                let text = base64::engine::general_purpose::STANDARD.encode(byts);
                for chunk in text.as_bytes().chunks(76) {
                    self.line(indent.max(2));
                    self.write(std::str::from_utf8(chunk).unwrap_or_default());
                }
            }
            Value::Str(text) => self.text(text, indent, key),
            other => self.write(&py::str_text(other)),
        }
    }

    fn text(&mut self, text: &str, indent: usize, key: bool) {
        let style = style_of(text, key);
        match style {
            Style::Plain => self.words(text, indent, key),
            Style::Single => {
                self.write("'");
                self.single(text, indent, key);
                self.write("'");
            }
            Style::Double => self.double(text, indent, key),
        }
    }

    /// Text that may be folded at single spaces once the line is full.
    fn words(&mut self, text: &str, indent: usize, key: bool) {
        let chars: Vec<char> = text.chars().collect();
        for (indx, ch) in chars.iter().enumerate() {
            let lone = *ch == ' '
                && indx > 0
                && chars[indx - 1] != ' '
                && chars.get(indx + 1).is_some_and(|next| *next != ' ');
            if lone && !key && self.column > WIDTH {
                self.line(indent);
            } else {
                self.write(ch.encode_utf8(&mut [0; 4]));
            }
        }
    }

    fn single(&mut self, text: &str, indent: usize, key: bool) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find('\n').unwrap_or(rest.len());
            self.words(&rest[..end].replace('\'', "''"), indent, key);
            rest = &rest[end..];
            let breaks = rest.chars().take_while(|ch| *ch == '\n').count();
            if breaks > 0 {
                rest = &rest[breaks..];
                self.out.push_str(&"\n".repeat(breaks));
                self.line(indent);
            }
        }
    }

    fn double(&mut self, text: &str, indent: usize, key: bool) {
        self.write("\"");
        let chars: Vec<char> = text.chars().collect();
        for (indx, ch) in chars.iter().enumerate() {
            let lone = *ch == ' '
                && indx > 0
                && chars[indx - 1] != ' '
                && chars.get(indx + 1).is_some_and(|next| *next != ' ');
            if lone && !key && self.column > WIDTH {
                self.line(indent);
                continue;
            }
            let mut piece = String::new();
            let _ = match ch {
                '"' => write!(piece, "\\\""),
                '\\' => write!(piece, "\\\\"),
                '\n' => write!(piece, "\\n"),
                '\t' => write!(piece, "\\t"),
                '\r' => write!(piece, "\\r"),
                '\0' => write!(piece, "\\0"),
                '\u{7}' => write!(piece, "\\a"),
                '\u{8}' => write!(piece, "\\b"),
                '\u{b}' => write!(piece, "\\v"),
                '\u{c}' => write!(piece, "\\f"),
                '\u{1b}' => write!(piece, "\\e"),
                '\u{85}' => write!(piece, "\\N"),
                '\u{a0}' => write!(piece, "\\_"),
                '\u{2028}' => write!(piece, "\\L"),
                '\u{2029}' => write!(piece, "\\P"),
                ' '..='~' => write!(piece, "{ch}"),
                ch if u32::from(*ch) <= 0xff => write!(piece, "\\x{:02X}", u32::from(*ch)),
                ch if u32::from(*ch) <= 0xffff => write!(piece, "\\u{:04X}", u32::from(*ch)),
                ch => write!(piece, "\\U{:08X}", u32::from(*ch)),
            };
            self.write(&piece);
        }
        self.write("\"");
    }
}

enum Style {
    Plain,
    Single,
    Double,
}

/// The plainest style that reads back as the same text.
fn style_of(text: &str, key: bool) -> Style {
    let special = text.chars().any(|ch| !matches!(ch, '\n' | ' '..='~'));
    let spaced_break = text.contains(" \n") || text.contains("\n ");
    let edges = text.starts_with('\n') || text.ends_with('\n');
    if special || spaced_break || (text.ends_with(' ') && text.contains('\n')) {
        return Style::Double;
    }
    let lines = text.contains('\n');
    if lines && key {
        return Style::Double;
    }
    let plain_text = resolve(text).is_text() && text != "<<" && text != "=" && !is_timestamp(text);
    let spaced = text.starts_with(' ') || text.ends_with(' ');
    if !text.is_empty() && plain_text && !lines && !edges && !spaced && plain_allowed(text) {
        return Style::Plain;
    }
    Style::Single
}

fn is_timestamp(text: &str) -> bool {
    let byts = text.as_bytes();
    let digits = |from: usize, to: usize| byts.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    digits(0, 4)
        && byts.get(4) == Some(&b'-')
        && digits(5, 7)
        && byts.get(7) == Some(&b'-')
        && digits(8, 10)
        && (byts.len() == 10 || matches!(byts.get(10), Some(b'T' | b't' | b' ')))
}

fn plain_allowed(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let chars: Vec<char> = text.chars().collect();
    let space_after = |indx: usize| chars.get(indx + 1).is_none_or(|next| *next == ' ');
    if "#,[]{}&*!|>'\"%@`".contains(chars[0]) || (matches!(chars[0], '?' | ':' | '-') && space_after(0)) {
        return false;
    }
    chars.iter().enumerate().skip(1).all(|(indx, ch)| match ch {
        ':' => !space_after(indx),
        '#' => chars[indx - 1] != ' ',
        _ => true,
    })
}

fn float_text(float: f64) -> String {
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = py::float_repr(float).to_lowercase();
    if !text.contains('.') && text.contains('e') { text.replacen('e', ".0e", 1) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libs::jsontext;
    use crate::libs::yaml::loads;

    #[test]
    fn documents_look_as_elsewhere() {
        for (json, want) in [
            (r#"["a","b"]"#, "- a\n- b\n"),
            (r#"{"b":1,"a":[1,{"x":null,"y":[]}]}"#, "a:\n- 1\n- x: null\n  y: []\nb: 1\n"),
            (r#"[[1,2],[3]]"#, "- - 1\n  - 2\n- - 3\n"),
            (
                r#"{"a":"yes","b":"it's: x","c":"","d":"x\ny","e":"é","f":"- x"}"#,
                "a: 'yes'\nb: 'it''s: x'\nc: ''\nd: 'x\n\n  y'\ne: \"\\xE9\"\nf: '- x'\n",
            ),
            (r#"{"a":{"b":{"c":1}}}"#, "a:\n  b:\n    c: 1\n"),
            ("[1.5, true]", "- 1.5\n- true\n"),
            ("\"foo\"", "foo\n...\n"),
        ] {
            let valu = jsontext::loads(json).expect("valid");
            assert_eq!(dumps(&valu, true), want);
            assert_eq!(loads(want).expect("valid"), valu);
        }
    }

    #[test]
    fn long_lines_fold() {
        let text = "word ".repeat(40).trim_end().to_owned();
        let valu = Value::from(Map::new().with("key", text));
        let out = dumps(&valu, true);
        assert!(out.lines().all(|line| line.len() <= 86) && out.lines().count() > 2, "{out}");
        assert_eq!(loads(&out).expect("valid"), valu);
    }
}
