//! Where everything is that setup touches: for one user, or for the whole machine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;

use super::service::{STATE, Scope, unit_path};
use crate::context::Context;

/// The paths of one setup.
pub(super) struct Places {
    pub(super) scope: Scope,
    /// The proxy's `WHEELMARK_HOME`.
    pub(super) home: PathBuf,
    configuration: PathBuf,
    user: PathBuf,
    system: PathBuf,
}

impl Places {
    pub(super) fn new(scope: Scope, context: &Context) -> anyhow::Result<Self> {
        let base = etcetera::choose_base_strategy().context("no home directory")?;
        let home = match scope {
            Scope::User => context.home.clone(),
            Scope::System => PathBuf::from("/var/lib").join(STATE),
        };
        Ok(Self {
            scope,
            home,
            configuration: base.config_dir(),
            user: base.home_dir().to_owned(),
            system: context.system.clone(),
        })
    }

    pub(super) fn record(&self) -> PathBuf {
        match self.scope {
            Scope::User => self.home.join("setup.json"),
            Scope::System => self.system.join("setup.json"),
        }
    }

    /// The root that a service of the system begins to trust the index with.
    pub(super) fn root(&self) -> Option<PathBuf> {
        (self.scope == Scope::System).then(|| self.system.join("setup-root.json"))
    }

    /// The variables that lead the service to the same trust and configuration.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        const NAMES: [&str; 4] = [
            "WHEELMARK_HOME",
            "WHEELMARK_SYSTEM_DIR",
            "XDG_DATA_HOME",
            "XDG_CONFIG_HOME",
        ];
        match self.scope {
            Scope::System => vec![("WHEELMARK_HOME", self.home.display().to_string())],
            Scope::User => {
                let set = |name| Some((name, std::env::var(name).ok()?));
                NAMES.into_iter().filter_map(set).collect()
            }
        }
    }

    /// A directory of setup's own, that goes with it.
    pub(super) fn room(&self) -> PathBuf {
        match self.scope {
            Scope::User => self.home.join("setup"),
            Scope::System => PathBuf::from("/run").join(STATE),
        }
    }

    /// Everything that is setup's own, and goes with it.
    pub(super) fn own(&self) -> Vec<PathBuf> {
        match self.scope {
            Scope::User => vec![self.room()],
            // Where the service manager puts the state of a user that exists for a while only.
            Scope::System => vec![
                self.room(),
                self.home.clone(),
                PathBuf::from("/var/lib/private").join(STATE),
            ],
        }
    }

    /// What installers are to believe, where an index is reached by https, and other programs
    /// of the same shell beside them.
    pub(super) fn bundle(&self) -> PathBuf {
        self.room().join("certificates.pem")
    }

    /// What installers are to believe that can be told so alone.
    pub(super) fn authority(&self) -> PathBuf {
        self.room().join("authority.pem")
    }

    pub(super) fn pip(&self) -> PathBuf {
        match self.scope {
            Scope::User => self.configuration.join("pip/pip.conf"),
            Scope::System => PathBuf::from("/etc/pip.conf"),
        }
    }

    /// The other files that pip reads, as far as they can be known: every Python has one more.
    pub(super) fn other_pip_files(&self) -> Vec<PathBuf> {
        let xdg = std::env::var("XDG_CONFIG_DIRS").unwrap_or_default();
        let xdg = if xdg.is_empty() { "/etc/xdg" } else { &xdg };
        let mut files: Vec<PathBuf> = xdg
            .split(':')
            .filter(|directory| !directory.is_empty())
            .map(|directory| Path::new(directory).join("pip/pip.conf"))
            .collect();
        files.extend(["/etc/pip.conf", "/usr/pip.conf", "/usr/local/pip.conf"].map(PathBuf::from));
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            let prefix = std::env::var_os(name).filter(|prefix| !prefix.is_empty());
            files.extend(prefix.map(|prefix| Path::new(&prefix).join("pip.conf")));
        }
        files.push(self.user.join(".pip/pip.conf"));
        files.push(self.configuration.join("pip/pip.conf"));
        let own = self.pip();
        files.retain(|file| *file != own);
        files
    }

    pub(super) fn uv(&self) -> PathBuf {
        match self.scope {
            Scope::User => self.configuration.join("uv/uv.toml"),
            Scope::System => PathBuf::from("/etc/uv/uv.toml"),
        }
    }

    pub(super) fn unit(&self) -> PathBuf {
        unit_path(self.scope, &self.configuration)
    }

    /// Where installers keep what they downloaded: a cache from before could hold what nobody
    /// verified. `identity` is that of the index and of the trust in it.
    pub(super) fn cache(&self, tool: &str, identity: &str) -> PathBuf {
        match self.scope {
            Scope::User => self.room().join("caches").join(identity).join(tool),
            // Every user's own: pip knows what `~` is.
            Scope::System => Path::new("~/.cache/wheelmark").join(identity).join(tool),
        }
    }

    /// The files that new shells read, as many of them as there are. Of the three that bash
    /// looks for at login it reads the first; there has to be one.
    pub(super) fn shells(&self) -> Vec<PathBuf> {
        match self.scope {
            Scope::System => vec![PathBuf::from("/etc/profile.d/wheelmark.sh")],
            Scope::User => {
                let at_login = [".bash_profile", ".bash_login", ".profile"];
                let others = [".bashrc", ".zshrc", ".zprofile"];
                let there = |name: &&str| self.user.join(name).exists();
                let mut names: Vec<&str> = at_login.into_iter().filter(there).collect();
                if names.is_empty() {
                    names.push(".profile");
                }
                names.extend(others.into_iter().filter(there));
                names.into_iter().map(|name| self.user.join(name)).collect()
            }
        }
    }

    /// What the session itself is told.
    pub(super) fn environment_d(&self) -> Option<PathBuf> {
        (self.scope == Scope::User)
            .then(|| self.configuration.join("environment.d/60-wheelmark.conf"))
    }
}
