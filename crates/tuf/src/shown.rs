//! Text of others, as a message may show it.

use std::fmt;

/// Characters of a text that are shown; who wants more has the text itself.
const MOST: usize = 100;

/// Shows a text that anybody may have written: characters that a terminal would obey, or
/// that cannot be seen, are escaped, and a long text is cut.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(MOST).map(|(at, _)| at);
        let shown = &self.0[..end.unwrap_or(self.0.len())];
        write!(f, "{}", shown.escape_debug())?;
        if end.is_some() {
            f.write_str("…")?;
        }
        Ok(())
    }
}

/// The text with every control character replaced, and every one that changes the direction in
/// which text runs, so that a terminal shows it as it is and obeys nothing in it.
#[must_use]
pub fn without_controls(text: &str) -> String {
    text.replace(|c: char| c.is_control() || turns(c), "\u{fffd}")
}

/// The characters with the property `Bidi_Control` (UAX #9): with them a text looks like
/// another one.
const fn turns(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_stays() {
        let controls = (0..=0x9f)
            .filter_map(char::from_u32)
            .filter(|c| c.is_control());
        let turning = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for c in controls.chain(turning.chars()) {
            assert_eq!(without_controls(&format!("a{c}é")), "a\u{fffd}é");
        }
    }

    #[test]
    fn nothing_is_obeyed_and_nothing_is_long() {
        let check = |text: &str, shown: &str| assert_eq!(Shown(text).to_string(), shown);
        check("simple-0f", "simple-0f");
        check("é/<>", "é/<>");
        check("\u{1b}[2J\r\n\u{7f}", "\\u{1b}[2J\\r\\n\\u{7f}");
        check("\u{9b}31m\u{202e}", "\\u{9b}31m\\u{202e}");
        check(&"é".repeat(MOST), &"é".repeat(MOST));
        check(&"é".repeat(MOST + 1), &format!("{}…", "é".repeat(MOST)));
    }
}
