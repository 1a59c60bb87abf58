//! Regular expressions as Python's `regex` reads them.
//!
//! Patterns are rewritten where the syntax differs (`$`, `\Z`, brackets inside classes, loose braces) and run by the
//! linear-time engine; only look-around, back references and the like go to the backtracking one.

use std::fmt::Write as _;

use myelin_error::{Result, err};

/// A compiled pattern.
#[derive(Debug)]
pub struct PyRegex {
    pattern: String,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Linear(regex::Regex),
    Fancy(Box<fancy_regex::Regex>),
}

/// Flags of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Letters match in either case.
    pub icase: bool,
    /// `^` and `$` match at every line.
    pub multiline: bool,
    /// `.` matches line ends.
    pub dotall: bool,
    /// White space and comments in the pattern are passed over.
    pub verbose: bool,
}

/// The groups of a match: byte spans, the whole match first.
pub type Groups = Vec<Option<(usize, usize)>>;

impl PyRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// `BadArg` when it is none.
    pub fn new(pattern: &str) -> Result<PyRegex> {
        PyRegex::with_flags(pattern, Flags::default())
    }

    /// Compiles a pattern whose letters match in either case.
    ///
    /// # Errors
    /// `BadArg` when it is no pattern.
    pub fn new_icase(pattern: &str) -> Result<PyRegex> {
        PyRegex::with_flags(pattern, Flags { icase: true, ..Flags::default() })
    }

    /// Compiles a pattern with flags.
    ///
    /// # Errors
    /// `BadArg` when it is no pattern.
    pub fn with_flags(pattern: &str, flags: Flags) -> Result<PyRegex> {
        let bad = |why: String| err!("BadArg", mesg = format!("Invalid regular expression {pattern:?}: {why}"));
        let scan = scan(pattern);
        if scan.repeated && !flags.verbose {
            return Err(bad("a repetition is repeated".to_owned()));
        }
        let linear = rewrite(pattern, flags, false);
        let built = regex::RegexBuilder::new(&linear)
            .case_insensitive(flags.icase)
            .multi_line(flags.multiline)
            .dot_matches_new_line(flags.dotall)
            .ignore_whitespace(flags.verbose)
            .size_limit(1 << 26)
            .build();
        if let (Ok(made), false) = (built, scan.exact_end || scan.possessive) {
            return Ok(PyRegex { pattern: pattern.to_owned(), engine: Engine::Linear(made) });
        }
        let mut letters = String::new();
        for (set, letter) in [(flags.icase, 'i'), (flags.multiline, 'm'), (flags.dotall, 's'), (flags.verbose, 'x')] {
            if set {
                letters.push(letter);
            }
        }
        let body = rewrite(pattern, flags, true);
        let full = if letters.is_empty() { body } else { format!("(?{letters}){body}") };
        let made = fancy_regex::RegexBuilder::new(&full)
            .backtrack_limit(2_000_000)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(PyRegex { pattern: pattern.to_owned(), engine: Engine::Fancy(Box::new(made)) })
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern occurs anywhere (`search`).
    ///
    /// # Errors
    /// `BadArg` when matching would take too long.
    pub fn is_search(&self, text: &str) -> Result<bool> {
        match &self.engine {
            Engine::Linear(regx) => Ok(regx.is_match(text)),
            Engine::Fancy(regx) => regx.is_match(text).map_err(|error| self.too_hard(&error)),
        }
    }

    /// The first match at or after a byte offset (`search`).
    ///
    /// # Errors
    /// `BadArg` when matching would take too long.
    pub fn search_at(&self, text: &str, from: usize) -> Result<Option<Groups>> {
        Ok(match &self.engine {
            Engine::Linear(regx) => regx
                .captures_at(text, from)
                .map(|caps| caps.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()),
            Engine::Fancy(regx) => regx
                .captures_from_pos(text, from)
                .map_err(|error| self.too_hard(&error))?
                .map(|caps| caps.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()),
        })
    }

    /// The match that begins at the start (`match`).
    ///
    /// # Errors
    /// `BadArg` when matching would take too long.
    pub fn match_start(&self, text: &str) -> Result<Option<Groups>> {
        // An earlier alternative may match later in the text, never at the start after a failure there: the leftmost
        // match begins at the start if any does.
        let found = self.search_at(text, 0)?;
        Ok(found.filter(|groups| groups.first().copied().flatten().is_some_and(|(from, _)| from == 0)))
    }

    /// Whether the whole text matches (`fullmatch`).
    ///
    /// # Errors
    /// `BadArg` when matching would take too long or the pattern cannot be anchored.
    pub fn is_full_match(&self, text: &str) -> Result<bool> {
        Ok(self.full_match(text)?.is_some())
    }

    /// The match of the whole text (`fullmatch`).
    ///
    /// # Errors
    /// As [`PyRegex::is_full_match`].
    pub fn full_match(&self, text: &str) -> Result<Option<Groups>> {
        match self.match_start(text)? {
            Some(groups) if groups.first().copied().flatten().is_some_and(|(_, to)| to == text.len()) => {
                Ok(Some(groups))
            }
            None => Ok(None),
            // The preferred alternative ended early; another may reach the end.
            Some(_) => PyRegex::new(&format!(r"(?:{})\Z", self.pattern))?.match_start(text),
        }
    }

    /// The names of the groups by position; unnamed ones are `None`. Position 0 is the whole match.
    pub fn group_names(&self) -> Vec<Option<&str>> {
        match &self.engine {
            Engine::Linear(regx) => regx.capture_names().collect(),
            Engine::Fancy(regx) => regx.capture_names().collect(),
        }
    }

    fn too_hard(&self, error: &fancy_regex::Error) -> myelin_error::Error {
        err!("BadArg", mesg = format!("The regular expression {:?} is too costly here: {error}", self.pattern))
    }
}

/// What a pattern holds that the engines must be told about.
#[derive(Default)]
struct Scan {
    /// `$` where taking a line end with it would show: before anything but the end or a closing group.
    exact_end: bool,
    /// A repetition that gives nothing back (`a++`), which the linear engine reads as two.
    possessive: bool,
    /// A repetition of a repetition, which Python refuses.
    repeated: bool,
}

fn scan(pattern: &str) -> Scan {
    let chars: Vec<char> = pattern.chars().collect();
    let mut found = Scan::default();
    let (mut indx, mut dollar, mut after_repeat) = (0, false, false);
    while let Some(&ch) = chars.get(indx) {
        let rest = &chars[indx..];
        let repeat = match ch {
            '*' | '+' | '?' => 1,
            '{' if is_quantifier(rest) => rest.iter().position(|ch| *ch == '}').map_or(0, |end| end + 1),
            _ => 0,
        };
        if repeat > 0 {
            // A question mark that opens a group's flags is none of it.
            let opens_group = ch == '?' && indx > 0 && chars[indx - 1] == '(';
            found.repeated |= after_repeat;
            let suffix = rest.get(repeat).copied();
            found.possessive |= suffix == Some('+') && !opens_group;
            let has_suffix = !opens_group && matches!(suffix, Some('+' | '?'));
            indx += repeat + usize::from(has_suffix);
            after_repeat = !opens_group;
            found.exact_end |= dollar;
            continue;
        }
        after_repeat = false;
        match ch {
            '$' => dollar = true,
            ')' | '|' => {}
            _ => found.exact_end |= dollar,
        }
        indx += match ch {
            '\\' => 2,
            '[' => rewrite_class(rest, &mut String::new()),
            _ => 1,
        };
    }
    found
}

/// The pattern in the syntax of the engines.
fn rewrite(pattern: &str, flags: Flags, fancy: bool) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut indx = 0;
    while let Some(&ch) = chars.get(indx) {
        match ch {
            '\\' => {
                indx += rewrite_escape(&chars[indx..], &mut out, false);
                continue;
            }
            '[' => {
                indx += rewrite_class(&chars[indx..], &mut out);
                continue;
            }
            '$' if !flags.multiline => out.push_str(if fancy { r"(?=\n?\z)" } else { r"(?:\n?\z)" }),
            '{' if !is_quantifier(&chars[indx..]) => out.push_str(r"\{"),
            '{' if chars.get(indx + 1) == Some(&',') => {
                out.push_str("{0,");
                indx += 2;
                continue;
            }
            '}' if !out_has_open_brace(&out) => out.push_str(r"\}"),
            other => out.push(other),
        }
        indx += 1;
    }
    out
}

fn out_has_open_brace(out: &str) -> bool {
    let tail = out.trim_end_matches(|ch: char| ch.is_ascii_digit() || ch == ',');
    tail.ends_with('{') && !tail.ends_with(r"\{")
}

/// Whether a brace opens a repetition: `{2}`, `{2,}`, `{,3}`, `{2,3}`.
fn is_quantifier(chars: &[char]) -> bool {
    let Some(size) = chars.iter().position(|ch| *ch == '}') else { return false };
    let inner: String = chars[1..size].iter().collect();
    match inner.split_once(',') {
        Some((from, to)) => {
            (!from.is_empty() || !to.is_empty()) && from.chars().chain(to.chars()).all(|ch| ch.is_ascii_digit())
        }
        None => !inner.is_empty() && inner.chars().all(|ch| ch.is_ascii_digit()),
    }
}

fn rewrite_escape(chars: &[char], out: &mut String, in_class: bool) -> usize {
    match chars.get(1) {
        Some('Z') => out.push_str(r"\z"),
        Some('R') if !in_class => out.push_str(r"(?:\r\n|[\n\x0b\x0c\r\x{85}\x{2028}\x{2029}])"),
        Some('h') => out.push_str(if in_class { r"\t\p{Zs}" } else { r"[\t\p{Zs}]" }),
        Some(other @ ('<' | '>')) => out.push(*other),
        // A zero begins an octal number of up to three digits.
        Some('0') => {
            let digits: String = chars[1..].iter().take(3).take_while(|ch| ch.is_digit(8)).collect();
            let _ = write!(out, "\\x{{{:x}}}", u32::from_str_radix(&digits, 8).unwrap_or(0));
            return 1 + digits.len();
        }
        // Escaped letters pass: both sides know the same ones. Everything else is that character.
        Some(other) if other.is_alphanumeric() => {
            out.push('\\');
            out.push(*other);
            if matches!(other, 'p' | 'P' | 'x' | 'u' | 'U' | 'k' | 'g') && chars.get(2) == Some(&'{') {
                let size = chars.iter().position(|ch| *ch == '}').unwrap_or(chars.len() - 1);
                out.extend(&chars[2..=size]);
                return size + 1;
            }
        }
        Some(other) if other.is_ascii() => {
            out.push('\\');
            out.push(*other);
        }
        Some(other) => out.push(*other),
        None => out.push('\\'),
    }
    2.min(chars.len())
}

/// A character class: brackets and doubled operators inside are plain characters to Python.
fn rewrite_class(chars: &[char], out: &mut String) -> usize {
    out.push('[');
    let mut indx = 1;
    if chars.get(indx) == Some(&'^') {
        out.push('^');
        indx += 1;
    }
    if chars.get(indx) == Some(&']') {
        out.push_str(r"\]");
        indx += 1;
    }
    while let Some(&ch) = chars.get(indx) {
        match ch {
            ']' => {
                out.push(']');
                return indx + 1;
            }
            '\\' => {
                indx += rewrite_escape(&chars[indx..], out, true);
                continue;
            }
            '[' if chars.get(indx + 1) == Some(&':') => {
                indx += rewrite_posix(&chars[indx..], out);
                continue;
            }
            '[' => out.push_str(r"\["),
            '&' | '~' if chars.get(indx + 1) == Some(&ch) => {
                out.push('\\');
                out.push(ch);
            }
            // At the start a hyphen is itself; later it makes a range, here one that ends in a hyphen.
            '-' if chars.get(indx + 1) == Some(&'-') && out.ends_with(['[', '^']) => out.push_str(r"\-"),
            '-' if chars.get(indx + 1) == Some(&'-') => {
                out.push_str(r"-\-");
                indx += 2;
                continue;
            }
            other => out.push(other),
        }
        indx += 1;
    }
    indx
}

/// A posix class (`[:alpha:]`) inside a class, over all of Unicode; anything else is a plain bracket.
fn rewrite_posix(chars: &[char], out: &mut String) -> usize {
    let end = chars.windows(2).skip(2).position(|pair| pair == [':', ']']);
    let name: String = chars.iter().skip(2).take(end.unwrap_or(0)).collect();
    let class = match name.as_str() {
        "alpha" => r"\p{Alphabetic}",
        "alnum" => r"\p{Alphabetic}\p{Nd}",
        "digit" => r"\p{Nd}",
        "lower" => r"\p{Lowercase}",
        "upper" => r"\p{Uppercase}",
        "space" => r"\s",
        "word" => r"\w",
        "punct" => r"\p{P}$+<=>^`|~",
        "xdigit" => "0-9A-Fa-f",
        "cntrl" => r"\p{Cc}",
        "blank" => r"\t\p{Zs}",
        _ => {
            out.push_str(r"\[");
            return 1;
        }
    };
    out.push_str(class);
    name.len() + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        PyRegex::new(pattern).expect("a pattern").is_search(text).expect("a verdict")
    }

    #[test]
    fn dollar_lets_one_line_end_pass() {
        assert!(found("^foo$", "foo\n"));
        assert!(!found("^foo$", "foo\n\n"));
        assert!(!found(r"^foo\Z", "foo\n"));
    }

    #[test]
    fn loose_brackets_and_braces_are_text() {
        assert!(found("[[a]x", "[x"));
        assert!(found("a{b}", "a{b}"));
        assert!(found("^a{,2}$", "aa"));
        assert!(found("[]]", "]"));
        assert!(found("[[:alpha:]]", "é"));
    }

    #[test]
    fn look_around_goes_to_the_other_engine() {
        assert!(found("foo(?!bar)", "foobaz"));
        assert!(!found("foo(?!bar)", "foobar"));
        assert!(PyRegex::new("*").is_err());
        assert!(PyRegex::new("a**").is_err());
        assert!(!found("a++a", "aaa"));
    }

    #[test]
    fn full_match_tries_every_alternative() {
        let regx = PyRegex::new("a|ab").expect("a pattern");
        assert!(regx.is_full_match("ab").expect("a verdict"));
    }
}
