//! Comma separated values, read as the platform's users know it from Python's `csv` module.
//!
//! The dialects and parameters, and what becomes of stray quotes, are that module's: no other reader agrees in all of them.

use std::sync::Arc;

use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};

use crate::lines::Lines;

/// Characters a field has at most.
const MAX_FIELD: usize = 131_072;

/// Which fields are taken to be quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// Those that are (also `QUOTE_ALL`: reading makes no difference).
    Minimal,
    /// Those that are not are numbers.
    NonNumeric,
    /// None: quotes mean nothing.
    None,
}

/// How rows are written.
#[derive(Clone, Debug)]
pub struct Dialect {
    delimiter: char,
    quotechar: Option<char>,
    escapechar: Option<char>,
    doublequote: bool,
    skipinitialspace: bool,
    strict: bool,
    quoting: Quoting,
}

impl Dialect {
    /// A dialect by name, with parameters that replace its own.
    pub fn parse(name: &str, params: &Map) -> Result<Dialect> {
        let mut dialect = Dialect {
            delimiter: ',',
            quotechar: Some('"'),
            escapechar: None,
            doublequote: true,
            skipinitialspace: false,
            strict: false,
            quoting: Quoting::Minimal,
        };
        match name {
            "excel" | "unix" => {}
            "excel-tab" => dialect.delimiter = '\t',
            _ => {
                let mesg = format!("There is no CSV dialect {name}: use excel, excel-tab or unix.");
                return Err(err!("BadArg", mesg = mesg, dialect = name));
            }
        }
        for (key, valu) in params.text_entries() {
            dialect.set(key, valu)?;
        }
        Ok(dialect)
    }

    fn set(&mut self, key: &str, valu: &Value) -> Result<()> {
        match key {
            "delimiter" => self.delimiter = one_char(key, valu)?.ok_or_else(|| bad_param(key, "must be set"))?,
            "quotechar" => self.quotechar = one_char(key, valu)?,
            "escapechar" => self.escapechar = one_char(key, valu)?,
            "doublequote" => self.doublequote = valu.is_truthy(),
            "skipinitialspace" => self.skipinitialspace = valu.is_truthy(),
            "strict" => self.strict = valu.is_truthy(),
            "lineterminator" => {}
            "quoting" => {
                self.quoting = match valu.as_i64() {
                    Some(0 | 1) => Quoting::Minimal,
                    Some(2) => Quoting::NonNumeric,
                    Some(3) => Quoting::None,
                    _ => return Err(bad_param(key, "must be 0, 1, 2 or 3")),
                }
            }
            _ => return Err(bad_param(key, "is not known")),
        }
        Ok(())
    }
}

fn one_char(key: &str, valu: &Value) -> Result<Option<char>> {
    if valu.is_null() {
        return Ok(None);
    }
    let mut chars = valu.as_str().ok_or_else(|| bad_param(key, "must be a str"))?.chars();
    match (chars.next(), chars.next()) {
        (Some(found), None) => Ok(Some(found)),
        _ => Err(bad_param(key, "must be one character")),
    }
}

fn bad_param(key: &str, why: &str) -> Error {
    err!("BadArg", mesg = format!("Invalid csv format parameter: {key} {why}."), name = key)
}

fn bad_data(why: &str) -> Error {
    err!("BadDataValu", mesg = format!("CSV error: {why}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StartRecord,
    StartField,
    Escaped,
    AfterEscapedEnd,
    InField,
    InQuoted,
    EscapedInQuoted,
    QuoteInQuoted,
    AfterEnd,
}

/// Rows of a file: lists of text, or of numbers where the dialect says so.
pub struct Rows<I> {
    lines: Lines<I>,
    dialect: Dialect,
    state: State,
    field: String,
    numeric: bool,
    row: Vec<Value>,
}

impl<I: Iterator<Item = Result<Arc<[u8]>>>> Rows<I> {
    /// The rows of lines.
    pub fn new(lines: Lines<I>, dialect: Dialect) -> Rows<I> {
        let (field, row) = (String::new(), Vec::new());
        Rows { lines, dialect, state: State::StartRecord, field, numeric: false, row }
    }

    fn next_row(&mut self) -> Result<Option<Value>> {
        self.state = State::StartRecord;
        self.row.clear();
        self.field.clear();
        self.numeric = false;
        loop {
            let Some((line, ended)) = self.lines.next_line()? else { return self.at_end() };
            for found in line.chars() {
                self.step(Some(found))?;
            }
            if ended {
                self.step(Some('\n'))?;
            }
            self.step(None)?;
            if self.state == State::StartRecord {
                return Ok(Some(Value::list(std::mem::take(&mut self.row))));
            }
        }
    }

    /// The file ended inside a row.
    fn at_end(&mut self) -> Result<Option<Value>> {
        if self.field.is_empty() && self.state != State::InQuoted {
            return Ok(None);
        }
        if self.dialect.strict {
            return Err(bad_data("unexpected end of data"));
        }
        self.save()?;
        self.state = State::StartRecord;
        Ok(Some(Value::list(std::mem::take(&mut self.row))))
    }

    fn save(&mut self) -> Result<()> {
        let field = std::mem::take(&mut self.field);
        let valu = if std::mem::take(&mut self.numeric) {
            let numb = field.trim().parse::<f64>();
            numb.map(Value::from).map_err(|_| bad_data(&format!("{field:?} is no number")))?
        } else {
            Value::from(field)
        };
        self.row.push(valu);
        Ok(())
    }

    fn add(&mut self, found: char) -> Result<()> {
        if self.field.len() >= MAX_FIELD && self.field.chars().count() >= MAX_FIELD {
            return Err(bad_data(&format!("a field has more than {MAX_FIELD} characters")));
        }
        self.field.push(found);
        Ok(())
    }

    /// One character, or nothing at the end of a line.
    fn step(&mut self, found: Option<char>) -> Result<()> {
        match self.state {
            State::StartRecord => match found {
                None => Ok(()),
                Some('\n' | '\r') => self.become_state(State::AfterEnd),
                Some(_) => self.start_field(found),
            },
            State::StartField => self.start_field(found),
            State::Escaped => {
                let end = found == Some('\n');
                self.state = if end { State::AfterEscapedEnd } else { State::InField };
                self.add(found.unwrap_or('\n'))
            }
            // An escaped end of line: the row goes on in the next line.
            State::AfterEscapedEnd if found.is_none() => Ok(()),
            State::AfterEscapedEnd | State::InField => self.in_field(found),
            State::InQuoted => self.in_quoted(found),
            State::EscapedInQuoted => {
                self.state = State::InQuoted;
                self.add(found.unwrap_or('\n'))
            }
            State::QuoteInQuoted => self.after_quote(found),
            State::AfterEnd => match found {
                Some('\n' | '\r') => Ok(()),
                None => self.become_state(State::StartRecord),
                Some(_) => Err(bad_data("new-line character seen in unquoted field")),
            },
        }
    }

    fn become_state(&mut self, state: State) -> Result<()> {
        self.state = state;
        Ok(())
    }

    fn end_field(&mut self, found: Option<char>) -> Result<()> {
        self.save()?;
        self.state = if found.is_none() { State::StartRecord } else { State::AfterEnd };
        Ok(())
    }

    fn start_field(&mut self, found: Option<char>) -> Result<()> {
        let quotes = self.dialect.quoting != Quoting::None;
        match found {
            None | Some('\n' | '\r') => self.end_field(found),
            Some(it) if quotes && self.dialect.quotechar == Some(it) => self.become_state(State::InQuoted),
            Some(it) if self.dialect.escapechar == Some(it) => self.become_state(State::Escaped),
            Some(' ') if self.dialect.skipinitialspace => self.become_state(State::StartField),
            Some(it) if it == self.dialect.delimiter => {
                self.state = State::StartField;
                self.save()
            }
            Some(it) => {
                self.numeric = self.dialect.quoting == Quoting::NonNumeric;
                self.state = State::InField;
                self.add(it)
            }
        }
    }

    fn in_field(&mut self, found: Option<char>) -> Result<()> {
        self.state = State::InField;
        match found {
            None | Some('\n' | '\r') => self.end_field(found),
            Some(it) if self.dialect.escapechar == Some(it) => self.become_state(State::Escaped),
            Some(it) if it == self.dialect.delimiter => {
                self.state = State::StartField;
                self.save()
            }
            Some(it) => self.add(it),
        }
    }

    fn in_quoted(&mut self, found: Option<char>) -> Result<()> {
        match found {
            None => Ok(()),
            Some(it) if self.dialect.escapechar == Some(it) => self.become_state(State::EscapedInQuoted),
            Some(it) if self.dialect.quoting != Quoting::None && self.dialect.quotechar == Some(it) => {
                self.become_state(if self.dialect.doublequote { State::QuoteInQuoted } else { State::InField })
            }
            Some(it) => self.add(it),
        }
    }

    fn after_quote(&mut self, found: Option<char>) -> Result<()> {
        match found {
            Some(it) if self.dialect.quoting != Quoting::None && self.dialect.quotechar == Some(it) => {
                self.state = State::InQuoted;
                self.add(it)
            }
            Some(it) if it == self.dialect.delimiter => {
                self.state = State::StartField;
                self.save()
            }
            None | Some('\n' | '\r') => self.end_field(found),
            Some(it) if !self.dialect.strict => {
                self.state = State::InField;
                self.add(it)
            }
            Some(_) => Err(bad_data(&format!("'{}' expected after '\"'", self.dialect.delimiter))),
        }
    }
}

impl<I: Iterator<Item = Result<Arc<[u8]>>>> Iterator for Rows<I> {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Errors;

    fn rows(text: &str, dialect: &str, params: Map) -> Result<Vec<Value>> {
        let chunks = std::iter::once(Ok(Arc::from(text.as_bytes())));
        Rows::new(Lines::new(chunks, Errors::Strict), Dialect::parse(dialect, &params)?).collect()
    }

    fn text_rows(text: &str, params: Map) -> Vec<Vec<String>> {
        let rows = rows(text, "excel", params).expect("rows");
        let text = |item: &Value| item.as_str().expect("text").to_owned();
        rows.iter().map(|row| row.as_list().expect("a row").iter().map(text).collect()).collect()
    }

    #[test]
    fn quotes_follow_the_references_rules() {
        let none = Map::new;
        assert_eq!(text_rows("a,b\nc,\"d,e\"\n", none()), [vec!["a", "b"], vec!["c", "d,e"]]);
        assert_eq!(text_rows("\"a\nb\",c", none()), [vec!["a\nb", "c"]]);
        assert_eq!(text_rows("\"a\"\"b\",c\"d\"", none()), [vec!["a\"b", "c\"d\""]]);
        assert_eq!(text_rows("a,\n\n,b", none()), [vec!["a", ""], vec![], vec!["", "b"]]);
        assert_eq!(text_rows("\"abc\"def,g", none()), [vec!["abcdef", "g"]]);
        assert_eq!(text_rows("a,\"b", none()), [vec!["a", "b"]]);
        assert_eq!(
            text_rows("a; b", Map::new().with("delimiter", ";").with("skipinitialspace", true)),
            [vec!["a", "b"]]
        );
        assert_eq!(text_rows("'a,b',c", Map::new().with("quotechar", "'")), [vec!["a,b", "c"]]);
        assert_eq!(text_rows("a\\,b,c", Map::new().with("escapechar", "\\")), [vec!["a,b", "c"]]);
        assert_eq!(text_rows("a\\\nb,c", Map::new().with("escapechar", "\\")), [vec!["a\nb", "c"]]);
        assert_eq!(text_rows("\"a\",b", Map::new().with("quoting", 3)), [vec!["\"a\"", "b"]]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(rows("a", "newp", Map::new()).is_err_and(|error| error.is("BadArg")));
        assert!(rows("a", "excel", Map::new().with("newp", 1)).is_err_and(|error| error.is("BadArg")));
        assert!(rows("a", "excel", Map::new().with("delimiter", "ab")).is_err_and(|error| error.is("BadArg")));
        let strict = Map::new().with("strict", true);
        assert!(rows("\"a\"b", "excel", strict.clone()).is_err_and(|error| error.is("BadDataValu")));
        assert!(rows("\"a", "excel", strict).is_err_and(|error| error.is("BadDataValu")));
        assert!(rows("a", "excel", Map::new().with("quoting", 2)).is_err_and(|error| error.is("BadDataValu")));
    }
}
