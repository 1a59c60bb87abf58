//! Finding tokens.
//!
//! Storm has no fixed alphabet of tokens: what `foo`, `-` or `(` is depends on where it stands, and on whether white
//! space stands around it. So the parser says with every token it takes which kinds may come next (a [`Set`]), and
//! [`next`] finds the first kind, in order of precedence, that matches there. The order of the kinds below *is* that
//! precedence. Kinds are sets of bits, tried only if the first byte can start them, so that a token costs a few tests.
//!
//! Comments and white space are skipped here, at their place in the order.

use crate::kinds::{BEFORE_SPACE, FIRST, FIRST_WIDE, FIXED, Kind, Set, WORDS};

/// A token: its kind and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tok {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// The next token at or after `pos` out of `set`, or the position where none matches.
pub(crate) fn next(text: &str, mut pos: usize, set: Set) -> Result<Tok, usize> {
    let set = set.with(Kind::CComment).with(Kind::LineComment).with(Kind::Space);
    let spaces_first = !set.intersects(BEFORE_SPACE);
    loop {
        if spaces_first {
            while text.as_bytes().get(pos).is_some_and(|byte| matches!(byte, 9..=13 | b' ')) {
                pos += 1;
            }
        }
        if pos >= text.len() {
            return if set.has(Kind::End) { Ok(Tok { kind: Kind::End, start: pos, end: pos }) } else { Err(pos) };
        }
        let (kind, end) = first_match(text, pos, set).ok_or(pos)?;
        match kind {
            Kind::CComment | Kind::LineComment | Kind::Space => pos = end,
            kind => return Ok(Tok { kind, start: pos, end }),
        }
    }
}

/// The comments between two tokens.
pub(crate) fn comments(text: &str, mut pos: usize, end: usize) -> Vec<Tok> {
    let set = Set::of(&[Kind::CComment, Kind::LineComment, Kind::Space]);
    let mut found = Vec::new();
    while pos < end {
        let Some((kind, stop)) = first_match(text, pos, set) else { break };
        if kind != Kind::Space {
            found.push(Tok { kind, start: pos, end: stop });
        }
        pos = stop;
    }
    found
}

fn first_match(text: &str, pos: usize, set: Set) -> Option<(Kind, usize)> {
    let cur = At { text, pos };
    let byte = text.as_bytes()[pos];
    let mut left = set.0 & FIRST.get(byte as usize).copied().unwrap_or(FIRST_WIDE);
    while left != 0 {
        let bit = left.trailing_zeros();
        left &= left - 1;
        let kind = Kind::from_bit(bit);
        if FIXED.has(kind) && shadowed(kind, set) {
            continue;
        }
        if let Some(end) = cur.matches(kind) {
            return Some((fixed_word(kind, &text[pos..end], set).unwrap_or(kind), end));
        }
    }
    None
}

/// Whether a fixed word is found by way of a pattern in the same set (which then takes the longest match).
fn shadowed(kind: Kind, set: Set) -> bool {
    match kind {
        Kind::WalkInAll => set.has(Kind::PivotIn),
        Kind::TrySet => set.has(Kind::ListWord),
        Kind::Question => set.has(Kind::BareWord),
        Kind::Wildcard => set.has(Kind::BareWord) || set.has(Kind::WildTagSeg),
        Kind::RBracket => set.has(Kind::RBracketTight),
        Kind::Comma => set.has(Kind::CommaTight),
        Kind::Equal => set.has(Kind::EqTight),
        kind if kind.is_keyword() => WORDS.intersects(set),
        _ => false,
    }
}

/// The fixed word that a pattern's match is, if it is one and may stand here.
fn fixed_word(kind: Kind, text: &str, set: Set) -> Option<Kind> {
    let found = match (kind, text) {
        (Kind::PivotIn, "<--") => Kind::WalkInAll,
        (Kind::ListWord, "?=") => Kind::TrySet,
        (Kind::BareWord, "?") => Kind::Question,
        (Kind::BareWord | Kind::WildTagSeg, "*") => Kind::Wildcard,
        (Kind::RBracketTight, _) => Kind::RBracket,
        (Kind::CommaTight, _) => Kind::Comma,
        (Kind::EqTight, _) => Kind::Equal,
        (kind, text) if WORDS.has(kind) => Kind::keyword(text)?,
        _ => return None,
    };
    set.has(found).then_some(found)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_name_start(b: u8) -> bool {
    b.is_ascii_lowercase() || b == b'_'
}

fn is_name(b: u8) -> bool {
    is_name_start(b) || b.is_ascii_digit()
}

fn is_cmpr(b: u8) -> bool {
    b"@?!<>^~=".contains(&b)
}

/// A place in a text.
#[derive(Clone, Copy)]
struct At<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> At<'a> {
    #[inline]
    fn byte(&self, pos: usize) -> u8 {
        self.text.as_bytes().get(pos).copied().unwrap_or(0)
    }

    fn rest(&self, pos: usize) -> &'a str {
        self.text.get(pos..).unwrap_or("")
    }

    fn prev(&self) -> Option<char> {
        self.text[..self.pos].chars().next_back()
    }

    fn peek(&self, pos: usize) -> Option<char> {
        self.rest(pos).chars().next()
    }

    fn after_space(&self) -> bool {
        self.prev().is_some_and(char::is_whitespace)
    }

    fn space_at(&self, pos: usize) -> bool {
        self.peek(pos).is_some_and(char::is_whitespace)
    }

    fn end_or(&self, pos: usize, test: impl Fn(char) -> bool) -> bool {
        self.peek(pos).is_none_or(test)
    }

    fn skip(&self, pos: usize, test: impl Fn(char) -> bool) -> usize {
        self.rest(pos).find(|c| !test(c)).map_or(self.text.len(), |len| pos + len)
    }

    fn skip_bytes(&self, mut pos: usize, test: impl Fn(u8) -> bool) -> usize {
        while pos < self.text.len() && test(self.byte(pos)) {
            pos += 1;
        }
        pos
    }

    fn fixed(&self, word: &str) -> Option<usize> {
        self.rest(self.pos).starts_with(word).then(|| self.pos + word.len())
    }

    fn any(&self, words: &[&str]) -> Option<usize> {
        words.iter().find_map(|word| self.fixed(word))
    }

    /// A word that must be followed by white space, one of `chars`, or (with `or_end`) the end.
    fn word_before(&self, word: &str, chars: &str, or_end: bool) -> Option<usize> {
        let end = self.fixed(word)?;
        match self.peek(end) {
            None => or_end,
            Some(c) => c.is_whitespace() || chars.contains(c),
        }
        .then_some(end)
    }

    fn matches(&self, kind: Kind) -> Option<usize> {
        let pos = self.pos;
        match kind {
            Kind::CmdOpt => self.cmd_opt(),
            Kind::Continue => self.word_before("continue", "}", false),
            Kind::Return => self.word_before("return", "(", false),
            Kind::Break => self.word_before("break", "}", false),
            Kind::Stop => self.word_before("stop", "}", true),
            Kind::Emit => self.word_before("emit", "", false),
            Kind::SetMulti => self.any(&["++=", "--="]),
            Kind::PivotIn => {
                let end = self.fixed("<-")?;
                self.peek(end).filter(|c| !c.is_ascii_digit()).map(|c| end + c.len_utf8())
            }
            Kind::SetMod => self.any(&["+=", "-="]),
            Kind::MatchHashWild => self.match_hash_wild(),
            Kind::WildProp => self.wild_prop(),
            Kind::Prop => self.prop(false),
            Kind::EmbedProp => self.prop(true),
            Kind::AllTags => {
                let end = pos + 1;
                let rest = self.rest(end);
                (rest.starts_with("//")
                    || rest.starts_with("/*")
                    || self.end_or(end, |c| c.is_whitespace() || c == '}'))
                .then_some(end)
            }
            Kind::DerefStar => (self.byte(pos + 1) == b'$').then_some(pos + 1),
            Kind::MatchHash => Some(pos + 1),
            Kind::CaseWord => self.case_word(),
            Kind::MultiCaseWord => self.multi_case_word(),
            Kind::ExprNeg => self.expr_neg(),
            Kind::CmdName => self.cmd_name(),
            Kind::ExprUnivName | Kind::UnivName => self.univ_name(),
            Kind::CComment => {
                let body = self.fixed("/*")?;
                self.rest(body).find("*/").map(|len| body + len + 2)
            }
            Kind::ByName => {
                let word = self.skip(pos, is_word);
                let run = self.skip_bytes(word, is_cmpr);
                (word > pos).then_some(())?;
                self.text[word..run].rfind(['<', '>', '=']).map(|len| word + len + 1)
            }
            Kind::LineComment => self.fixed("//").map(|end| self.skip(end, |c| c != '\n')),
            Kind::Bool => self.literal(&["true", "false"]),
            Kind::Null => self.literal(&["null"]),
            Kind::Empty => self.word_before("empty", "{", false),
            Kind::Else => self.word_before("else", "{", false),
            Kind::Fini => self.word_before("fini", "{", false),
            Kind::Init => self.word_before("init", "{", false),
            Kind::ExprNot => self.word_before("not", "($", false),
            Kind::LParTight | Kind::ColonTight | Kind::ExprColonTight | Kind::HashTight => {
                (!self.after_space()).then_some(pos + 1)
            }
            Kind::HashSpaced => self.after_space().then_some(pos + 1),
            Kind::Minus => (self.prev() != Some('-')).then_some(pos + 1),
            Kind::Number => self.decimal(),
            Kind::OctNumber => self.radix(b'o', |b| (b'0'..=b'7').contains(&b)),
            Kind::HexNumber => self.radix(b'x', |b| b.is_ascii_hexdigit()),
            Kind::ListWord => self.list_word(),
            Kind::Yield => self.word_before("yield", "{", false),
            Kind::TrySetMulti => self.any(&["?++=", "?--="]),
            Kind::TrySetMod => self.any(&["?+=", "?-="]),
            Kind::EdgeN2Init => self.edge_n2(pos, true),
            Kind::CmprOther => self.cmpr_other(),
            Kind::ExprRelName | Kind::RelName => self.rel_name(),
            Kind::BareWord => self.bare_word(),
            Kind::BaseProp => self.base_prop(),
            Kind::ExprVarName | Kind::VarName => match self.byte(pos) {
                b'"' => self.double_quoted(),
                b'\'' => self.single_quoted(pos),
                _ => self.word(),
            },
            Kind::DoubleQuoted => self.double_quoted(),
            Kind::SingleQuoted => self.single_quoted(pos),
            Kind::TripleQuoted => self.triple_quoted(),
            Kind::WildTagSeg => Some(self.skip(pos, |c| is_word(c) || c == '*')).filter(|end| *end > pos),
            Kind::ExprTagSeg | Kind::TagSeg => self.word(),
            Kind::Reverse => self.word_before("reverse", "(", false),
            Kind::Cmpr => self.any(&["<=", ">=", "!=", "~=", "^=", ">", "<"]),
            Kind::ColonDollar => {
                let end = self.fixed(":$")?;
                self.prev().is_none_or(|c| !is_word(c) && c != '\'' && c != '"').then_some(end)
            }
            Kind::EqSpaced => (self.after_space() || self.space_at(pos + 1)).then_some(pos + 1),
            Kind::RBracketTight | Kind::CommaTight | Kind::EqTight => {
                (!self.after_space() && !self.space_at(pos + 1)).then_some(pos + 1)
            }
            Kind::FormatText => self.format_text(),
            Kind::CmdrWord => {
                let first = self.peek(pos).filter(|c| !c.is_whitespace() && !"=\"'{}".contains(*c))?;
                Some(self.skip(pos + first.len_utf8(), |c| !c.is_whitespace() && c != '{' && c != '}'))
            }
            Kind::Space => Some(self.skip(pos, char::is_whitespace)).filter(|end| *end > pos),
            Kind::WhiteWord => Some(self.skip(pos, |c| !c.is_whitespace() && c != '|')).filter(|end| *end > pos),
            Kind::End => None,
            fixed => self.fixed(fixed.fixed_text()),
        }
    }

    fn word(&self) -> Option<usize> {
        Some(self.skip(self.pos, is_word)).filter(|end| *end > self.pos)
    }

    fn cmd_opt(&self) -> Option<usize> {
        let end = self.skip_bytes(self.pos + 1, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        (self.after_space() && end > self.pos + 1 && !b":><".contains(&self.byte(end))).then_some(end)
    }

    fn literal(&self, words: &[&str]) -> Option<usize> {
        let end = self.any(words)?;
        self.end_or(end, |c| c.is_whitespace() || "),]}|=".contains(c)).then_some(end)
    }

    fn cmd_name(&self) -> Option<usize> {
        const TAKEN: [&str; 20] = [
            "init", "empty", "fini", "function", "return", "emit", "stop", "yield", "break", "continue", "for",
            "while", "switch", "else", "elif", "if", "not", "or", "and", "try",
        ];
        const TAKEN_TOO: [&str; 3] = ["catch", "as", "reverse"];
        let end = self.skip_bytes(self.pos, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.');
        if end <= self.pos + 1 || !self.end_or(end, |c| c.is_whitespace() || c == '|' || c == '}') {
            return None;
        }
        let word = &self.rest(self.pos)[..self.skip(self.pos, is_word) - self.pos];
        (!TAKEN.contains(&word) && !TAKEN_TOO.contains(&word)).then_some(end)
    }

    /// The end of `(sep name)*` from `pos`, where `double` also takes `::` as separator.
    fn prop_segs(&self, mut pos: usize, double: bool, start: impl Fn(u8) -> bool) -> usize {
        loop {
            let mut name = match self.byte(pos) {
                b':' | b'.' => pos + 1,
                _ => return pos,
            };
            if double && self.byte(pos) == b':' && self.byte(name) == b':' {
                name += 1;
            }
            if !start(self.byte(name)) {
                return pos;
            }
            pos = self.skip_bytes(name + 1, is_name);
        }
    }

    fn prop(&self, embed: bool) -> Option<usize> {
        let base = self.prop_base()?;
        let end = self.prop_segs(base, embed, is_name);
        let next = self.byte(end);
        (end > base && !is_name(next) && !b":.-".contains(&next)).then_some(end)
    }

    /// The first part of a property name, if a colon and a name follow.
    fn prop_base(&self) -> Option<usize> {
        let base = self.skip_bytes(self.pos, is_name);
        (is_name_start(self.byte(self.pos)) && self.byte(base) == b':' && is_name(self.byte(base + 1))).then_some(base)
    }

    fn wild_prop(&self) -> Option<usize> {
        let base = self.skip_bytes(self.pos, is_name);
        let star = if !is_name_start(self.byte(self.pos)) {
            return None;
        } else if self.rest(base).starts_with(":*") {
            base + 1
        } else {
            let segs = self.prop_segs(self.prop_base()?, false, is_name);
            if self.byte(segs) == b':' { segs + 1 } else { segs }
        };
        let next = self.byte(star + 1);
        (self.byte(star) == b'*' && !is_name(next) && !b":.-[".contains(&next)).then_some(star + 1)
    }

    fn univ_name(&self) -> Option<usize> {
        let fits = self.prev().is_none_or(|c| c.is_whitespace() || "|{([+=-".contains(c));
        (fits && is_name_start(self.byte(self.pos + 1))).then_some(())?;
        let base = self.skip_bytes(self.pos + 1, is_name);
        Some(self.prop_segs(base, false, is_name))
    }

    fn rel_name(&self) -> Option<usize> {
        if self.prev().is_some_and(is_word) {
            return None;
        }
        let mut name = self.pos + 1;
        if self.byte(name) == b'.' {
            name += 1;
        }
        is_name_start(self.byte(name)).then_some(())?;
        Some(self.prop_segs(self.skip_bytes(name, is_name), true, is_name_start))
    }

    fn base_prop(&self) -> Option<usize> {
        is_name_start(self.byte(self.pos)).then_some(())?;
        Some(self.prop_segs(self.skip_bytes(self.pos, is_name), true, is_name_start))
    }

    fn bare_start(&self) -> Option<usize> {
        let first = self.peek(self.pos)?;
        (is_word(first) || "-+?*/\\".contains(first)).then_some(self.pos + first.len_utf8())
    }

    fn bare_word(&self) -> Option<usize> {
        if self.fixed("//").is_some() {
            return None;
        }
        Some(self.skip(self.bare_start()?, |c| !c.is_whitespace() && !"(),=]}|$".contains(c)))
    }

    fn list_word(&self) -> Option<usize> {
        let first = self.bare_start()?;
        let stop = self.skip(first, |c| c != ',' && c != ')');
        Some(first + self.text[first..stop].trim_end().len())
    }

    fn case_word(&self) -> Option<usize> {
        let fits = self.prev().is_some_and(|c| c.is_whitespace() || c == '{');
        if !fits || self.byte(self.pos) == b'*' {
            return None;
        }
        let end = self.skip(self.pos, |c| !c.is_whitespace() && !":\"'()".contains(c));
        let colon = self.skip(end, char::is_whitespace);
        let brace = self.skip(colon + 1, char::is_whitespace);
        (end > self.pos && self.byte(colon) == b':' && self.byte(brace) == b'{').then_some(end)
    }

    fn multi_case_word(&self) -> Option<usize> {
        let fits = self.prev().is_some_and(|c| c.is_whitespace() || c == '(' || c == ',');
        let end = self.skip(self.pos, |c| !c.is_whitespace() && !":\"'(),".contains(c));
        let stop = self.skip(end, char::is_whitespace);
        let closes = self.byte(stop) == b')' && self.byte(self.skip(stop + 1, char::is_whitespace)) == b':';
        (fits && end > self.pos && (self.byte(stop) == b',' || closes)).then_some(end)
    }

    fn cmpr_other(&self) -> Option<usize> {
        let rest = self.rest(self.pos);
        let lone_eq = rest.starts_with('=') && !is_cmpr(self.byte(self.pos + 1));
        if lone_eq || ["<", ">", "!=", "~=", "^=", "?"].iter().any(|word| rest.starts_with(word)) {
            return None;
        }
        let max = self.skip_bytes(self.pos + 1, |b| b != b'?' && is_cmpr(b));
        (self.pos + 1..=max).rev().find(|end| !b"@?<>^~=".contains(&self.byte(*end)))
    }

    fn double_quoted(&self) -> Option<usize> {
        let mut pos = self.pos + 1;
        loop {
            match self.byte(pos) {
                b'"' => return Some(pos + 1),
                b'\n' => return None,
                b'\\' if pos + 1 < self.text.len() && self.byte(pos + 1) != b'\n' => pos += 2,
                _ if pos >= self.text.len() => return None,
                _ => pos += 1,
            }
        }
    }

    fn single_quoted(&self, pos: usize) -> Option<usize> {
        let end = pos + 1 + self.rest(pos + 1).find('\'')? + 1;
        (self.byte(end) != b'\'').then_some(end)
    }

    fn triple_quoted(&self) -> Option<usize> {
        let body = self.fixed("'''")?;
        self.rest(body).find("'''").map(|len| body + len + 3)
    }

    fn format_text(&self) -> Option<usize> {
        let mut pos = self.pos;
        while pos < self.text.len() {
            match self.byte(pos) {
                b'`' | b'{' => break,
                b'\\' => {
                    let run = self.skip_bytes(pos, |b| b == b'\\');
                    let odd = (run - pos) % 2 == 1;
                    pos = if odd && b"`{".contains(&self.byte(run)) { run + 1 } else { run };
                }
                _ => pos += 1,
            }
        }
        (pos > self.pos).then_some(pos)
    }

    fn decimal(&self) -> Option<usize> {
        let start = if self.byte(self.pos) == b'-' { self.pos + 1 } else { self.pos };
        let zeros = self.skip_bytes(start, |b| b == b'0');
        let digits = self.skip_bytes(start, |b| b.is_ascii_digit());
        let whole = if digits == start {
            return None;
        } else if zeros == start {
            let before = self.text[..start].chars().next_back();
            before.is_none_or(|c| !c.is_numeric()).then_some(digits)?
        } else if self.byte(digits) == b'.' {
            digits
        } else if digits == zeros {
            zeros
        } else {
            return None;
        };
        let end = if self.byte(whole) == b'.' { self.skip_bytes(whole + 1, |b| b.is_ascii_digit()) } else { whole };
        self.number_end(end)
    }

    fn radix(&self, mark: u8, test: impl Fn(u8) -> bool) -> Option<usize> {
        let start = if self.byte(self.pos) == b'-' { self.pos + 1 } else { self.pos };
        let end = self.skip_bytes(start + 2, test);
        (self.byte(start) == b'0' && self.byte(start + 1) == mark && end > start + 2).then_some(())?;
        self.number_end(end)
    }

    /// A number is one only if an operator or the end of its expression follows, and no comma that would make it a
    /// word of a list.
    fn number_end(&self, end: usize) -> Option<usize> {
        let fits = self.end_or(end, |c| c.is_whitespace() || "})*/%+-=><!~".contains(c));
        (fits && self.byte(self.skip_balanced(end, b",)}")) != b',').then_some(end)
    }

    fn expr_neg(&self) -> Option<usize> {
        let end = self.pos + 1;
        let fits = self.end_or(end, |c| "$:.#(-".contains(c));
        (fits && self.byte(self.skip_balanced(end, b",)}")) != b',').then_some(end)
    }

    /// `<(` with its `)-` (or, if `plus`, `)+`): otherwise it is a comparison with an expression.
    fn edge_n2(&self, pos: usize, plus: bool) -> Option<usize> {
        let end = pos + 2;
        self.rest(pos).starts_with("<(").then_some(())?;
        let close = self.skip_balanced(end, b")");
        let sign = self.byte(close + 1);
        (self.byte(close) == b')' && (sign == b'-' || (plus && sign == b'+'))).then_some(end)
    }

    fn match_hash_wild(&self) -> Option<usize> {
        let star = self.skip_tag(self.pos + 1, "");
        (self.byte(star) == b'*').then_some(())?;
        let cmpr = self.skip(self.skip_tag(star + 1, "*:"), char::is_whitespace);
        let rest = self.rest(cmpr);
        let pivot = rest.starts_with("<+")
            || (rest.starts_with("<-") && self.peek(cmpr + 2).is_some_and(|c| !c.is_ascii_digit()));
        let compared = is_cmpr(self.byte(cmpr)) && !pivot && self.edge_n2(cmpr, false).is_none();
        (!compared).then_some(self.pos + 1)
    }

    fn skip_tag(&self, mut pos: usize, more: &str) -> usize {
        while let Some(c) = self.peek(pos) {
            pos = match c {
                '"' | '\'' => match self.string_at(pos) {
                    Some(end) => end,
                    None => return pos,
                },
                c if is_word(c) || c == '.' || c == '$' || more.contains(c) => pos + c.len_utf8(),
                _ => return pos,
            };
        }
        pos
    }

    /// A quoted text of any kind at `pos`, line breaks allowed.
    fn string_at(&self, pos: usize) -> Option<usize> {
        match self.byte(pos) {
            b'\'' => self.single_quoted(pos),
            quote @ (b'"' | b'`') => {
                let mut pos = pos + 1;
                loop {
                    match self.byte(pos) {
                        _ if pos >= self.text.len() => return None,
                        b'\\' if pos + 1 >= self.text.len() || self.byte(pos + 1) == b'\n' => return None,
                        b'\\' => pos += 2,
                        b if b == quote => return Some(pos + 1),
                        _ => pos += 1,
                    }
                }
            }
            _ => None,
        }
    }

    fn triple_at(&self, pos: usize) -> Option<usize> {
        let body = pos + 3;
        let rest = self.rest(pos).strip_prefix("'''")?;
        let len = rest.find("'''")?;
        (!rest[..len].contains('\n')).then_some(body + len + 3)
    }

    /// Skip balanced parentheses, quoted texts and all else up to one of `stops`.
    fn skip_balanced(&self, mut pos: usize, stops: &[u8]) -> usize {
        // A parenthesis that never closes costs a look at all the rest, so there is an end to trying.
        let mut tries = 256;
        while pos < self.text.len() {
            let byte = self.byte(pos);
            let group = match byte {
                b'(' if tries > 0 => {
                    let end = self.parens(pos);
                    tries -= u32::from(end.is_none());
                    end
                }
                b'\'' => self.triple_at(pos).or_else(|| self.string_at(pos)),
                b'"' | b'`' => self.string_at(pos),
                _ => None,
            };
            pos = match group {
                Some(end) => end,
                None if stops.contains(&byte) => return pos,
                None => pos + 1,
            };
        }
        pos
    }

    /// A balanced pair of parentheses at `pos`.
    fn parens(&self, pos: usize) -> Option<usize> {
        let mut depth = 0usize;
        let mut pos = pos;
        while pos < self.text.len() {
            match self.byte(pos) {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\'' => {
                    pos = self.string_at(pos).or_else(|| self.triple_at(pos))?;
                    continue;
                }
                b'"' | b'`' => {
                    pos = self.string_at(pos)?;
                    continue;
                }
                _ => {}
            }
            pos += 1;
            if depth == 0 {
                return Some(pos);
            }
        }
        None
    }
}
