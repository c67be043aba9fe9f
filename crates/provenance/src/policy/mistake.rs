//! What is wrong in a file that a person wrote, and where.

use std::fmt;
use std::ops::Range;

/// A mistake, with its place, to be shown with the line that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    excerpt: String,
    width: usize,
}

/// The line in which an offset is, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

impl Mistake {
    /// One at a span of bytes of the text.
    pub(super) fn at(text: &str, span: Range<usize>, what: String) -> Self {
        let start = floor(text, span.start);
        let begins = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let ends = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor(text, span.end).clamp(start, ends);
        Self {
            line: line_of(text, start),
            column: text[begins..start].chars().count() + 1,
            what,
            excerpt: text[begins..ends].trim_end().to_owned(),
            width: text[start..end].chars().count().max(1),
        }
    }

    /// The line that it is in, and marks under what is meant.
    pub fn shown(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let tame = |text: &str| -> String {
            let tame = |c: char| if c.is_control() { ' ' } else { c };
            text.chars().map(tame).collect()
        };
        format!(
            "{number} | {}\n{margin} | {}{}",
            tame(&self.excerpt),
            " ".repeat(self.column - 1),
            "^".repeat(self.width)
        )
    }
}

/// The start of the character that an offset is in.
fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.what
        )
    }
}
