//! `--unsafely-disable-package-verification`: the command as if wheelmark were not there.
//!
//! One long flag on one command's line, and nothing else, turns verification off: there is no
//! short form, no environment variable and no setting for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use owo_colors::{OwoColorize as _, Stream::Stderr};
use wheelmark_client::installer::Environment;
use wheelmark_client::{OpenRoute, Report};
use wheelmark_tuf::without_controls;

use super::{child, write_report};
use crate::configuration::{Configuration, FILE};
use crate::context::Context;
use crate::logging::WithHint as _;

const FLAG: &str = "--unsafely-disable-package-verification";

/// Refuses where the configuration forbids the flag. One that cannot be read is no permission.
pub(super) fn allowed(context: &Context) -> anyhow::Result<()> {
    if Configuration::load(context)?.allow_unsafe {
        return Ok(());
    }
    Err(anyhow!("{FLAG} is not allowed here")).hint(format!(
        "`allow-unsafe = false` says so, in {} or in {}",
        context.system.join(FILE).display(),
        context.configuration.join(FILE).display()
    ))
}

/// Runs the command without the proxy, and says so before and after.
pub(super) async fn run(command: &[OsString], report_to: Option<File>) -> anyhow::Result<ExitCode> {
    let report = Report {
        verified: false,
        configured_index: None,
        files: Vec::new(),
        bytes: 0,
        refused: Vec::new(),
        held_back: Vec::new(),
        warnings: Vec::new(),
        recoveries: Vec::new(),
        routes_not_closed: vec![OpenRoute {
            argument: FLAG.to_owned(),
            why: "the whole command runs without the proxy, and nothing is verified",
        }],
    };
    write_report(report_to, &report)?;
    let name = shown(command);
    warn(&format!(
        "PACKAGE VERIFICATION IS DISABLED ({FLAG})
  Nothing that `{name}` downloads is verified: not who signed it, not whether it is the
  latest, not which index answers. Whoever controls the index, a mirror or the network
  decides what runs on this machine."
    ));
    let untouched = Environment {
        set: Vec::new(),
        remove: Vec::new(),
    };
    let ended = child::run(command, &untouched).await;
    warn(&format!(
        "NOTHING WAS VERIFIED ({FLAG})
  Whatever `{name}` downloaded or installed came without any check by wheelmark.
  To have it verified, run it again without {FLAG}, into a fresh environment."
    ));
    Ok(ExitCode::from(ended?))
}

fn warn(text: &str) {
    let text = format!("wheelmark: WARNING: {text}\n");
    let text = text.if_supports_color(Stderr, |t| t.red()).to_string();
    // Standard error that is gone is no reason to fail.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

fn shown(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    without_controls(&words.join(" "))
}
