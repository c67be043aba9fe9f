//! Edits of other programs' files that can be taken back from the files themselves.
//!
//! What is added stands between two marks; what is taken out stays where it was, behind a
//! third. `strip(edited) == original` for every text that holds no such marks, and it takes out
//! our own lines alone if the file was edited meanwhile. All of it are comments to pip, uv,
//! systemd and shells alike.

const BEGINS: &str = "# >>> wheelmark setup >>>";
const ENDS: &str = "# <<< wheelmark setup <<<";
const TAKEN_OUT: &str = "# wheelmark setup took out: ";

/// Lines between our marks.
pub(super) fn block(lines: &[String]) -> String {
    let mut text = format!("{BEGINS}\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(ENDS);
    text.push('\n');
    text
}

/// The text with the lines of these numbers taken out.
pub(super) fn without(text: &str, lines: &[usize]) -> String {
    text.split_inclusive('\n')
        .enumerate()
        .map(|(number, line)| {
            if lines.contains(&number) {
                format!("{TAKEN_OUT}{line}")
            } else {
                line.to_owned()
            }
        })
        .collect()
}

/// A mark without the other one. What stands below it may be anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{BEGINS}` stands there without a `{ENDS}` after it")]
pub(in crate::commands) struct Unended;

/// The text without our blocks, and with what was taken out put back.
pub(in crate::commands) fn strip(text: &str) -> Result<String, Unended> {
    let mut ours = false;
    let mut stripped = String::new();
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            BEGINS if ours => return Err(Unended),
            BEGINS => ours = true,
            ENDS if ours => ours = false,
            _ if ours => {}
            _ => stripped.push_str(line.strip_prefix(TAKEN_OUT).unwrap_or(line)),
        }
    }
    if ours { Err(Unended) } else { Ok(stripped) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_undone_byte_for_byte() {
        for text in ["", "a", "a\n", "a\r\nb\n\n  c", "# a comment\n[x]\ny = 1\n"] {
            let edited = block(&["ours".to_owned()]) + &without(text, &[0, 2]);
            assert_eq!(strip(&edited).as_deref(), Ok(text));
            assert_eq!(strip(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_lines_of_others_stay() {
        let edited = without("old = 1\nkept = 2\n", &[0]);
        let edited = format!("theirs\n{}{edited}more\n", block(&["ours".to_owned()]));
        assert_eq!(
            strip(&edited).as_deref(),
            Ok("theirs\nold = 1\nkept = 2\nmore\n")
        );
    }

    #[test]
    fn without_its_end_a_block_is_not_guessed_at() {
        let whole = block(&["ours".to_owned()]);
        let open = whole.replace(&format!("{ENDS}\n"), "");
        for text in [format!("{open}theirs\n"), format!("{open}theirs\n{whole}")] {
            assert_eq!(strip(&text), Err(Unended), "{text}");
        }
        let end = format!("theirs\n{ENDS}\n");
        assert_eq!(strip(&end).as_deref(), Ok(end.as_str()));
    }
}
