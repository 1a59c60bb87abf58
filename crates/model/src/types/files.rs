//! Files: `file:base`, `file:path`, `file:bytes`.

use std::sync::Arc;

use md5::{Digest, Md5};
use myelin_error::{Result, err};
use myelin_value::{Value, guid_of};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::ctors::Decl;
use super::scratch::Scratch;
use super::text::guid_text;
use super::textual::{TextOpts, TextRules, Textual};
use super::{Norm, NormCx, Type, py};

/// `file:base`.
pub type FileBase = Textual<FileBaseRules>;
/// `file:path`.
pub type FilePath = Textual<FilePathRules>;
/// `file:bytes`.
pub type FileBytes = Textual<FileBytesRules>;

/// The rules of `file:base`: a file's name without directories.
pub struct FileBaseRules;

impl TextRules for FileBaseRules {
    fn make(_decl: &mut Decl<'_>) -> Result<FileBaseRules> {
        Ok(FileBaseRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let mut lower = Scratch::new();
        lower.push_lower(py::strip(text));
        let norm = py::strip(&lower);
        if norm.contains(['/', '\\']) {
            return Err(ty.bad_valu(&Value::from(text), "A file's base name holds no slash."));
        }
        let made = Norm::new(norm);
        Ok(match norm.rsplit_once('.') {
            Some((_, ext)) => made.sub("ext", ext),
            None => made,
        })
    }
}

/// The rules of `file:path`.
pub struct FilePathRules;

impl TextRules for FilePathRules {
    fn make(_decl: &mut Decl<'_>) -> Result<FilePathRules> {
        Ok(FilePathRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        norm_path(ty, text, None)
    }

    fn norm_shared(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &Arc<str>) -> Result<Norm> {
        norm_path(ty, text, Some(text))
    }
}

/// The norm of a path; `given` is its text when that may be kept as it is.
fn norm_path(ty: &Type, text: &str, given: Option<&Arc<str>>) -> Result<Norm> {
    const SLASHES: [char; 2] = ['/', '\\'];
    // ASCII is turned into lower case part by part; elsewhere the parts' neighbours matter.
    let mut lower = Scratch::new();
    let body = if text.is_ascii() {
        text
    } else {
        lower.push_lower(text);
        &lower
    };
    let body = py::strip(body).trim_matches(SLASHES);
    if matches!(body, "." | "..") {
        return Err(ty.bad_valu(&Value::from(body), "A path that is only relative names nothing."));
    }
    let mut path = Scratch::new();
    if text.starts_with('/') {
        path.push('/');
    }
    let root = path.len();
    for part in body.split(SLASHES) {
        match part {
            "" | "." => {}
            ".." => {
                let up = path[root..].rfind('/').map_or(root, |at| root + at);
                path.truncate(up);
            }
            part => {
                if path.len() > root {
                    path.push('/');
                }
                let from = path.len();
                path.push_str(part);
                path[from..].make_ascii_lowercase();
            }
        }
    }
    if path.len() == root {
        return Ok(Norm::new(""));
    }
    let value = match given {
        Some(text) if **text == **path => Value::from(text),
        _ => Value::from(path.as_str()),
    };
    let (dir, base) = match path[root..].rfind('/') {
        Some(at) => (Some(&path[..root + at]), &path[root + at + 1..]),
        None => (None, &path[root..]),
    };
    let mut made = Norm::with_room(value, 3).sub("base", base);
    if let Some((_, ext)) = base.rsplit_once('.') {
        made = made.sub("ext", ext);
    }
    Ok(match dir {
        Some(dir) => made.sub("dir", dir),
        None => made,
    })
}

/// The rules of `file:bytes`: a file by its hash, or by a guid when that is unknown.
pub struct FileBytesRules;

/// The norm of a file whose content is known.
fn norm_bytes(byts: &[u8]) -> Norm {
    let sha256 = hex::encode(Sha256::digest(byts));
    Norm::new(format!("sha256:{sha256}"))
        .sub("md5", hex::encode(Md5::digest(byts)))
        .sub("sha1", hex::encode(Sha1::digest(byts)))
        .sub("sha256", sha256)
        .sub("sha512", hex::encode(Sha512::digest(byts)))
        .sub("size", byts.len())
}

fn norm_sha256(text: &str) -> Option<Norm> {
    let fine = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fine.then(|| {
        let mut out = Scratch::new();
        out.push_str("sha256:");
        out.push_lower(text);
        Norm::new(out.as_str()).sub("sha256", &out["sha256:".len()..])
    })
}

/// Base64 as Python's lenient decoder reads it: other characters are passed over, the first complete padding ends it.
pub fn base64_loose(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let (mut out, mut bits, mut have, mut pads) = (Vec::new(), 0_u32, 0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                if have >= 2 {
                    pads += 1;
                    if have + pads >= 4 {
                        return Some(out);
                    }
                }
                continue;
            }
            _ => continue,
        };
        pads = 0;
        bits = (bits << 6) | u32::from(digit);
        have += 1;
        match have {
            2 => out.push((bits >> 4) as u8),
            3 => out.push((bits >> 2) as u8),
            4 => {
                out.push(bits as u8);
                (bits, have) = (0, 0);
            }
            _ => {}
        }
    }
    (have == 0).then_some(out)
}

impl TextRules for FileBytesRules {
    fn make(_decl: &mut Decl<'_>) -> Result<FileBytesRules> {
        Ok(FileBytesRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm> {
        let bad = |mesg: &str| ty.bad_valu(&Value::from(text), mesg);
        if text == "*" {
            return Ok(Norm::new(format!("guid:{}", cx.env.rand_guid())));
        }
        let Some((kind, valu)) = text.split_once(':') else {
            return norm_sha256(text).ok_or_else(|| bad("A file's value without a kind is a sha256."));
        };
        let made = match kind {
            "base64" => base64_loose(valu).map(|byts| norm_bytes(&byts)),
            "hex" => hex::decode(valu.to_lowercase()).ok().map(|byts| norm_bytes(&byts)),
            // Unlike elsewhere, a guid is taken here without dashes only.
            "guid" if valu.contains('-') => None,
            "guid" => guid_text(valu).map(|guid| Norm::new(format!("guid:{}", guid.as_str()))),
            "sha256" => norm_sha256(valu),
            _ => return Err(bad("The text is of no known kind of name for a file.").with("kind", kind)),
        };
        made.ok_or_else(|| bad("The text names no file."))
    }

    fn norm_other(&self, _opts: &TextOpts, _ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<Norm>> {
        match valu {
            Value::Bytes(byts) => Some(Ok(norm_bytes(byts))),
            Value::List(items) if items.is_empty() => {
                let mesg = "An empty list makes no guid.";
                Some(Err(err!("BadTypeValu", mesg = mesg, name = "guid", valu = valu.clone())))
            }
            Value::List(_) => Some(Ok(Norm::new(format!("guid:{}", guid_of(valu))))),
            _ => None,
        }
    }
}
