//! Helpers of this crate's tests: the shared vectors, where they are.

use std::path::PathBuf;

use myelin_value::{Map, Value};
use serde_json::Value as Json;

/// A file beside the repository, or nothing (and a word about it) where there is none.
pub(crate) fn shared_path(name: &str) -> Option<PathBuf> {
    let base = std::env::var_os("MYELIN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = base.join(name);
    if !path.exists() {
        eprintln!("skipped: there is no {name}");
        return None;
    }
    Some(path)
}

/// The lines of a file of JSON lines.
pub(crate) fn shared_lines(name: &str) -> Option<Vec<Json>> {
    let text = std::fs::read_to_string(shared_path(name)?).expect("readable");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

/// A value from the tagged JSON of the vectors.
pub(crate) fn untag(json: &Json) -> Value {
    match json {
        Json::Array(items) => Value::list(items.iter().map(untag)),
        Json::Object(map) => {
            if let Some(text) = map.get("$int").and_then(Json::as_str) {
                return Value::from(text.parse::<myelin_value::BigInt>().expect("int"));
            }
            if let Some(text) = map.get("$float").and_then(Json::as_str) {
                return Value::from(text.parse::<f64>().expect("float"));
            }
            if let Some(text) = map.get("$bytes").and_then(Json::as_str) {
                return Value::from(crate::index::hex_bytes(text).expect("hex").as_slice());
            }
            if let Some(text) = map.get("$str").and_then(Json::as_str) {
                return Value::from_wtf8(&crate::index::hex_bytes(text).expect("hex")).expect("text");
            }
            if let Some([Json::String(unit), count, Json::String(kind)]) =
                map.get("$rep").and_then(Json::as_array).map(Vec::as_slice)
            {
                let text = unit.repeat(count.as_u64().expect("count") as usize);
                return if kind == "str" { Value::from(text) } else { Value::from(text.as_bytes()) };
            }
            if let Some(items) = map.get("$map").and_then(Json::as_array) {
                return items.iter().map(|item| (untag(&item[0]), untag(&item[1]))).collect::<Map>().into();
            }
            map.iter().map(|(key, valu)| (key.as_str(), untag(valu))).collect::<Map>().into()
        }
        json => myelin_value::json::from_json(json),
    }
}

/// Unpacks a `tar.gz` of plain files and directories.
pub(crate) fn untar(path: &std::path::Path, target: &std::path::Path) {
    use std::io::Read;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("archive")).read_to_end(&mut tar).expect("gzip");
    let mut at = 0;
    while at + 512 <= tar.len() && tar[at] != 0 {
        let head = &tar[at..at + 512];
        let text = |from: usize, size: usize| {
            let field = &head[from..from + size];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(size);
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let size = usize::from_str_radix(&text(124, 12), 8).expect("size");
        let prefix = text(345, 155);
        let name = if prefix.is_empty() || !text(257, 5).starts_with("ustar") {
            text(0, 100)
        } else {
            format!("{prefix}/{}", text(0, 100))
        };
        let path = target.join(name.trim_end_matches('/'));
        match head[156] {
            b'5' => std::fs::create_dir_all(&path).expect("dir"),
            b'0' | 0 => {
                std::fs::create_dir_all(path.parent().expect("parent")).expect("dir");
                std::fs::write(&path, &tar[at + 512..at + 512 + size]).expect("file");
            }
            // Extended headers: times, which do not matter here.
            b'x' | b'g' => {}
            other => panic!("the archive has an entry of type {other}"),
        }
        at += 512 + size.div_ceil(512) * 512;
    }
}
