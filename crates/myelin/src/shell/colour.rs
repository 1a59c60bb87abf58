//! Colours for the query that is being typed.

use myelin_storm_syntax::{TokenClass, highlight};
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

/// Longer texts are shown plain: the whole text is read again at every key.
const MAX_TEXT: usize = 20_000;

/// Colours Storm by what its words are. Works for text that is not finished.
pub struct StormColours;

impl Highlighter for StormColours {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        if line.starts_with('!') || line.len() > MAX_TEXT {
            styled.push((Style::new(), line.to_owned()));
            return styled;
        }
        let mut spans: Vec<(usize, usize, TokenClass)> =
            highlight(line).into_iter().map(|(span, class)| (span.start as usize, span.end as usize, class)).collect();
        spans.sort_by_key(|(start, ..)| *start);
        let mut pos = 0;
        for (start, end, class) in spans {
            // A piece that overlaps the one before, or does not lie on characters, is left plain.
            let (Some(between), Some(text)) = (line.get(pos..start), line.get(start..end)) else { continue };
            if !between.is_empty() {
                styled.push((Style::new(), between.to_owned()));
            }
            styled.push((style_of(&class), text.to_owned()));
            pos = end;
        }
        if let Some(rest) = line.get(pos..).filter(|rest| !rest.is_empty()) {
            styled.push((Style::new(), rest.to_owned()));
        }
        styled
    }
}

fn style_of(class: &TokenClass) -> Style {
    match class {
        TokenClass::Comment => Style::new().fg(Color::DarkGray),
        TokenClass::Keyword => Style::new().fg(Color::Purple),
        TokenClass::Command => Style::new().fg(Color::Cyan).bold(),
        TokenClass::Option => Style::new().fg(Color::Cyan),
        TokenClass::Property => Style::new().fg(Color::Blue),
        TokenClass::Tag => Style::new().fg(Color::Yellow),
        TokenClass::Variable => Style::new().fg(Color::LightBlue),
        TokenClass::Text => Style::new().fg(Color::Green),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_lost() {
        for line in ["", "inet:fqdn=vertex.link +#a.b", "[ inet:ipv4=1.2.3.4", "$x = \"é\" // note", "}{)(", "!help"] {
            let styled = StormColours.highlight(line, 0);
            let text: String = styled.buffer.iter().map(|(_, part)| part.as_str()).collect();
            assert_eq!(text, line);
        }
    }
}
