//! What a person reads on standard error: log lines and the final error.

use std::io::Write as _;

use owo_colors::{OwoColorize as _, Stream::Stderr};
use tracing_subscriber::EnvFilter;
use wheelmark_client::{FetchError, SignIn};
use wheelmark_tuf::without_controls;

use crate::settings::LogFormat;

/// Sets the log up: warnings only, more with `-v`, or as `WHEELMARK_LOG` says.
pub(crate) fn start(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => "warn",
        1 => {
            "wheelmark=info,wheelmark_server=info,wheelmark_repository=info,wheelmark_client=info,wheelmark_mirror=info,warn"
        }
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("WHEELMARK_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(supports_color())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).with_target(true).init(),
    }
}

fn supports_color() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// An error with the next thing to do.
#[derive(Debug)]
pub(crate) struct Hinted {
    pub(crate) hint: String,
}

impl std::fmt::Display for Hinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hint: {}", self.hint)
    }
}

/// Prints an error, its causes and its hint. Standard error that is gone is no reason to fail again.
pub(crate) fn report(error: &anyhow::Error) {
    let text = render(error);
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

fn render(error: &anyhow::Error) -> String {
    let mut lines = vec![];
    let mut hints = vec![];
    for cause in error.chain() {
        let text = plain(&cause.to_string());
        match text.strip_prefix("hint: ") {
            Some(hint) => hints.push(hint.to_owned()),
            None => lines.push(text),
        }
    }
    // A context of type `Hinted` shows through `Display` as a chain link of its own.
    let mut shown = String::new();
    for (i, line) in lines.iter().enumerate() {
        // Libraries that paste their source in would say it twice.
        if i > 0 && shown.contains(line.as_str()) {
            continue;
        }
        let head = if i == 0 {
            format!("{}", "error:".if_supports_color(Stderr, |t| t.red()))
        } else {
            "  because:".to_owned()
        };
        shown.push_str(&format!("{head} {line}\n"));
    }
    hints.extend(about_a_token(error));
    for hint in hints {
        let head = format!("{}", "hint:".if_supports_color(Stderr, |t| t.cyan()));
        shown.push_str(&format!("{head} {hint}\n"));
    }
    shown
}

/// What to do where an index wants a token, whatever was asked of it.
fn about_a_token(error: &anyhow::Error) -> Option<String> {
    let of_a_token = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(FetchError::Unauthorised { sign_in, .. }) => Some(*sign_in),
        _ => None,
    };
    let get = match error.chain().find_map(of_a_token)? {
        SignIn::Sent => {
            "the token has expired or was revoked: get a new one from whoever runs the index"
        }
        SignIn::Unknown => "the index is not open to everybody: get a token from whoever runs it",
        SignIn::Withheld => return Some("use the index's https URL".to_owned()),
    };
    Some(format!("{get}, then: wheelmark login URL"))
}

/// A text that a terminal shows and does not obey. Its further lines are indented, so that
/// none of them looks like one of ours.
fn plain(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(without_controls).collect();
    lines.join("\n    ")
}

/// Gives an error its hint.
pub(crate) trait WithHint<T> {
    /// Adds what the person can do next.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| error.into().context(Hinted { hint: hint.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_in_an_error() {
        let error = anyhow::anyhow!("\u{1b}]0;x\u{7} \u{9b}1m\rgone\nhint: pip install evil")
            .context("it failed")
            .context(Hinted {
                hint: "look\u{1b}[2J".to_owned(),
            });
        let shown = render(&error);
        let obeyed = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(obeyed), "{shown:?}");
        assert!(
            shown.contains("\n    hint: pip install evil\n"),
            "{shown:?}"
        );
        assert!(shown.ends_with("\nhint: look\u{fffd}[2J\n"), "{shown:?}");
    }
}
