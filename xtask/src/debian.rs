//! Debian packages that some end-to-end tests use, installed where that is allowed.

use std::path::Path;
use std::process::{Command, Stdio};

/// A program and the Debian package that brings it. A test whose program is missing skips
/// itself, and says so.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    program: &'static str,
    package: &'static str,
    /// The service that the package starts. The tests want the program alone.
    service: Option<&'static str>,
}

/// Shows the index another time of day, for renewals and expiry.
pub(crate) const FAKETIME: Wanted = Wanted {
    program: "faketime",
    package: "faketime",
    service: None,
};
/// Serves trees, and stands in front of an index as a cache.
pub(crate) const NGINX: Wanted = Wanted {
    program: "nginx",
    package: "nginx-light",
    service: Some("nginx"),
};

/// Downloads source archives and verifies their authors' signatures, as Debian's packagers do.
pub(crate) const USCAN: Wanted = Wanted {
    program: "uscan",
    package: "devscripts",
    service: None,
};
/// Verifies signatures; devscripts recommends it, and needs it for that.
pub(crate) const GPGV: Wanted = Wanted {
    program: "gpgv",
    package: "gpgv",
    service: None,
};
/// Makes the keys that authors sign with.
pub(crate) const GPG: Wanted = Wanted {
    program: "gpg",
    package: "gpg",
    service: None,
};
/// Verifies signatures, too.
pub(crate) const SQV: Wanted = Wanted {
    program: "sqv",
    package: "sqv",
    service: None,
};

/// Tokens that are folders, with the library that talks to them.
pub(crate) const SOFTHSM: Wanted = Wanted {
    program: "softhsm2-util",
    package: "softhsm2",
    service: None,
};
/// Looks at tokens, and makes keys on them, as somebody other than we.
pub(crate) const PKCS11_TOOL: Wanted = Wanted {
    program: "pkcs11-tool",
    package: "opensc",
    service: None,
};
/// Holds keys, and signs with them.
pub(crate) const SSH_AGENT: Wanted = Wanted {
    program: "ssh-agent",
    package: "openssh-client",
    service: None,
};
/// GnuPG's, which does so as well.
pub(crate) const GPG_AGENT: Wanted = Wanted {
    program: "gpg-agent",
    package: "gpg-agent",
    service: None,
};

/// Installs what is missing, as root with apt-get at hand, and otherwise only says what
/// the tests will have to skip. Never an error: the tests that need nothing still run.
///
/// Returns one line for each program that is still missing.
pub(crate) fn install(wanted: &[Wanted]) -> Vec<String> {
    let absent = |wanted: &&Wanted| !installed(wanted.program);
    let missing: Vec<&Wanted> = wanted.iter().filter(absent).collect();
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
        for service in missing.iter().filter_map(|wanted| wanted.service) {
            let _stopped = quiet(Command::new("service").args([service, "stop"]));
        }
    }
    missing
        .into_iter()
        .filter(absent)
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
    quiet(
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
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Servers lie where only root's search path looks.
fn installed(program: &str) -> bool {
    on_path(program) || Path::new("/usr/sbin").join(program).is_file()
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
    })
}
