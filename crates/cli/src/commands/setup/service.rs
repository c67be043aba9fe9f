//! The systemd unit that keeps the proxy running.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

pub(super) const UNIT: &str = "wheelmark.service";

/// Whose service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    User,
    System,
}

/// What the unit runs.
pub(super) struct Service<'a> {
    pub(super) scope: Scope,
    pub(super) command: &'a [String],
    pub(super) home: &'a Path,
    /// The user's own certificates, where they are not the system's.
    pub(super) roots: Option<&'a Path>,
}

/// What both units have in common. A user's service manager cannot make mount namespaces
/// everywhere; these need none.
const HARDENED: &str = "NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
";

/// What a service of the system's own manager can have besides.
const HARDENED_SYSTEM: &str = "DynamicUser=yes
StateDirectory=wheelmark
RuntimeDirectory=wheelmark
RuntimeDirectoryPreserve=yes
CapabilityBoundingSet=
DevicePolicy=closed
PrivateDevices=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
";

impl Service<'_> {
    /// The unit file.
    pub(super) fn unit(&self) -> String {
        // In a command a dollar begins a variable.
        let command: Vec<String> = self
            .command
            .iter()
            .map(|word| escaped(&word.replace('$', "$$")))
            .collect();
        let certificates = match self.roots {
            Some(roots) => format!(
                "Environment={}\n",
                escaped(&format!("SSL_CERT_FILE={}", roots.display()))
            ),
            // Our own bundle is no place to look for the index's real certificate.
            None => "UnsetEnvironment=SSL_CERT_FILE SSL_CERT_DIR\n".to_owned(),
        };
        let (umask, hardened, wanted_by) = match self.scope {
            Scope::User => ("0077", "", "default.target"),
            Scope::System => ("0022", HARDENED_SYSTEM, "multi-user.target"),
        };
        format!(
            "# Made by `wheelmark setup`; `wheelmark setup --undo` removes it.
[Unit]
Description=Verifying proxy for pip and uv
After=network.target

[Service]
Type=exec
ExecStart={}
Environment={}
{certificates}Restart=always
RestartSec=2
UMask={umask}
{HARDENED}{hardened}
[Install]
WantedBy={wanted_by}
",
            command.join(" "),
            escaped(&format!("WHEELMARK_HOME={}", self.home.display())),
        )
    }
}

/// One word as unit files take it.
fn escaped(word: &str) -> String {
    let word = word
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:=,%$".contains(c);
    if word.chars().all(plain) {
        word
    } else {
        format!("\"{word}\"")
    }
}

/// Where the unit goes.
pub(super) fn unit_path(scope: Scope, user_configuration: &Path) -> PathBuf {
    match scope {
        Scope::User => user_configuration.join("systemd/user").join(UNIT),
        Scope::System => Path::new("/etc/systemd/system").join(UNIT),
    }
}

fn systemctl(scope: Scope, words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("systemctl");
    if scope == Scope::User {
        command.arg("--user");
    }
    let done = command
        .args(words)
        .output()
        .context("could not run systemctl")?;
    if !done.status.success() {
        bail!(
            "systemctl {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(())
}

/// Whether the service manager can be asked.
pub(super) fn reachable(scope: Scope) -> anyhow::Result<()> {
    systemctl(scope, &["show-environment"])
}

/// Starts the service, now and from now on; one that runs is started anew.
pub(super) fn start(scope: Scope) -> anyhow::Result<()> {
    systemctl(scope, &["daemon-reload"])?;
    systemctl(scope, &["enable", UNIT])?;
    systemctl(scope, &["restart", UNIT])
}

/// Stops the service for good.
pub(super) fn stop(scope: Scope) -> anyhow::Result<()> {
    systemctl(scope, &["disable", "--now", UNIT])
}

/// Lets the manager forget a unit whose file is gone.
pub(super) fn forget(scope: Scope) -> anyhow::Result<()> {
    systemctl(scope, &["daemon-reload"])
}
