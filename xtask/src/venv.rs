//! The Python environments that tests and suites run in, made under the target directory.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::workspace::{Workspace, must};

/// The pinned tools, the real ones that the tests drive.
const REQUIREMENTS: &str = "tests/e2e/requirements.txt";

/// bandersnatch. Like everything foreign it needs versions of common libraries that the tests'
/// own environment cannot have, and has one beside it, where the tests look for it.
pub(crate) const BANDERSNATCH: Foreign = Foreign {
    name: "venv-bandersnatch",
    requirements: "tests/e2e/requirements-bandersnatch.txt",
};
/// devpi-server, and pypiserver, which gets along with it.
pub(crate) const DEVPI: Foreign = Foreign {
    name: "venv-devpi",
    requirements: "tests/e2e/requirements-devpi.txt",
};

/// PyPI's own verifier of attestations.
pub(crate) const ATTESTATIONS: Foreign = Foreign {
    name: "venv-attestations",
    requirements: "tests/e2e/requirements-attestations.txt",
};

/// An environment of programs that the tests drive and do not import.
pub(crate) struct Foreign {
    name: &'static str,
    requirements: &'static str,
}

/// A virtual environment that holds exactly what a file names.
pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The environment of the end-to-end tests.
    pub(crate) fn ensure(workspace: &Workspace) -> anyhow::Result<Self> {
        Self::of_requirements(workspace, "venv", REQUIREMENTS)
    }

    /// One of the environments of servers that are not ours.
    pub(crate) fn foreign(workspace: &Workspace, of: &Foreign) -> anyhow::Result<Self> {
        Self::of_requirements(workspace, of.name, of.requirements)
    }

    fn of_requirements(workspace: &Workspace, name: &str, file: &str) -> anyhow::Result<Self> {
        let file = workspace.root().join(file);
        let install = [OsStr::new("--requirement"), file.as_os_str()];
        Self::made_from(workspace, name, &file, &install)
    }

    /// The environment of a Python project that is not ours: what its `pyproject.toml` asks for.
    pub(crate) fn of_project(
        workspace: &Workspace,
        name: &str,
        project: &Path,
    ) -> anyhow::Result<Self> {
        let file = project.join("pyproject.toml");
        Self::made_from(workspace, name, &file, &[project.as_os_str()])
    }

    /// Makes the environment, unless the one that is there was made from the same
    /// requirements by the same Python.
    fn made_from(
        workspace: &Workspace,
        name: &str,
        file: &Path,
        install: &[&OsStr],
    ) -> anyhow::Result<Self> {
        let venv = Self {
            folder: workspace.target().join(name),
        };
        let requirements = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let system = SystemPython::find()?;
        let wanted = format!("# {}\n{requirements}", system.version);
        let stamp = venv.folder.join("made-from.txt");
        if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted)
            && venv.python().is_file()
        {
            return Ok(venv);
        }
        eprintln!("making a Python environment in {}", venv.folder.display());
        venv.make(workspace, &system, install)?;
        // Last, so that an interrupted run leaves no stamp and the next one starts anew.
        std::fs::write(&stamp, wanted)
            .with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(venv)
    }

    fn make(
        &self,
        workspace: &Workspace,
        system: &SystemPython,
        install: &[&OsStr],
    ) -> anyhow::Result<()> {
        must(
            workspace
                .command(&system.program)
                .args(["-m", "venv", "--clear"])
                .arg(&self.folder),
            "python3 -m venv",
        )?;
        must(
            workspace
                .command(self.python())
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args(install),
            "pip install of the pinned tools",
        )
    }

    /// The environment's interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        self.programs().join("python")
    }

    /// The folder of the environment's programs.
    fn programs(&self) -> PathBuf {
        self.folder
            .join(if cfg!(windows) { "Scripts" } else { "bin" })
    }

    /// A search path on which the environment's programs come first.
    pub(crate) fn search_path(&self) -> anyhow::Result<OsString> {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.programs()).chain(std::env::split_paths(&inherited));
        std::env::join_paths(folders).context("PATH cannot be extended")
    }
}

/// The Python that environments are made from: `PYTHON` names another than `python3`.
struct SystemPython {
    program: OsString,
    version: String,
}

impl SystemPython {
    /// Fails, and says what to install, when there is none that can make environments.
    fn find() -> anyhow::Result<Self> {
        let program = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let output = Command::new(&program)
            .args([
                "-c",
                "import sys, venv, ensurepip; print(sys.executable, sys.version)",
            ])
            .stderr(Stdio::piped())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) => bail!(
                "cannot run {} ({error}): install Python 3.10 or later, or name one in PYTHON",
                program.display()
            ),
        };
        ensure!(
            output.status.success(),
            "{} cannot make virtual environments: install its venv and ensurepip modules \
             (Debian and Ubuntu: apt-get install python3-venv)\n{}",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        let version = String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Ok(Self { program, version })
    }
}
