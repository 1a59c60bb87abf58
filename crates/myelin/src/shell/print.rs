//! Messages of a query as text.

use std::io::{IsTerminal, Write};

use md5::{Digest, Md5};
use myelin_value::{Map, Value};
use nu_ansi_term::Color;

/// How much of a long query is shown on each side of an error.
const CONTEXT: usize = 30;

/// Prints messages; colours only for a terminal.
pub struct Printer {
    colours: bool,
    /// Whether dots for edits stand at the start of the current line.
    indented: bool,
}

impl Printer {
    /// Colours when standard output is a terminal.
    pub fn detect() -> Printer {
        Printer { colours: std::io::stdout().is_terminal(), indented: false }
    }

    /// Prints a line, ending a line of dots first.
    pub fn line(&mut self, text: impl AsRef<str>) {
        if std::mem::take(&mut self.indented) {
            println!();
        }
        println!("{}", text.as_ref());
    }

    fn coloured(&mut self, colour: Color, text: &str) {
        if self.colours {
            self.line(colour.paint(text).to_string());
        } else {
            self.line(text);
        }
    }

    /// Prints one message of a query, whose text is given. False when it is an error.
    pub fn mesg(&mut self, mesg: &Value, query: &str) -> bool {
        let info = mesg.at(1).unwrap_or(&Value::Null);
        match mesg.at(0).and_then(Value::as_str).unwrap_or_default() {
            "node" => self.node(info),
            "node:edits" => self.dots(info),
            "print" => self.line(plain(info.get("mesg"))),
            "warn" => self.warn(info),
            "plan" => self.plan(info.get("steps"), 0),
            "fini" => self.fini(info),
            "err" => {
                self.err(info, query);
                return false;
            }
            _ => {}
        }
        true
    }

    fn node(&mut self, node: &Value) {
        let Some(ndef) = node.at(0) else { return };
        let empty = Map::new();
        let info = node.at(1).and_then(Value::as_map).unwrap_or(&empty);
        let repr = info.get("repr").filter(|repr| !repr.is_null()).or_else(|| ndef.at(1));
        self.line(format!("{}={}", plain(ndef.at(0)), plain(repr)));

        let props = info.get("props").and_then(Value::as_map).unwrap_or(&empty);
        let reprs = info.get("reprs").and_then(Value::as_map).unwrap_or(&empty);
        let mut names: Vec<&str> = props.text_entries().map(|(name, _)| name).collect();
        // Declared properties first, then extended ones, then universal ones; each by name.
        names.sort_by_key(|name| (name.starts_with('.'), name.starts_with('_'), *name));
        for name in names {
            let sign = if name.starts_with('.') { "" } else { ":" };
            let valu = reprs.get(name).or_else(|| props.get(name));
            self.line(format!("        {sign}{name} = {}", plain(valu)));
        }
        self.tags(info);
    }

    fn tags(&mut self, info: &Map) {
        let empty = Map::new();
        let tags = info.get("tags").and_then(Value::as_map).unwrap_or(&empty);
        let tagprops = info.get("tagprops").and_then(Value::as_map).unwrap_or(&empty);
        let tagreprs = info.get("tagpropreprs").and_then(Value::as_map).unwrap_or(&empty);
        let mut names: Vec<&str> = tags.text_entries().map(|(name, _)| name).collect();
        names.sort_unstable();
        for name in leaves(&names, tags, tagprops) {
            let mut printed = false;
            if let Some(span) = tags.get(name).and_then(span_text) {
                self.line(format!("        #{name} = {span}"));
                printed = true;
            }
            for (prop, valu) in tagprops.get(name).and_then(Value::as_map).into_iter().flat_map(Map::text_entries) {
                let repr = tagreprs.get(name).and_then(|reprs| reprs.get(prop)).unwrap_or(valu);
                self.line(format!("        #{name}:{prop} = {}", plain(Some(repr))));
                printed = true;
            }
            if !printed {
                self.line(format!("        #{name}"));
            }
        }
    }

    fn dots(&mut self, info: &Value) {
        let edits = info.get("edits").and_then(Value::as_list).unwrap_or_default();
        let count: usize = edits.iter().map(|edit| edit.at(2).and_then(Value::as_list).map_or(0, <[Value]>::len)).sum();
        print!("{}", ".".repeat(count));
        // A dot that stays in the buffer until the query ends tells nobody that it works.
        let _ = std::io::stdout().flush();
        self.indented = true;
    }

    fn warn(&mut self, info: &Value) {
        let mut text = plain(info.get("mesg"));
        let rest = info.as_map().into_iter().flat_map(Map::text_entries).filter(|(key, _)| *key != "mesg");
        let rest: Vec<_> = rest.map(|(key, valu)| format!("{key}={}", plain(Some(valu)))).collect();
        if !rest.is_empty() {
            text = format!("{text} {}", rest.join(", "));
        }
        self.coloured(Color::Yellow, &format!("WARNING: {text}"));
    }

    /// Shows a place in a query, marked in the line below.
    fn point(&mut self, text: &str, start: usize, end: usize) {
        let (excerpt, column) = excerpt(text, start);
        let width = (end - start).min(excerpt.chars().count().saturating_sub(column)).max(1);
        self.line(excerpt);
        self.coloured(Color::Red, &format!("{}{}", " ".repeat(column), "^".repeat(width)));
    }

    /// The steps of a query: rows, microseconds, the operator, the index it walked.
    fn plan(&mut self, steps: Option<&Value>, depth: usize) {
        if depth == 0 {
            self.line(format!("{:>10} {:>10}  step", "rows", "us"));
        }
        for step in steps.and_then(Value::as_list).unwrap_or_default() {
            let number = |name: &str| step.get(name).and_then(Value::as_i64).unwrap_or_default();
            let (kind, text) = (plain(step.get("kind")), plain(step.get("text")));
            let indent = "  ".repeat(depth);
            self.line(format!("{:>10} {:>10}  {indent}{kind}: {text}", number("rows"), number("micros")));
            for index in step.get("index").and_then(Value::as_list).unwrap_or_default() {
                self.line(format!("{:>21}  {indent}  by {}", "", plain(Some(index))));
            }
            self.plan(step.get("steps").filter(|steps| !steps.is_null()), depth + 1);
        }
    }

    fn fini(&mut self, info: &Value) {
        let took = info.get("took").and_then(Value::as_i64).unwrap_or(0).max(1);
        let count = info.get("count").and_then(Value::as_i64).unwrap_or(0);
        self.line(format!("complete. {count} nodes in {took} ms ({}/sec).", count * 1000 / took));
    }

    fn err(&mut self, error: &Value, query: &str) {
        let name = plain(error.at(0));
        let empty = Map::new();
        let info = error.at(1).and_then(Value::as_map).unwrap_or(&empty);
        let mesg = info.get_str("mesg").unwrap_or(&name);
        if let (Some(text), Some(at)) =
            (info.get_str("text"), info.get_i64("at").and_then(|at| usize::try_from(at).ok()))
        {
            self.point(text, at, at + 1);
            self.coloured(Color::Red, &format!("Syntax Error: {mesg}"));
            return;
        }
        // Scripts that read what a query prints know no pointer here.
        if self.colours
            && let Some((start, end)) = place(info, query)
        {
            self.point(query, start, end);
        }
        self.coloured(Color::Red, &format!("ERROR: {mesg}"));
    }
}

/// Where in the query an error arose, in characters; nothing where it arose in another text, such as that of a command.
fn place(info: &Map, query: &str) -> Option<(usize, usize)> {
    let highlight = info.get("highlight")?;
    if highlight.get("hash")?.as_str()? != hex::encode(Md5::digest(query.as_bytes())) {
        return None;
    }
    let offsets = highlight.get("offsets")?;
    let at = |indx| offsets.at(indx).and_then(Value::as_i64).and_then(|at| usize::try_from(at).ok());
    let (start, end) = (at(0)?, at(1)?);
    (start < end && end <= query.chars().count()).then_some((start, end))
}

/// Tags worth a line: leaves, and inner tags that say something themselves.
fn leaves<'a>(sorted: &[&'a str], tags: &Map, tagprops: &Map) -> Vec<&'a str> {
    let says = |name: &str| tags.get(name).and_then(span_text).is_some() || tagprops.contains(name);
    sorted
        .iter()
        .copied()
        .filter(|name| {
            let inner = sorted.iter().any(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
            !inner || says(name)
        })
        .collect()
}

/// An interval of a tag, unless it is empty.
fn span_text(valu: &Value) -> Option<String> {
    let (min, max) = (valu.at(0)?, valu.at(1)?);
    if min.is_null() && max.is_null() {
        return None;
    }
    Some(format!("({}, {})", time_text(min), time_text(max)))
}

/// Milliseconds since the epoch as the platform prints them; `?` for an open end.
pub fn time_text(valu: &Value) -> String {
    let Some(millis) = valu.as_i64() else { return plain(Some(valu)) };
    if millis == i64::MAX {
        return "?".to_owned();
    }
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(time) => time.strftime("%Y/%m/%d %H:%M:%S.%3f").to_string(),
        Err(_) => millis.to_string(),
    }
}

/// A window of the query around a place (in characters), and the place in it.
fn excerpt(text: &str, at: usize) -> (String, usize) {
    let chars: Vec<char> = text.chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
    if chars.len() <= 2 * CONTEXT {
        return (chars.into_iter().collect(), at);
    }
    let start = at.saturating_sub(CONTEXT).min(chars.len());
    let end = (at + CONTEXT).min(chars.len());
    let window: String = chars[start..end.max(start)].iter().collect();
    let before = if start > 0 { "..." } else { "" };
    let after = if end < chars.len() { "..." } else { "" };
    (format!("{before}{window}{after}"), at - start + before.len())
}

/// A value without quotes at the top.
pub fn plain(valu: Option<&Value>) -> String {
    match valu {
        None => String::new(),
        Some(Value::Str(text)) => text.to_string(),
        Some(Value::Surrogates(text)) => text.to_string_lossy(),
        Some(Value::List(items)) => {
            let items: Vec<_> = items.iter().map(|item| plain(Some(item))).collect();
            format!("({})", items.join(", "))
        }
        Some(other) => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_queries_are_cut_around_the_error() {
        let text = format!("{}!{}", "a".repeat(100), "b".repeat(100));
        let (shown, column) = excerpt(&text, 100);
        assert!(shown.starts_with("...a") && shown.ends_with("b..."));
        assert_eq!(shown.chars().nth(column), Some('!'));
        assert_eq!(excerpt("inet:fqdn=", 9), ("inet:fqdn=".to_owned(), 9));
    }

    #[test]
    fn an_error_is_pointed_at_in_the_text_that_it_arose_in() {
        let query = "inet:ipv4=newp";
        let info = |hash: String| {
            let offsets = Value::list([Value::from(10), Value::from(14)]);
            Map::new().with("highlight", Map::new().with("hash", hash).with("offsets", offsets))
        };
        let hash = hex::encode(Md5::digest(query.as_bytes()));
        assert_eq!(place(&info(hash.clone()), query), Some((10, 14)));
        assert_eq!(place(&info(hash), "inet:ipv4=other"), None);
    }

    #[test]
    fn inner_tags_are_hidden_unless_they_say_something() {
        let none = Value::list([Value::Null, Value::Null]);
        let seen = Value::list([Value::from(1), Value::from(2)]);
        let tags = Map::new().with("a", none.clone()).with("a.b", seen).with("a.b.c", none.clone()).with("ab", none);
        let names = ["a", "a.b", "a.b.c", "ab"];
        assert_eq!(leaves(&names, &tags, &Map::new()), ["a.b", "a.b.c", "ab"]);
    }
}
