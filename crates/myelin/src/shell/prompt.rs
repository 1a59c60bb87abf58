//! The interactive prompt: line editing on a thread of its own, queries on the runtime.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use myelin_error::{Result, err};
use myelin_telepath::env::syn_dir;
use reedline::{
    ColumnarMenu, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode,
    PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal, ValidationResult, Validator,
    default_emacs_keybindings,
};
use tokio::sync::{mpsc, oneshot};

use super::Session;
use super::complete::{Names, StormCompleter};

/// How many lines the history file keeps.
const HISTORY: usize = 10_000;

/// One line from the editor; the editor waits until the answer comes.
struct Line {
    text: String,
    done: oneshot::Sender<()>,
}

/// Reads lines and runs them until the user leaves.
pub(super) async fn interact(mut session: Session) -> Result<()> {
    session.printer.line("Welcome to Storm. Type !help for the commands of this shell, !quit to leave.");
    let names = Arc::new(Mutex::new(Names::default()));
    let filled = names.clone();
    let proxy = session.proxy.clone();
    tokio::spawn(async move {
        if let Ok(loaded) = Names::load(&proxy).await {
            *filled.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = loaded;
        }
    });
    let current = Arc::new(Mutex::new(session.proxy.clone()));
    let completer = StormCompleter::new(names, current.clone(), tokio::runtime::Handle::current());
    let (tx, mut rx) = mpsc::channel::<Line>(1);
    let editor = std::thread::spawn(move || edit(completer, &tx));
    while let Some(line) = rx.recv().await {
        if let Err(error) = session.run_line(&line.text).await {
            session.printer.line(format!("ERROR: {error}"));
        }
        *current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = session.proxy.clone();
        // An editor that is gone has no use for the answer.
        let _ = line.done.send(());
    }
    editor.join().map_err(|_| err!("SynErr", mesg = "The line editor failed."))?
}

fn edit(completer: StormCompleter, tx: &mpsc::Sender<Line>) -> Result<()> {
    let mut keys = default_emacs_keybindings();
    let menu = ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu("completions".to_owned()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, menu);
    let list = ColumnarMenu::default().with_name("completions");
    let mut editor = Reedline::create()
        .with_completer(Box::new(completer))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .use_bracketed_paste(true)
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(list)))
        .with_highlighter(Box::new(super::colour::StormColours))
        .with_validator(Box::new(Balanced))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    if let Ok(history) = FileBackedHistory::with_file(HISTORY, history_path()) {
        editor = editor.with_history(Box::new(history));
    }
    loop {
        match editor.read_line(&StormPrompt) {
            Ok(Signal::Success(text)) => {
                let text = text.trim().to_owned();
                if text == "!quit" {
                    return Ok(());
                }
                let (done, wait) = oneshot::channel();
                if text.is_empty() {
                    continue;
                }
                if tx.blocking_send(Line { text, done }).is_err() || wait.blocking_recv().is_err() {
                    return Ok(());
                }
            }
            Ok(Signal::CtrlD) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn history_path() -> PathBuf {
    syn_dir().join("storm_history")
}

struct StormPrompt;

impl Prompt for StormPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("storm")
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("     | ")
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search: {}) ", search.term))
    }
}

/// Enter goes on to a new line while a bracket is open.
struct Balanced;

impl Validator for Balanced {
    fn validate(&self, line: &str) -> ValidationResult {
        if open_brackets(line) > 0 { ValidationResult::Incomplete } else { ValidationResult::Complete }
    }
}

/// How many brackets, texts in triple quotes and long comments are open at the end of the text. What stands in quotes and
/// in comments does not count.
fn open_brackets(text: &str) -> usize {
    let mut open = 0_usize;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // What closes the thing that begins here, and whether a backslash in it hides the next character.
        let (begin, close, escapes) = match c {
            _ if rest.starts_with("//") => ("//", "\n", false),
            _ if rest.starts_with("/*") => ("/*", "*/", false),
            _ if rest.starts_with("'''") => ("'''", "'''", false),
            '"' => ("\"", "\"", true),
            '\'' => ("'", "'", false),
            '`' => ("`", "`", true),
            _ => {
                match c {
                    '(' | '[' | '{' => open += 1,
                    ')' | ']' | '}' => open = open.saturating_sub(1),
                    _ => {}
                }
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        match after(&rest[begin.len()..], close, escapes) {
            Some(next) => rest = next,
            // An address such as https://vertex.link is no comment; Enter must end it in any case.
            None if matches!(close, "\n" | "\"" | "'") => return open,
            None => return open + 1,
        }
    }
    open
}

/// The text after the first `close`.
fn after<'a>(text: &'a str, close: &str, escapes: bool) -> Option<&'a str> {
    let mut rest = text;
    loop {
        if let Some(next) = rest.strip_prefix(close) {
            return Some(next);
        }
        let mut chars = rest.chars();
        if chars.next()? == '\\' && escapes {
            chars.next();
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::open_brackets;

    #[test]
    fn brackets_in_quotes_do_not_hold_the_line() {
        assert_eq!(open_brackets("[ inet:fqdn=vertex.link"), 1);
        assert_eq!(open_brackets("for $x in (1, 2) { $lib.print(\"}\")"), 1);
        assert_eq!(open_brackets("$lib.print('(')"), 0);
        assert_eq!(open_brackets("$lib.print(\"\\\"(\")"), 0);
        assert_eq!(open_brackets("inet:ipv4 // (it's here"), 0);
        assert_eq!(open_brackets("{ // )\n $x=1"), 1);
        assert_eq!(open_brackets("/* ("), 1);
        assert_eq!(open_brackets("$x='' ("), 1);
        assert_eq!(open_brackets("$x='''a (\n"), 1);
        assert_eq!(open_brackets("$x='''a (\n''' ["), 1);
        assert_eq!(open_brackets("[ inet:url=https://vertex.link/( ]"), 1);
    }
}
