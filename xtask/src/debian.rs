//! Debian packages that some end-to-end tests use, installed where that is allowed.

use std::path::Path;
use std::process::{Command, Stdio};

/// A program and the Debian package that brings it.
struct Wanted {
    program: &'static str,
    package: &'static str,
}

/// What some tests drive besides the pinned Python tools. A test whose program is missing
/// skips itself, and says so.
const WANTED: [Wanted; 1] = [
    // Shows the index another time of day, for renewals and expiry.
    Wanted {
        program: "faketime",
        package: "faketime",
    },
];

/// Installs what is missing, as root with apt-get at hand, and otherwise only says what
/// the tests will have to skip. Never an error: the tests that need nothing still run.
///
/// Returns one line for each program that is still missing.
pub(crate) fn install() -> Vec<String> {
    let missing: Vec<&Wanted> = WANTED
        .iter()
        .filter(|wanted| !on_path(wanted.program))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    if may_install() {
        let packages: Vec<&str> = missing.iter().map(|wanted| wanted.package).collect();
        eprintln!("installing Debian packages: {}", packages.join(" "));
        if !apt_get(&["install"], &packages) {
            // The lists may be absent (a container image) or too old.
            let _updated = apt_get(&["update"], &[]);
            let _installed = apt_get(&["install"], &packages);
        }
    }
    missing
        .into_iter()
        .filter(|wanted| !on_path(wanted.program))
        .map(|wanted| {
            format!(
                "skipped: needs {} (apt-get install {})",
                wanted.program, wanted.package
            )
        })
        .collect()
}

fn may_install() -> bool {
    on_path("apt-get") && user_id().is_some_and(|id| id == 0)
}

fn user_id() -> Option<u32> {
    let output = Command::new("id")
        .arg("-u")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn apt_get(verb: &[&str], packages: &[&str]) -> bool {
    Command::new("apt-get")
        .args([
            "--quiet=2",
            "--yes",
            "--no-install-recommends",
            "-o",
            "DPkg::Lock::Timeout=60",
        ])
        .args(verb)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
    })
}
