//! Where the workspace is, where its build goes, and how a command is run in it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// What every build of the checks selects. It is the same everywhere, so that one set of
/// compiled dependencies serves clippy, the tests and the binary that they drive: a
/// narrower selection has other features switched on, and compiles them anew.
pub(crate) const EVERYTHING: [&str; 3] = ["--workspace", "--all-targets", "--all-features"];

/// The checkout that this program was built from.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows of `CARGO_TARGET_DIR` and of configuration files.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let output = Command::new(cargo())
            .args([
                "metadata",
                "--no-deps",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(&manifest)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "cargo metadata failed");
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
        let folder = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Self {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
        })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that builds and everything derived go to.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A cargo command that runs at the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        self.command(cargo())
    }

    /// Builds everything, with the binary that tests and suites drive, and returns where that is.
    pub(crate) fn build(&self) -> anyhow::Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--locked"]).args(EVERYTHING);
        must(&mut cargo, "cargo build")?;
        let name = format!("debug/wheelmark{}", std::env::consts::EXE_SUFFIX);
        Ok(self.target.join(name))
    }

    /// A command that runs at the root of the workspace.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command to its end and fails when it fails; `what` names it in the message.
pub(crate) fn must(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {what} ({})", command.get_program().display()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}
