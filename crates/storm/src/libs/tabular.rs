//! `$lib.tabular`: rows of text in columns.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};

use myelin_error::err;
use myelin_model::types::py;
use myelin_value::{Map, Value, json};
use serde_json::json as json_lit;

use super::schema::Schema;
use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "tabular",
    funcs: &[
        FuncDef::rw("printer", &[Arg::req("conf")], printer),
        FuncDef::rw("schema", &[], |_, _, _| Ok(Item::deep(&json::from_json(SCHEMA.json())))),
    ],
    consts: &[],
};

static SCHEMA: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(|| {
    let schema = json_lit!({
        "type": "object",
        "properties": {
            "separators": {
                "type": "object",
                "properties": {
                    "row:outline": {"type": "boolean", "default": false,
                        "description": "Print the row separator above the header and below every row."},
                    "column:outline": {"type": "boolean", "default": false,
                        "description": "Print the column separator at both ends of every row."},
                    "header:row": {"type": "string", "default": "=",
                        "description": "What the line under the header is made of."},
                    "data:row": {"type": "string", "default": "-",
                        "description": "What the lines between rows are made of."},
                    "column": {"type": "string", "default": "|", "description": "What stands between columns."},
                },
                "additionalProperties": false,
            },
            "columns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "description": "The title of the column."},
                        "width": {"type": "number", "default": null, "exclusiveMinimum": 0,
                            "description": "How wide the column is; without it every cell takes what it needs."},
                        "justify": {"type": "string", "default": "left", "enum": ["left", "center", "right"],
                            "description": "Where titles and cells stand in the column."},
                        "overflow": {"type": "string", "default": "trim", "enum": ["wrap", "trim"],
                            "description": "Whether text that is too long goes on in the next line or is cut."},
                        "newlines": {"type": "string", "default": "replace", "enum": ["replace", "split"],
                            "description": "Whether line ends become spaces or, without a width, lines."},
                    },
                    "required": ["name"],
                    "minItems": 1,
                    "additionalProperties": false,
                },
            },
        },
        "required": ["columns"],
        "additionalProperties": false,
    });
    // The schema is a constant that a test compiles.
    #[expect(clippy::expect_used, reason = "a constant")]
    Schema::compile(schema, false).expect("the schema of tables compiles")
});

fn with_defaults(conf: Map) -> Map {
    let mut conf = conf;
    let seps = conf.get("separators").and_then(Value::as_map).cloned().unwrap_or_default();
    let mut all = Map::new()
        .with("row:outline", false)
        .with("column:outline", false)
        .with("header:row", "=")
        .with("data:row", "-")
        .with("column", "|");
    all.update(&seps);
    conf.insert("separators", all);
    conf
}

fn printer(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let Value::Map(conf) = args.prim(rt, 0)? else {
        crate::fail!("SchemaViolation", mesg = "data must be object", name = "data");
    };
    let mut conf = (*conf).clone();
    if !conf.contains("separators") {
        conf.insert("separators", Map::new());
    }
    SCHEMA.check(&Value::from(conf.clone()))?;
    let conf = with_defaults(conf);
    let seps = conf.get("separators").cloned().unwrap_or(Value::Null);
    let text = |name: &str| seps.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |name: &str| seps.get(name).is_some_and(Value::is_truthy);
    let cols = conf.get("columns").and_then(Value::as_list).unwrap_or_default();
    Ok(Item::obj(Printer {
        first: AtomicBool::new(true),
        row_outline: flag("row:outline"),
        column_outline: flag("column:outline"),
        header_row: text("header:row"),
        data_row: text("data:row"),
        column: text("column"),
        cols: cols.iter().map(Column::new).collect(),
    }))
}

struct Column {
    name: String,
    width: Option<usize>,
    justify: String,
    wrap: bool,
    split: bool,
}

impl Column {
    fn new(conf: &Value) -> Column {
        let text = |name: &str| conf.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let width = conf.get("width").and_then(|valu| match valu {
            #[expect(clippy::cast_possible_truncation, reason = "widths are small")]
            Value::Float(float) => Some(*float as i64),
            other => other.as_i64(),
        });
        Column {
            name: text("name"),
            width: width.and_then(|width| usize::try_from(width).ok()),
            justify: text("justify"),
            wrap: text("overflow") == "wrap",
            split: text("newlines") == "split",
        }
    }

    fn room(&self) -> usize {
        self.width.unwrap_or_else(|| self.name.chars().count())
    }

    fn justify(&self, text: &str, width: usize) -> String {
        let pad = width.saturating_sub(text.chars().count());
        let left = match self.justify.as_str() {
            "right" => pad,
            // Python puts the odd space to the left where pad and width are both odd.
            "center" => pad / 2 + (pad & width & 1),
            _ => 0,
        };
        format!("{}{text}{}", " ".repeat(left), " ".repeat(pad - left))
    }

    fn lines(&self, text: &str) -> Vec<String> {
        let Some(width) = self.width else {
            if self.split {
                return text.split('\n').map(str::to_owned).collect();
            }
            return vec![text.replace('\n', " ")];
        };
        let text = text.replace('\n', " ");
        if text.chars().count() <= width {
            return vec![self.justify(&text, width)];
        }
        if !self.wrap {
            let head: String = text.chars().take(width.saturating_sub(3)).collect();
            return vec![format!("{head}...")];
        }
        wrap(&text, width).iter().map(|line| self.justify(line, width)).collect()
    }
}

/// Breaks text at spaces and behind hyphens into lines; words that are too long are cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut chunks: std::collections::VecDeque<String> = chunks(text).into();
    let size = |text: &str| text.chars().count();
    let mut lines: Vec<String> = Vec::new();
    while let Some(first) = chunks.front() {
        if first.trim().is_empty() && !lines.is_empty() {
            chunks.pop_front();
            continue;
        }
        let (mut line, mut used) = (Vec::new(), 0);
        while let Some(chunk) = chunks.front() {
            if used + size(chunk) > width {
                break;
            }
            used += size(chunk);
            line.extend(chunks.pop_front());
        }
        if let Some(chunk) = chunks.front_mut().filter(|chunk| size(chunk) > width) {
            let room = width.saturating_sub(used).max(1);
            line.push(chunk.chars().take(room).collect());
            *chunk = chunk.chars().skip(room).collect();
        }
        if line.last().is_some_and(|chunk| chunk.trim().is_empty()) {
            line.pop();
        }
        if !line.is_empty() {
            lines.push(line.concat());
        }
    }
    lines
}

/// Words and the runs of spaces between them; a hyphen between letters ends a chunk.
fn chunks(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().map(|ch| if ch.is_whitespace() { ' ' } else { ch }).collect();
    let mut retn: Vec<String> = Vec::new();
    for (indx, ch) in chars.iter().enumerate() {
        let broken = indx == 0
            || (chars[indx - 1] == ' ') != (*ch == ' ')
            || (chars[indx - 1] == '-' && ch.is_alphabetic() && indx > 1 && chars[indx - 2].is_alphabetic());
        match retn.last_mut().filter(|_| !broken) {
            Some(last) => last.push(*ch),
            None => retn.push(ch.to_string()),
        }
    }
    retn
}

/// Prints rows.
pub struct Printer {
    first: AtomicBool,
    row_outline: bool,
    column_outline: bool,
    header_row: String,
    data_row: String,
    column: String,
    cols: Vec<Column>,
}

pub(super) static TYPE: TypeDef = TypeDef {
    name: "tabular:printer",
    funcs: &[
        FuncDef::rw("header", &[], |_, this, _| {
            Ok(this.as_obj::<Printer>().map(|printer| Item::from(printer.header())).unwrap_or_default())
        }),
        FuncDef::rw("row", &[Arg::req("data")], |rt, this, args| match this.as_obj::<Printer>() {
            Some(printer) => Ok(Item::from(printer.row(&args.prim(rt, 0)?)?)),
            None => Ok(Item::NULL),
        }),
    ],
    getters: &[],
    setters: &[],
};

impl Printer {
    fn line(&self, cells: &[String], pad: &str) -> String {
        let end = if self.column_outline { self.column.as_str() } else { "" };
        format!("{end}{pad}{}{pad}{end}", cells.join(&format!("{pad}{}{pad}", self.column)))
    }

    fn separator(&self, mark: &str) -> Option<String> {
        let cells: Vec<String> = self.cols.iter().map(|col| mark.repeat(col.room())).collect();
        (!mark.is_empty()).then(|| self.line(&cells, mark))
    }

    fn rows(&self, texts: &[String]) -> Vec<String> {
        let cells: Vec<Vec<String>> = self.cols.iter().zip(texts).map(|(col, text)| col.lines(text)).collect();
        let count = cells.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |col: usize, row: usize| {
            let found = cells[col].get(row).filter(|text| !text.is_empty()).cloned();
            found.unwrap_or_else(|| " ".repeat(self.cols[col].room()))
        };
        (0..count).map(|row| self.line(&(0..cells.len()).map(|col| cell(col, row)).collect::<Vec<_>>(), " ")).collect()
    }

    fn header(&self) -> String {
        let names: Vec<String> = self.cols.iter().map(|col| col.name.clone()).collect();
        let mut rows = self.rows(&names);
        if let Some(sep) = self.separator(&self.header_row) {
            rows.push(sep.clone());
            if self.row_outline {
                rows.insert(0, sep);
            }
        }
        rows.join("\n")
    }

    fn row(&self, data: &Value) -> Flow<String> {
        let Some(items) = data.as_list() else {
            crate::fail!("BadArg", mesg = "tabular:printer row() requires a list argument");
        };
        if items.len() != self.cols.len() {
            let mesg = "tabular:printer row() requires data length to equal column count";
            return Err(err!("BadArg", mesg = mesg, length = items.len(), column_length = self.cols.len()).into());
        }
        let text = |item: &Value| if item.is_null() { String::new() } else { py::str_text(item) };
        let mut rows = self.rows(&items.iter().map(text).collect::<Vec<_>>());
        if let Some(sep) = self.separator(&self.data_row) {
            if self.row_outline {
                rows.push(sep);
            } else if !self.first.swap(false, Ordering::Relaxed) {
                rows.insert(0, sep);
            }
        }
        Ok(rows.join("\n"))
    }
}

impl StormObj for Printer {
    fn type_name(&self) -> &'static str {
        "tabular:printer"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Err(err!("NoSuchType", mesg = "Unable to convert object to Storm primitive.", name = "TabularPrinter").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap() {
        assert_eq!(wrap("The Gods Themselves", 10), ["The Gods", "Themselves"]);
        assert_eq!(wrap("The Dispossessed", 10), ["The Dispos", "sessed"]);
    }

    #[test]
    fn the_schema_compiles() {
        assert!(SCHEMA.check(&Value::from(Map::new())).is_err());
    }
}
