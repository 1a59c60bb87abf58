//! The one place that reads and writes YAML text.

use myelin_error::{Result, err};
use myelin_value::{Value, json};

/// Reads a YAML document. An empty one is null.
pub fn load(text: &str) -> Result<Value> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let parsed: serde_json::Value = serde_saphyr::from_str(text)
        .map_err(|e| err!("BadDataValu", mesg = format!("The text is no YAML that can be read: {e}")))?;
    Ok(json::from_json(&parsed))
}

/// Reads a YAML file; `None` when there is none.
pub fn load_file(path: &std::path::Path) -> Result<Option<Value>> {
    match std::fs::read_to_string(path) {
        Ok(text) => load(&text).map(Some).map_err(|e| e.with("path", path.to_string_lossy().into_owned())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Writes a value as a YAML document between explicit markers, as the platform's files have them.
///
/// Written by hand because the original's reader speaks YAML 1.1: `1:30`, `2020-01-01` or `on` unquoted would come back
/// as a number, a date and a truth value.
pub fn dump(valu: &Value) -> Result<String> {
    let mut out = String::from("---");
    write_value(&mut out, valu, 0, false)?;
    out.push_str("\n...\n");
    Ok(out)
}

/// Appends a value after its key, dash or document marker.
fn write_value(out: &mut String, valu: &Value, depth: usize, in_list: bool) -> Result<()> {
    match valu {
        Value::Map(map) if !map.is_empty() => {
            for (indx, (key, valu)) in map.iter().enumerate() {
                start_line(out, depth, in_list && indx == 0);
                out.push_str(&scalar(key)?);
                out.push(':');
                write_value(out, valu, depth + 1, false)?;
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (indx, item) in items.iter().enumerate() {
                start_line(out, depth, in_list && indx == 0);
                out.push('-');
                write_value(out, item, depth + 1, true)?;
            }
        }
        other => {
            out.push(' ');
            out.push_str(&scalar(other)?);
        }
    }
    Ok(())
}

/// The first line inside a list item goes on after its dash.
fn start_line(out: &mut String, depth: usize, after_dash: bool) {
    if after_dash {
        out.push(' ');
    } else {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

fn scalar(valu: &Value) -> Result<String> {
    Ok(match valu {
        Value::Null => "null".to_owned(),
        Value::Bool(valu) => valu.to_string(),
        Value::Int(valu) => valu.to_string(),
        Value::Big(valu) => valu.to_string(),
        Value::Float(valu) if valu.is_finite() => {
            let text = format!("{valu:?}");
            match text.split_once('e') {
                // An exponent needs a point before it and a sign after it to be a number there.
                Some((head, tail)) => {
                    let point = if head.contains('.') { "" } else { ".0" };
                    let sign = if tail.starts_with('-') { "" } else { "+" };
                    format!("{head}{point}e{sign}{tail}")
                }
                None => text,
            }
        }
        Value::Str(text) if is_plain(text) => text.to_string(),
        Value::Str(text) => quoted(text),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
        other => {
            let mesg = format!("A value of kind {} cannot be written as YAML.", other.kind());
            return Err(err!("BadDataValu", mesg = mesg));
        }
    })
}

/// Whether text means itself without quotes to every reader.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let starts = text.starts_with(|chr: char| chr.is_ascii_alphabetic() || chr == '/');
    let plain = |chr: char| chr.is_ascii_alphanumeric() || "_./@:?=+~-".contains(chr);
    starts
        && !text.ends_with(':')
        && text.chars().all(plain)
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for chr in text.chars() {
        match chr {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            chr if chr.is_control() || "\u{2028}\u{2029}\u{feff}".contains(chr) => {
                out.push_str(&format!("\\u{:04x}", u32::from(chr)));
            }
            chr => out.push(chr),
        }
    }
    out.push('"');
    out
}

/// Writes a YAML file whole: a reader sees the old document or the new one, never half of one.
pub fn save_file(path: &std::path::Path, valu: &Value) -> Result<()> {
    let text = dump(valu)?;
    let fresh = path.with_extension("yaml.new");
    std::fs::write(&fresh, text)?;
    Ok(std::fs::rename(&fresh, path)?)
}

#[cfg(test)]
mod tests {
    use myelin_value::Map;

    use super::*;

    #[test]
    fn documents_are_read() {
        let valu = load("version: 1\naha:servers:\n  - ssl://a\n  - [ssl://b, ssl://c]\nflag: true\n").unwrap();
        assert_eq!(valu.get("version"), Some(&Value::from(1)));
        assert_eq!(valu.get("aha:servers").unwrap().at(1).unwrap().at(0), Some(&Value::from("ssl://b")));
        assert_eq!(valu.get("flag"), Some(&Value::from(true)));
        assert_eq!(load(&dump(&valu).unwrap()).unwrap(), valu);
        assert!(load("").unwrap().is_null());
        assert!(load("{a: [").is_err());
    }

    #[test]
    fn plain_words_are_read_as_the_original_reads_them() {
        let read = |text: &str| load(text).unwrap();
        for (text, want) in [
            ("true", Value::from(true)),
            ("no", Value::from(false)),
            ("Yes", Value::from(true)),
            ("off", Value::from(false)),
            ("~", Value::Null),
            ("'no'", Value::from("no")),
            ("12", Value::from(12)),
            ("1.5", Value::from(1.5)),
            ("0.0.0.0", Value::from("0.0.0.0")),
            ("ssl://root@aha.loop.vertex.link", Value::from("ssl://root@aha.loop.vertex.link")),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let words = [
            "no",
            "true",
            "null",
            "~",
            "1",
            "1.0",
            "0x10",
            "a: b",
            "- a",
            "#x",
            "",
            " x ",
            "a\nb",
            "'",
            "\"",
            "@x",
            "%x",
            "*",
            "&a",
            "!x",
            "[a]",
            "{a}",
            "1:30",
            "2020-01-01",
            "ssl://h?a=b",
            "\u{e9}",
            "a #b",
            "yes",
            "0o7",
            "012",
            ".5",
            "1e3",
            "a:",
            "=",
            "<<",
            "...",
            "---",
            "\u{85}x",
            "x\ty",
            "a\\b",
            "\u{7f}",
            "x\u{2028}y",
            "\u{1f600}",
            "x, y",
        ];
        for word in words {
            let inner = Map::new().with("k:x", 1.5).with("l", [1, 2]).with("e", Value::empty_list());
            let list = Value::list([word.into(), inner.clone().into(), [word].into(), Map::new().into()]);
            let valu: Value = Map::new().with("b", word).with("a", list).with(word, inner).with("f", 1e300).into();
            let text = dump(&valu).unwrap();
            let back = load(&text).unwrap_or_else(|e| panic!("{word:?}: {e} in\n{text}"));
            assert!(back.py_eq(&valu), "{word:?} in\n{text}");
        }
        for valu in [Value::Null, 5.into(), "x".into(), Value::empty_list(), Map::new().into(), [[1, 2], [3, 4]].into()]
        {
            assert_eq!(load(&dump(&valu).unwrap()).unwrap(), valu);
        }
        assert!(dump(&Value::from(&b"x"[..])).unwrap_err().is("BadDataValu"));
    }

    #[test]
    fn the_form_is_the_originals() {
        let valu: Value = Map::new()
            .with("aha:name", "00.cell")
            .with("dmon:listen", "ssl://0.0.0.0:0?ca=x")
            .with("l", ["1:30"])
            .into();
        assert_eq!(
            dump(&valu).unwrap(),
            "---\naha:name: \"00.cell\"\ndmon:listen: ssl://0.0.0.0:0?ca=x\nl:\n  - \"1:30\"\n...\n"
        );
    }
}
