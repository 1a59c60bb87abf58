//! Text in the making: buffers which each thread keeps, so that a norm allocates only what it returns.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// How many buffers a thread keeps. Norms hold at most a handful at a time.
const MOST_KEPT: usize = 8;
/// A buffer that grew beyond this is not kept.
const MOST_BYTES: usize = 64 * 1024;

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A text to write to, which goes back to its thread in the end.
pub(super) struct Scratch(String);

impl Scratch {
    /// An empty one.
    pub fn new() -> Scratch {
        let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok().and_then(|mut kept| kept.pop()));
        Scratch(kept.ok().flatten().unwrap_or_default())
    }

    /// Adds a text in lower case.
    pub fn push_lower(&mut self, text: &str) {
        if text.is_ascii() {
            let at = self.0.len();
            self.0.push_str(text);
            if let Some(added) = self.0.get_mut(at..) {
                added.make_ascii_lowercase();
            }
        } else {
            // How a sigma is written depends on its neighbours, so the text is turned as a whole.
            self.0.push_str(&text.to_lowercase());
        }
    }
}

impl Deref for Scratch {
    type Target = String;
    fn deref(&self) -> &String {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() > MOST_BYTES {
            return;
        }
        let mut text = std::mem::take(&mut self.0);
        text.clear();
        // While its thread ends there is nowhere to keep it.
        let _ = KEPT.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut()
                && kept.len() < MOST_KEPT
            {
                kept.push(text);
            }
        });
    }
}

/// A text as it was given, or as it was made of that.
pub(super) enum Text<'a> {
    Given(&'a str),
    Made(Scratch),
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Text::Given(text) => text,
            Text::Made(text) => text,
        }
    }
}

impl Text<'_> {
    /// The part of it that a function keeps, which may cut at both ends.
    pub fn trimmed(self, trim: impl Fn(&str) -> &str) -> Self {
        match self {
            Text::Given(text) => Text::Given(trim(text)),
            Text::Made(mut text) => {
                let kept = trim(&text);
                if kept.len() < text.len() {
                    let (from, size) = (kept.as_ptr().addr() - text.as_ptr().addr(), kept.len());
                    text.truncate(from + size);
                    text.drain(..from);
                }
                Text::Made(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty() {
        let mut one = Scratch::new();
        one.push_lower("ΑΣ");
        assert_eq!(&**one, "ας");
        let mut two = Scratch::new();
        two.push_lower("ABC");
        assert_eq!(&**two, "abc");
        drop((one, two));
        assert!(Scratch::new().is_empty());
        let mut three = Scratch::new();
        three.push_str("  a b ");
        assert_eq!(&*Text::Made(three).trimmed(str::trim), "a b");
        assert_eq!(&*Text::Given(" a ").trimmed(str::trim_start), "a ");
    }
}
