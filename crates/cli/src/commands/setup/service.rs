//! The systemd unit that keeps the proxy running.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

pub(super) const UNIT: &str = "wheelmark.service";

/// The name of the directories of a system's service, which an index that is served on the same
/// machine must not have as well.
pub(super) const STATE: &str = "wheelmark-proxy";

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
    /// What has to have run before, once; that it did already is no failure.
    pub(super) before: Option<&'a [String]>,
    /// Variables that say where trust and configuration are.
    pub(super) environment: &'a [(&'static str, String)],
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
StateDirectory=wheelmark-proxy
RuntimeDirectory=wheelmark-proxy
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
        let before = self.before.map_or_else(String::new, |words| {
            format!("ExecStartPre=-{}\n", command_line(words))
        });
        let environment: String = self
            .environment
            .iter()
            .map(|(name, value)| format!("Environment={}\n", escaped(&format!("{name}={value}"))))
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
{before}ExecStart={}
{environment}{certificates}Restart=always
RestartSec=2
UMask={umask}
{HARDENED}{hardened}
[Install]
WantedBy={wanted_by}
",
            command_line(self.command),
        )
    }
}

fn command_line(words: &[String]) -> String {
    // In a command a dollar begins a variable.
    let words: Vec<String> = words
        .iter()
        .map(|word| escaped(&word.replace('$', "$$")))
        .collect();
    words.join(" ")
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
