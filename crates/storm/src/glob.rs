//! Tag patterns: `*` is one part of a tag, `**` any text.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use crate::ctl::Flow;

/// A tag pattern as a regular expression over whole tags.
///
/// # Errors
/// `BadTag` when it is no pattern.
pub fn tag_regex(glob: &str) -> Flow<Regex> {
    let mut text = String::from("^");
    for (indx, part) in glob.split("**").enumerate() {
        if indx > 0 {
            text.push_str(".+");
        }
        for (indx, piece) in part.split('*').enumerate() {
            if indx > 0 {
                text.push_str("[^.]+?");
            }
            text.push_str(&regex::escape(piece));
        }
    }
    text.push('$');
    match Regex::new(&text) {
        Ok(regex) => Ok(regex),
        Err(_) => crate::fail!("BadTag", mesg = format!("{glob} is no pattern of tags.")),
    }
}

/// Python's `fnmatch` on a text: `*`, `?`, `[…]`.
pub fn fnmatch(text: &str, glob: &str) -> bool {
    let mut expr = String::from("(?s)^");
    let mut chars = glob.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '*' => expr.push_str(".*"),
            '?' => expr.push('.'),
            '[' => {
                let rest: String = chars.clone().collect();
                match rest.get(1..).and_then(|tail| tail.find(']')) {
                    Some(end) => {
                        let body = &rest[..=end];
                        let (neg, body) = body.strip_prefix('!').map_or(("", body), |body| ("^", body));
                        expr.push_str(&format!("[{neg}{}]", body.replace('\\', "\\\\")));
                        for _ in 0..=(end + 1) {
                            chars.next();
                        }
                    }
                    None => expr.push_str("\\["),
                }
            }
            other => expr.push_str(&regex::escape(&other.to_string())),
        }
    }
    expr.push('$');
    Regex::new(&expr).is_ok_and(|regex| regex.is_match(text))
}

/// Patterns that were made, kept for the next node.
#[derive(Default)]
pub struct TagGlobs(HashMap<Arc<str>, Regex>);

impl TagGlobs {
    /// Whether any tag fits a pattern.
    ///
    /// # Errors
    /// `BadTag` when it is no pattern.
    pub fn any<'a>(&mut self, glob: &Arc<str>, mut tags: impl Iterator<Item = &'a str>) -> Flow<bool> {
        if !self.0.contains_key(glob) {
            self.0.insert(glob.clone(), tag_regex(glob)?);
        }
        Ok(self.0.get(glob).is_some_and(|regex| tags.any(|tag| regex.is_match(tag))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_patterns() {
        let fits = |glob: &str, tag: &str| tag_regex(glob).expect("pattern").is_match(tag);
        assert!(fits("foo.*", "foo.bar") && !fits("foo.*", "foo.bar.baz") && fits("foo.**", "foo.bar.baz"));
        assert!(fits("*.bar", "foo.bar") && !fits("foo.*", "foo"));
    }

    #[test]
    fn file_patterns() {
        assert!(fnmatch("cno.foo", "cno.*") && fnmatch("abc", "a?c") && fnmatch("abc", "a[b-d]c"));
        assert!(!fnmatch("abc", "a[!b]c") && !fnmatch("abcd", "abc"));
    }
}
