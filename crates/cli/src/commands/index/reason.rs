//! What people are told about a yank or a state, as it can be signed.

use wheelmark_repository::MAX_REASON_LEN;

/// Takes a reason that stands in what is signed as it was typed: the index would cut a longer one,
/// and make one line of several.
pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.len() > MAX_REASON_LEN {
        let length = text.len();
        return Err(format!(
            "it has {length} bytes, and {MAX_REASON_LEN} are signed at most"
        ));
    }
    if text.contains(char::is_control) {
        return Err("it is one line, without control characters".to_owned());
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_changed_is_refused() {
        assert_eq!(reason(" eats the disk "), Ok("eats the disk".to_owned()));
        assert!(reason(&"x".repeat(MAX_REASON_LEN)).is_ok());
        assert!(reason(&"x".repeat(MAX_REASON_LEN + 1)).is_err());
        assert!(reason("two\nlines").is_err());
        assert!(reason("\u{1b}[2J").is_err());
    }
}
