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
pub fn dump(valu: &Value) -> Result<String> {
    let document = json::to_json(valu)?;
    let body = serde_saphyr::to_string(&document)
        .map_err(|e| err!("BadDataValu", mesg = format!("The value cannot be written as YAML: {e}")))?;
    Ok(format!("---\n{}\n...\n", body.trim_end()))
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
}
