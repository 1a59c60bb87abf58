//! Files read as text: lines, and JSON values one a line.
//!
//! A line ends at `\n`, `\r` or `\r\n`, and is decoded as UTF-8 on its own: no byte of a longer character looks like an end.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::Value;

/// What to do with bytes that are no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// Leave them out.
    Ignore,
    /// End with an error.
    Strict,
    /// Put U+FFFD in their place.
    Replace,
    /// Put `\xNN` in their place.
    Escape,
}

impl Errors {
    /// By the name that callers use.
    pub fn parse(name: &str) -> Result<Errors> {
        match name {
            "ignore" => Ok(Errors::Ignore),
            "strict" => Ok(Errors::Strict),
            "replace" => Ok(Errors::Replace),
            "backslashreplace" => Ok(Errors::Escape),
            _ => Err(err!(
                "BadArg",
                mesg = format!(
                    "Unknown way to handle decoding errors: {name} (ignore, strict, replace, backslashreplace)."
                ),
                errors = name
            )),
        }
    }

    fn decode(self, byts: &[u8]) -> Result<String> {
        if let Ok(text) = std::str::from_utf8(byts) {
            return Ok(text.to_owned());
        }
        let mut text = String::with_capacity(byts.len());
        for chunk in byts.utf8_chunks() {
            text.push_str(chunk.valid());
            match (chunk.invalid(), self) {
                ([], _) | (_, Errors::Ignore) => {}
                (_, Errors::Replace) => text.push('\u{fffd}'),
                (bad, Errors::Escape) => bad.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}"))),
                (bad, Errors::Strict) => {
                    let mesg = format!("The file is not UTF-8: it has the byte 0x{:02x}.", bad[0]);
                    return Err(err!("BadDataValu", mesg = mesg));
                }
            }
        }
        Ok(text)
    }
}

/// Lines of text, without their ends.
pub struct Lines<I> {
    chunks: I,
    errors: Errors,
    buffer: Vec<u8>,
    at: usize,
    /// The last line ended with `\r`: a `\n` that follows belongs to it.
    after_cr: bool,
    done: bool,
}

impl<I: Iterator<Item = Result<Arc<[u8]>>>> Lines<I> {
    /// The lines of a file.
    pub fn new(chunks: I, errors: Errors) -> Lines<I> {
        Lines { chunks, errors, buffer: Vec::new(), at: 0, after_cr: false, done: false }
    }

    /// The next line, and whether it had an end.
    pub fn next_line(&mut self) -> Result<Option<(String, bool)>> {
        let mut seen = self.at;
        loop {
            if self.after_cr && self.at < self.buffer.len() {
                self.after_cr = false;
                if self.buffer[self.at] == b'\n' {
                    self.at += 1;
                    seen = seen.max(self.at);
                }
            }
            if let Some(offs) = self.buffer[seen..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                let end = seen + offs;
                self.after_cr = self.buffer[end] == b'\r';
                let line = self.errors.decode(&self.buffer[self.at..end])?;
                self.at = end + 1;
                return Ok(Some((line, true)));
            }
            seen = self.buffer.len() - self.at;
            self.buffer.drain(..self.at);
            self.at = 0;
            match if self.done { None } else { self.chunks.next() } {
                Some(chunk) => self.buffer.extend_from_slice(&chunk?),
                None => {
                    self.done = true;
                    let rest = std::mem::take(&mut self.buffer);
                    return Ok(if rest.is_empty() { None } else { Some((self.errors.decode(&rest)?, false)) });
                }
            }
        }
    }
}

impl<I: Iterator<Item = Result<Arc<[u8]>>>> Iterator for Lines<I> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().map(|found| found.map(|(line, _)| line)).transpose()
    }
}

/// A line as a JSON value; nothing for a blank one.
pub fn json_line(line: &str, sha256: &str) -> Result<Option<Value>> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    myelin_value::json::parse(line.as_bytes()).map(Some).map_err(|error| {
        let mesg = format!("A line of the file {sha256} is no JSON ({error}).");
        err!("BadJsonText", mesg = mesg, sha256 = sha256)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]], errors: Errors) -> Result<Vec<String>> {
        let chunks: Vec<Result<Arc<[u8]>>> = chunks.iter().map(|byts| Ok(Arc::from(*byts))).collect();
        Lines::new(chunks.into_iter(), errors).collect()
    }

    #[test]
    fn lines_end_in_three_ways_wherever_the_chunks_do() {
        for cut in 0..11 {
            let (left, right) = b"a\nb\r\nc\rd\n\ne".split_at(cut);
            assert_eq!(
                lines(&[left, right], Errors::Strict).expect("text"),
                ["a", "b", "c", "d", "", "e"],
                "cut {cut}"
            );
        }
        assert_eq!(lines(&[b"a\n"], Errors::Strict).expect("text"), ["a"]);
        assert_eq!(lines(&[b"a\r", b"", b"\nb"], Errors::Strict).expect("text"), ["a", "b"]);
    }

    #[test]
    fn bytes_that_are_no_text() {
        let byts: &[u8] = b"a\xffb\n\xe2\x82";
        assert_eq!(lines(&[byts], Errors::Ignore).expect("text"), ["ab", ""]);
        assert_eq!(lines(&[byts], Errors::Replace).expect("text"), ["a\u{fffd}b", "\u{fffd}"]);
        assert_eq!(lines(&[byts], Errors::Escape).expect("text"), ["a\\xffb", "\\xe2\\x82"]);
        assert!(lines(&[byts], Errors::Strict).is_err_and(|error| error.is("BadDataValu")));
        assert!(Errors::parse("newp").is_err());
    }
}
