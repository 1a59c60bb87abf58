//! `$lib.mime.html`: the text of a page.

use html5gum::Tokenizer;
use html5gum::emitters::default::{DefaultEmitter, Token};

use crate::item::{Arg, Dflt, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static HTML: LibDef = LibDef {
    path: "mime.html",
    funcs: &[FuncDef::ro(
        "totext",
        &[Arg::req("html"), Arg::opt("separator", Dflt::Str("\n")), Arg::opt("strip", Dflt::Bool(true))],
        |rt, _, args| {
            let (html, separator, strip) = (args.str(rt, 0)?, args.opt_str(rt, 1)?, args.bool(rt, 2)?);
            Ok(Item::from(texts(&html, strip).join(separator.as_deref().unwrap_or_default())))
        },
    )],
    consts: &[],
};

/// The pieces of text between the tags of a page, in order, those of scripts and styles among them. Comments are none,
/// nor is space before the page has begun.
fn texts(html: &str, strip: bool) -> Vec<String> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let (mut found, mut begun, mut joined) = (Vec::<String>::new(), false, false);
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        let Token::String(text) = token else {
            joined = false;
            continue;
        };
        let text = String::from_utf8_lossy(&text);
        begun |= !text.trim().is_empty();
        match found.last_mut().filter(|_| joined) {
            Some(last) => last.push_str(&text),
            None if begun => found.push(text.into_owned()),
            None => {}
        }
        joined = begun;
    }
    if strip {
        let trimmed = found.iter().map(|text| text.trim().to_owned());
        return trimmed.filter(|text| !text.is_empty()).collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_tags_and_comments() {
        let html = "<html><head><title>T &amp; U</title><script>if (a < b) {}</script></head>\n\
            <body><!-- no --><p> one <b>two</b></p><style>p {}</style>&lt;three&gt;</body></html>";
        assert_eq!(texts(html, true), ["T & U", "if (a < b) {}", "one", "two", "p {}", "<three>"]);
        assert_eq!(texts("plain", true), ["plain"]);
        assert!(texts("", false).is_empty());
    }
}
