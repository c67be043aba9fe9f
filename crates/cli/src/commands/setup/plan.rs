//! What a setup writes where, worked out before anything is touched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use wheelmark_client::installer::{PATIENCE, RETRIES};
use wheelmark_client::{Entrance, TrustedIndex};

use super::places::Places;
use super::record::{self, Conflict, Fate, FileRecord, Record, Wanted};
use super::service::{Scope, Service};
use super::{conflicts_text, outweighing_text, pip, shell, uv};
use crate::logging::WithHint as _;

/// Everything that is to be done.
pub(super) struct Plan {
    index: String,
    listen: SocketAddr,
    wanted: Vec<Wanted>,
    conflicts: Vec<Conflict>,
    /// Lines of files that setup leaves alone.
    outweighing: Vec<Conflict>,
    own: Vec<PathBuf>,
    /// The proxy's command line.
    command: Vec<String>,
    service: bool,
    scope: Scope,
    /// Whether installers need our certificates.
    certificates: bool,
    roots: Option<PathBuf>,
    /// Files of shells that set our variable again.
    overruled: Vec<PathBuf>,
}

impl Plan {
    pub(super) fn make(
        places: &Places,
        trusted: &TrustedIndex,
        entrance: &Entrance,
        listen: SocketAddr,
        service: bool,
        earlier: Option<&Record>,
    ) -> anyhow::Result<Self> {
        let simple = trusted.urls().simple();
        let certificates = simple.scheme() == "https";
        let roots = own_roots(places, earlier)?;
        let mut command = vec![
            own_path()?,
            "proxy".to_owned(),
            "--listen".to_owned(),
            listen.to_string(),
            "--index".to_owned(),
            simple.to_string(),
            "--certificates".to_owned(),
            text_of(&places.bundle())?,
            "--authority".to_owned(),
            text_of(&places.authority())?,
        ];
        if let Some(roots) = &roots {
            command.extend(["--roots".to_owned(), text_of(roots)?]);
        }
        let mut plan = Self {
            index: simple.to_string(),
            listen,
            wanted: Vec::new(),
            conflicts: Vec::new(),
            outweighing: Vec::new(),
            own: Vec::new(),
            command,
            service,
            scope: places.scope,
            certificates,
            roots: roots.clone(),
            overruled: Vec::new(),
        };
        plan.own = record::claim(places.own(), earlier)?;
        let (Entrance::Secret(identity) | Entrance::Identity(identity)) = entrance;
        plan.pip(places, identity, earlier)?;
        plan.uv(places, identity, earlier)?;
        plan.shells(places, identity, earlier)?;
        if service {
            let before = plan.trust_of_the_system(places, trusted, earlier)?;
            let unit = Service {
                scope: places.scope,
                command: &plan.command,
                before: before.as_deref(),
                environment: &places.environment(),
                roots: roots.as_deref(),
            };
            let text = unit.unit();
            plan.want(places.unit(), earlier, |_| Ok((text, Vec::new())))?;
        }
        Ok(plan)
    }

    /// A service of the system has a trust store of its own. It begins with the root that is
    /// trusted here, which stands in a file that only root can write.
    fn trust_of_the_system(
        &mut self,
        places: &Places,
        trusted: &TrustedIndex,
        earlier: Option<&Record>,
    ) -> anyhow::Result<Option<Vec<String>>> {
        let Some(file) = places.root() else {
            return Ok(None);
        };
        let stored = trusted.directory().join("root.json");
        let root =
            record::read(&stored)?.with_context(|| format!("{} is missing", stored.display()))?;
        let urls = trusted.urls();
        let command = [
            &own_path()?,
            "trust",
            "add",
            urls.simple().as_str(),
            "--metadata-url",
            urls.metadata().as_str(),
            "--targets-url",
            urls.targets().as_str(),
            "--root",
            &text_of(&file)?,
        ];
        let command = command.map(str::to_owned).to_vec();
        self.want(file, earlier, |_| Ok((root, Vec::new())))?;
        Ok(Some(command))
    }

    fn pip(
        &mut self,
        places: &Places,
        identity: &str,
        earlier: Option<&Record>,
    ) -> anyhow::Result<()> {
        let mut settings = vec![
            ("index-url", self.index.clone()),
            ("proxy", self.proxy_url()),
            ("cache-dir", text_of(&places.cache("pip", identity))?),
            ("timeout", PATIENCE.to_owned()),
            ("retries", RETRIES.to_owned()),
        ];
        if self.certificates {
            // Not the bundle: past the proxy nothing is to be believed.
            settings.push(("cert", text_of(&places.authority())?));
        }
        // The user's file outweighs what others say of the same; the system's does not.
        let outweighed = match places.scope {
            Scope::User => &settings[..],
            Scope::System => &[],
        };
        for file in places.other_pip_files() {
            // One that cannot be read is none that pip of the same person could read.
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines = pip::outweighing(&text, outweighed);
            if !lines.is_empty() {
                self.outweighing.push(Conflict::new(file, &lines));
            }
        }
        self.want(places.pip(), earlier, |text| Ok(pip::edit(text, &settings)))
    }

    fn uv(
        &mut self,
        places: &Places,
        identity: &str,
        earlier: Option<&Record>,
    ) -> anyhow::Result<()> {
        let mut settings = vec![
            format!(
                "index = [{{ url = {}, default = true }}]",
                quoted(&self.index)
            ),
            format!("http-proxy = {}", quoted(&self.proxy_url())),
            format!("https-proxy = {}", quoted(&self.proxy_url())),
            "no-proxy = []".to_owned(),
        ];
        // uv takes no `~`: for all users the variable in their shells does it.
        if places.scope == Scope::User {
            let cache = text_of(&places.cache("uv", identity))?;
            settings.push(format!("cache-dir = {}", quoted(&cache)));
        }
        self.want(places.uv(), earlier, |text| Ok(uv::edit(text, &settings)?))
    }

    fn shells(
        &mut self,
        places: &Places,
        identity: &str,
        earlier: Option<&Record>,
    ) -> anyhow::Result<()> {
        let bundle = self.certificates.then(|| places.bundle());
        let cache = (places.scope == Scope::System).then(|| {
            let cache = places.cache("uv", identity);
            cache.to_string_lossy().replacen('~', "$HOME", 1)
        });
        if bundle.is_none() && cache.is_none() {
            return Ok(());
        }
        for file in places.shells() {
            let mut again = false;
            let path = file.clone();
            self.want(file, earlier, |text| {
                again = bundle.is_some() && shell::sets_certificates(text);
                let edited = shell::edit(text, bundle.as_deref(), cache.as_deref());
                Ok((edited, Vec::new()))
            })?;
            if again {
                self.overruled.push(path);
            }
        }
        if let (Some(file), Some(bundle)) = (places.environment_d(), &bundle) {
            let text = shell::environment_d(bundle);
            self.want(file, earlier, |_| Ok((text, Vec::new())))?;
        }
        Ok(())
    }

    /// Plans a file; `edit` gets what was there before any setup.
    fn want(
        &mut self,
        path: PathBuf,
        earlier: Option<&Record>,
        edit: impl FnOnce(&str) -> anyhow::Result<(String, Vec<String>)>,
    ) -> anyhow::Result<()> {
        let current = record::read(&path)?;
        let original = match earlier {
            Some(earlier) => earlier.original(&path, current.as_deref())?,
            None => current.clone(),
        };
        let (text, lines) = edit(original.as_deref().unwrap_or_default())
            .with_context(|| format!("{} cannot be edited", path.display()))
            .hint("make the file plainer, or move what it says about indexes elsewhere, and run setup again; nothing was changed")?;
        if !lines.is_empty() {
            self.conflicts.push(Conflict::new(path.clone(), &lines));
        }
        self.wanted.push(Wanted {
            path,
            current,
            original,
            text,
        });
        Ok(())
    }

    fn proxy_url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Whether anything would change.
    pub(super) fn changes(&self, earlier: Option<&Record>) -> bool {
        let mut wanted = self.wanted.iter();
        earlier.is_none_or(|earlier| !self.given_up(earlier).is_empty())
            || wanted.any(|wanted| wanted.fate() != Fate::Unchanged)
    }

    /// The files of an earlier setup that this one has no use for.
    fn given_up<'a>(&self, earlier: &'a Record) -> Vec<&'a FileRecord> {
        let wanted = |file: &&FileRecord| self.wanted.iter().any(|w| w.path == file.path);
        earlier.files.iter().filter(|file| !wanted(file)).collect()
    }

    /// Writes the record, then the files.
    pub(super) fn carry_out(
        &self,
        places: &Places,
        earlier: Option<&Record>,
    ) -> anyhow::Result<()> {
        let mut record = Record::new(self.index.clone(), self.listen.to_string(), &self.wanted);
        record.own = self.own.clone();
        record.service = self.service;
        record.roots = self.roots.clone();
        record.conflicts = self.conflicts.clone();
        if let Some(earlier) = earlier {
            record.inherit(earlier);
        }
        // While the earlier record still names them.
        for file in earlier.map_or_else(Vec::new, |earlier| self.given_up(earlier)) {
            file.undo()?;
        }
        record.write(&places.record())?;
        for wanted in &self.wanted {
            if wanted.fate() != Fate::Unchanged {
                record::write_readable(&wanted.path, &wanted.text)?;
            }
        }
        Ok(())
    }

    fn shell_command(&self) -> String {
        let words: Vec<String> = self
            .command
            .iter()
            .map(|word| shell::quoted(Path::new(word)))
            .collect();
        words.join(" ")
    }

    /// For scripts; with the files' texts where nothing is done.
    pub(super) fn json(&self, dry_run: bool) -> Value {
        let files: Vec<Value> = self
            .wanted
            .iter()
            .map(|wanted| {
                let text = dry_run.then_some(&wanted.text);
                json!({ "path": wanted.path, "fate": wanted.fate(), "text": text })
            })
            .collect();
        json!({
            "index": self.index,
            "proxy": self.proxy_url(),
            "command": self.command,
            "service": self.service,
            "files": files,
            "conflicts": self.conflicts,
            "not_verified": self.outweighing,
            "certificates_overruled": self.overruled,
        })
    }

    pub(super) fn text(&self, changed: bool, dry_run: bool) -> String {
        let mut text = String::new();
        for wanted in &self.wanted {
            text.push_str(&line(&wanted.path, wanted.fate()));
        }
        text.push_str(&conflicts_text(&self.conflicts));
        text.push_str(&outweighing_text(&self.outweighing));
        for file in &self.overruled {
            text.push_str(&format!(
                "{} sets SSL_CERT_FILE again after ours: uv fails in such shells until it does not\n",
                file.display()
            ));
        }
        if dry_run {
            text.push_str("That is what would be done. Nothing was changed.\n");
            return text;
        }
        if !changed {
            text.push_str("It was set up like this already.\n");
        }
        if !self.service {
            text.push_str(&format!(
                "
No service was installed. pip and uv fail until this runs:
  {}
",
                self.shell_command()
            ));
        } else if self.scope == Scope::User {
            text.push_str(
                "
The service runs while you are logged in. To have it run without you, too:
  loginctl enable-linger
",
            );
        }
        text.push_str(&format!(
            "
pip and uv install from {}, verified{}.
To take everything back: wheelmark setup --undo{}
",
            self.index,
            if self.certificates {
                ", in every new shell"
            } else {
                ""
            },
            if self.scope == Scope::System {
                " --system"
            } else {
                ""
            }
        ));
        text
    }
}

/// A line of the list of what was done.
pub(super) fn line(path: &Path, fate: Fate) -> String {
    let word = match fate {
        Fate::Made => "made",
        Fate::Edited => "edited",
        Fate::Unchanged => "unchanged",
        Fate::Restored => "restored",
        Fate::Cleaned => "cleaned",
        Fate::Removed => "removed",
    };
    format!("{word:<10} {}\n", path.display())
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is not text", path.display()))?;
    Ok(text.to_owned())
}

/// This program, where it will be found again.
fn own_path() -> anyhow::Result<String> {
    let own = std::env::current_exe().context("this program cannot be found")?;
    text_of(&own)
}

/// The user's own certificates, where they name some that are not ours; else those that they
/// named before they were told of ours.
fn own_roots(places: &Places, earlier: Option<&Record>) -> anyhow::Result<Option<PathBuf>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let own = named.filter(|named| *named != places.bundle() && named.is_file());
    let Some(roots) = own.or_else(|| earlier?.roots.clone()) else {
        return Ok(None);
    };
    // Now, and not when the service cannot start for it.
    std::fs::read_to_string(&roots)
        .with_context(|| {
            format!(
                "{}, which SSL_CERT_FILE names, could not be read",
                roots.display()
            )
        })
        .hint("the proxy needs those certificates to reach the index; nothing was changed")?;
    Ok(Some(roots))
}
