//! Values over several lines, broken where Python's `pprint` breaks them.

use myelin_model::types::py;
use myelin_value::Value;

/// How wide a line may be.
const WIDTH: usize = 80;

/// The value as text; more than one line when it is wide.
pub fn pformat(valu: &Value) -> String {
    let mut out = String::new();
    format(&mut out, valu, 0, 0, 0);
    out
}

fn wide(text: &str) -> usize {
    text.chars().count()
}

fn format(out: &mut String, valu: &Value, indent: usize, allowance: usize, level: usize) {
    let rep = py::repr_text(valu);
    if wide(&rep) + indent + allowance <= WIDTH {
        out.push_str(&rep);
        return;
    }
    match valu {
        Value::Map(map) if !map.is_empty() => {
            out.push('{');
            let size = map.len();
            for (nth, (key, item)) in map.iter().enumerate() {
                let key = py::repr_text(key);
                break_line(out, nth, indent + 1);
                out.push_str(&key);
                out.push_str(": ");
                let after = if nth + 1 == size { allowance + 1 } else { 1 };
                format(out, item, indent + wide(&key) + 3, after, level + 1);
            }
            out.push('}');
        }
        Value::List(items) if !items.is_empty() => {
            out.push('(');
            let end = if items.len() == 1 { ",)" } else { ")" };
            for (nth, item) in items.iter().enumerate() {
                break_line(out, nth, indent + 1);
                let after = if nth + 1 == items.len() { allowance + end.len() } else { 1 };
                format(out, item, indent + 1, after, level + 1);
            }
            out.push_str(end);
        }
        Value::Str(text) if !text.is_empty() => format_text(out, text, indent, allowance, level + 1),
        _ => out.push_str(&rep),
    }
}

fn break_line(out: &mut String, nth: usize, indent: usize) {
    if nth > 0 {
        out.push_str(",\n");
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// Long text as several literals, each with as many words as fit; in brackets where it is the whole value.
fn format_text(out: &mut String, text: &str, indent: usize, allowance: usize, level: usize) {
    let (indent, allowance) = if level == 1 { (indent + 1, allowance + 1) } else { (indent, allowance) };
    let literal = |text: &str| py::repr_text(&Value::from(text));
    let most = WIDTH.saturating_sub(indent).max(1);
    let mut chunks: Vec<String> = Vec::new();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (nth, line) in lines.iter().enumerate() {
        let last_line = nth + 1 == lines.len();
        let room = if last_line { most.saturating_sub(allowance) } else { most };
        let whole = literal(line);
        if wide(&whole) <= room {
            chunks.push(whole);
            continue;
        }
        let words = words(line);
        let mut current = String::new();
        for (at, word) in words.iter().enumerate() {
            let longer = format!("{current}{word}");
            let room = if last_line && at + 1 == words.len() { most.saturating_sub(allowance) } else { most };
            if wide(&literal(&longer)) > room && !current.is_empty() {
                chunks.push(literal(&current));
                current = (*word).to_owned();
            } else {
                current = longer;
            }
        }
        if !current.is_empty() {
            chunks.push(literal(&current));
        }
    }
    if let [only] = &chunks[..] {
        out.push_str(only);
        return;
    }
    if level == 1 {
        out.push('(');
    }
    for (nth, chunk) in chunks.iter().enumerate() {
        if nth > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str(chunk);
    }
    if level == 1 {
        out.push(')');
    }
}

/// Words, each with the white space behind it.
fn words(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut from, mut space) = (0, false);
    for (at, ch) in line.char_indices() {
        if space && !py::is_space(ch) {
            out.push(&line[from..at]);
            from = at;
        }
        space = py::is_space(ch);
    }
    out.push(&line[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use myelin_value::Map;

    #[test]
    fn wide_values_are_broken_as_python_breaks_them() {
        let inner = Map::new().with("alpha", "a".repeat(30)).with("beta", "b".repeat(40));
        let valu = Value::from(Map::new().with("key", inner).with("num", 5));
        let want =
            format!("{{'key': {{'alpha': '{}',\n         'beta': '{}'}},\n 'num': 5}}", "a".repeat(30), "b".repeat(40));
        assert_eq!(pformat(&valu), want);
        assert_eq!(pformat(&Value::list([Value::from(1)])), "(1,)");
        let words = "word ".repeat(30);
        let lines = pformat(&Value::from(words.as_str()));
        assert!(lines.starts_with("('word ") && lines.ends_with("')") && lines.lines().count() == 2, "{lines}");
    }
}
