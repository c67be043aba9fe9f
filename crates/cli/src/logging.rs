//! What a person reads on standard error: log lines and the final error.

use std::io::Write as _;

use owo_colors::{OwoColorize as _, Stream::Stderr};
use tracing_subscriber::EnvFilter;

/// Sets the log up: warnings only, more with `-v`, or as `WHEELMARK_LOG` says.
pub(crate) fn start(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => {
            "wheelmark=info,wheelmark_server=info,wheelmark_repository=info,wheelmark_client=info,warn"
        }
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("WHEELMARK_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(supports_color())
        .with_writer(std::io::stderr)
        .init();
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
    let mut out = std::io::stderr().lock();
    let mut lines = vec![];
    let mut hints = vec![];
    for cause in error.chain() {
        let text = cause.to_string();
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
    for hint in hints {
        let head = format!("{}", "hint:".if_supports_color(Stderr, |t| t.cyan()));
        shown.push_str(&format!("{head} {hint}\n"));
    }
    drop(out.write_all(shown.as_bytes()));
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
