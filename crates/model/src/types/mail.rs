//! Mail: `inet:email` and `inet:rfc2822:addr`.

use myelin_error::Result;
use myelin_value::Value;

use super::ctors::Decl;
use super::fqdn::fqdn_text;
use super::scratch::Scratch;
use super::textual::{TextOpts, TextRules, Textual};
use super::{Norm, NormCx, Type, py};

/// `inet:email`.
pub type Email = Textual<EmailRules>;
/// `inet:rfc2822:addr`.
pub type Rfc2822Addr = Textual<Rfc2822Rules>;

/// The rules of `inet:email`.
pub struct EmailRules;

impl TextRules for EmailRules {
    fn make(_decl: &mut Decl<'_>) -> Result<EmailRules> {
        Ok(EmailRules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm> {
        let bad = |mesg: &str| ty.bad_valu(&Value::from(text), mesg);
        let (user, fqdn) = text.split_once('@').ok_or_else(|| bad("A mail address has the form user@fqdn."))?;
        let fqdn = fqdn_text(fqdn).ok_or_else(|| bad("The part after the @ is no domain name."))?;
        let plus = user.split_once('+');
        let user_norm = match cx.resolver.type_by_name("inet:user") {
            Some(typ) => typ.norm(cx, &Value::from(user)).map_err(|error| bad(error.message()))?.value,
            None => Value::from(user.to_lowercase()),
        };
        let at_host = |user: &str| {
            let mut out = Scratch::new();
            out.push_str(user);
            out.push('@');
            out.push_str(&fqdn);
            Value::from(out.as_str())
        };
        let made =
            Norm::with_room(at_host(user_norm.as_str().unwrap_or_default()), 2 + 2 * usize::from(plus.is_some()));
        let made = made.sub("fqdn", &*fqdn).sub("user", user_norm);
        Ok(match plus {
            Some((base, plus)) => {
                let mut lower = Scratch::new();
                lower.push_lower(plus);
                made.sub("plus", py::strip(&lower)).sub("base", at_host(base))
            }
            None => made,
        })
    }
}

/// The rules of `inet:rfc2822:addr`: a display name and a mail address.
pub struct Rfc2822Rules;

impl TextRules for Rfc2822Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<Rfc2822Rules> {
        Ok(Rfc2822Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm> {
        let clean = py::onespace(&text.replace(['"', '\''], " ").to_lowercase());
        let (name, addr) = parse_addr(&clean);
        if name.is_empty() && addr.is_empty() {
            return Err(ty.bad_valu(&Value::from(clean), "The text holds neither a name nor a mail address."));
        }
        let mut made = Norm::new(clean);
        if !name.is_empty() {
            made = made.sub("name", name.as_str());
        }
        let email = cx.resolver.req_type("inet:email")?.norm(cx, &Value::from(addr));
        if let Ok(email) = email {
            let mail = email.value.as_str().unwrap_or_default();
            made.value = Value::from(if name.is_empty() { mail.to_owned() } else { format!("{name} <{mail}>") });
            made = made.sub("email", email.value);
        }
        Ok(made)
    }
}

/// The display name and address of a text that holds exactly one address. Both empty otherwise.
fn parse_addr(text: &str) -> (String, String) {
    if !balanced(text) {
        return Default::default();
    }
    let mut parser = Parser { text: text.chars().collect(), at: 0, comments: Vec::new(), depth: 0 };
    let mut found = Vec::new();
    while parser.at < parser.text.len() && found.len() < 2 {
        let before = parser.at;
        let made = parser.address();
        if made.is_empty() {
            found.push(Default::default());
        }
        found.extend(made);
        if parser.at == before {
            // Nothing was read, so nothing will be: give up on the rest.
            return Default::default();
        }
    }
    match found.pop() {
        // A bracket left in the address means that it was not understood.
        Some((name, addr)) if found.is_empty() && !addr.contains('[') => (name, addr),
        _ => Default::default(),
    }
}

/// Whether every bracket opened is closed, escapes apart.
fn balanced(text: &str) -> bool {
    let mut open = 0_usize;
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '\\' => {
                chars.next();
            }
            '(' => open += 1,
            ')' if open == 0 => return false,
            ')' => open -= 1,
            _ => {}
        }
    }
    open == 0
}

/// How deep comments and groups may nest.
const MAX_DEPTH: usize = 64;

/// A reader of mail addresses by RFC 2822. Quotes were replaced before, so there are no quoted strings.
struct Parser {
    text: Vec<char>,
    at: usize,
    comments: Vec<String>,
    depth: usize,
}

type Found = Vec<(String, String)>;

fn is_special(ch: char) -> bool {
    "()<>@,:;.\"[]".contains(ch)
}

fn is_blank(ch: char) -> bool {
    matches!(ch, ' ' | '\t' | '\r' | '\n')
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self) -> String {
        let mut blanks = String::new();
        while let Some(ch) = self.peek() {
            match ch {
                '(' => {
                    let comment = self.delimited('(', ')', true);
                    self.comments.push(comment);
                }
                ch if is_blank(ch) => {
                    if !matches!(ch, '\r' | '\n') {
                        blanks.push(ch);
                    }
                    self.at += 1;
                }
                _ => break,
            }
        }
        blanks
    }

    fn delimited(&mut self, open: char, close: char, comments: bool) -> String {
        let mut out = String::new();
        if self.peek() != Some(open) {
            return out;
        }
        self.at += 1;
        while let Some(ch) = self.peek() {
            if ch == close || ch == '\r' {
                self.at += 1;
                break;
            }
            if ch == '(' && comments && self.depth < MAX_DEPTH {
                self.depth += 1;
                let inner = self.delimited('(', ')', true);
                self.depth -= 1;
                out.push_str(&inner);
                continue;
            }
            self.at += 1;
            if ch == '\\' {
                if let Some(escaped) = self.peek() {
                    out.push(escaped);
                    self.at += 1;
                }
                continue;
            }
            out.push(ch);
        }
        out
    }

    /// Characters up to one that ends an atom; in phrases dots do not.
    fn atom(&mut self, in_phrase: bool) -> String {
        let from = self.at;
        while let Some(ch) = self.peek() {
            if is_blank(ch) || (is_special(ch) && !(in_phrase && ch == '.')) {
                break;
            }
            self.at += 1;
        }
        self.text[from..self.at].iter().collect()
    }

    fn phrases(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(ch) = self.peek() {
            match ch {
                ch if is_blank(ch) => self.at += 1,
                '"' => out.push(self.delimited('"', '"', false)),
                '(' => {
                    let comment = self.delimited('(', ')', true);
                    self.comments.push(comment);
                }
                ch if is_special(ch) && ch != '.' => break,
                _ => out.push(self.atom(true)),
            }
        }
        out
    }

    fn address(&mut self) -> Found {
        self.comments.clear();
        self.skip();
        let before = self.at;
        let phrases = self.phrases();
        self.skip();
        let mut found = Vec::new();
        match self.peek() {
            None => found.extend(phrases.first().map(|first| (self.comments.join(" "), first.clone()))),
            Some('.' | '@') => {
                self.at = before;
                let spec = self.spec();
                found.push((self.comments.join(" "), spec));
            }
            Some(':') => found = self.group(),
            Some('<') => {
                let spec = self.route();
                let name = phrases.join(" ");
                let name = match self.comments.is_empty() {
                    true => name,
                    false => format!("{name} ({})", self.comments.join(" ")),
                };
                found.push((name, spec));
            }
            Some(ch) => match phrases.first() {
                Some(first) => found.push((self.comments.join(" "), first.clone())),
                None => self.at += usize::from(is_special(ch)),
            },
        }
        self.skip();
        self.at += usize::from(self.peek() == Some(','));
        found
    }

    fn group(&mut self) -> Found {
        let mut found = Vec::new();
        self.at += 1;
        self.depth += 1;
        while self.peek().is_some() && self.depth < MAX_DEPTH {
            self.skip();
            if self.peek() == Some(';') {
                self.at += 1;
                break;
            }
            let before = self.at;
            found.extend(self.address());
            if self.at == before {
                break;
            }
        }
        self.depth -= 1;
        found
    }

    /// The address inside angle brackets; a route before it is passed over.
    fn route(&mut self) -> String {
        self.at += 1;
        self.skip();
        let mut expect_route = false;
        while let Some(ch) = self.peek() {
            if expect_route {
                self.domain();
                expect_route = false;
            } else {
                match ch {
                    '>' => {
                        self.at += 1;
                        return String::new();
                    }
                    '@' => {
                        self.at += 1;
                        expect_route = true;
                    }
                    ':' => self.at += 1,
                    _ => {
                        let spec = self.spec();
                        self.at += 1;
                        return spec;
                    }
                }
            }
            self.skip();
        }
        String::new()
    }

    fn spec(&mut self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let drop_blank = |parts: &mut Vec<String>| {
            if parts.last().is_some_and(|last| py::strip(last).is_empty()) {
                parts.pop();
            }
        };
        self.skip();
        while let Some(ch) = self.peek() {
            let mut keep_blank = true;
            match ch {
                '.' => {
                    drop_blank(&mut parts);
                    parts.push(".".to_owned());
                    self.at += 1;
                    keep_blank = false;
                }
                '"' => {
                    let quoted = self.delimited('"', '"', false);
                    parts.push(format!("\"{}\"", quoted.replace('\\', "\\\\").replace('"', "\\\"")));
                }
                ch if is_special(ch) || is_blank(ch) => {
                    drop_blank(&mut parts);
                    break;
                }
                _ => parts.push(self.atom(false)),
            }
            let blanks = self.skip();
            if keep_blank && !blanks.is_empty() {
                parts.push(blanks);
            }
        }
        if self.peek() != Some('@') {
            return parts.concat();
        }
        self.at += 1;
        self.skip();
        match self.domain() {
            domain if domain.is_empty() => String::new(),
            domain => format!("{}@{domain}", parts.concat()),
        }
    }

    fn domain(&mut self) -> String {
        let mut out = String::new();
        while let Some(ch) = self.peek() {
            match ch {
                ' ' | '\t' => self.at += 1,
                '(' => {
                    let comment = self.delimited('(', ')', true);
                    self.comments.push(comment);
                }
                '[' => {
                    let literal = self.delimited('[', ']', false);
                    out.push_str(&format!("[{literal}]"));
                }
                '.' => {
                    self.at += 1;
                    out.push('.');
                }
                // Two of them would let an address pretend to be of another domain.
                '@' => return String::new(),
                ch if is_special(ch) || is_blank(ch) => break,
                _ => out.push_str(&self.atom(false)),
            }
        }
        out
    }
}
