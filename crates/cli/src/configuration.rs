//! `wheelmark.toml`: the system's, and the user's beside it.
//!
//! The system's file is a floor. Its rules come first, its `strict = true` stays, and where it
//! lists the hosts of `tunnel`, the user's list can only leave some of them out. What their policies
//! ask for has to hold, whatever the other one asks for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use serde::de::IgnoredAny;
use wheelmark_client::{IndexUrls, MapRule, RuleOrigin, demand_guarded, read_guarded};
use wheelmark_provenance::policy::{Mistake, PolicyFile};

use crate::context::Context;
use crate::logging::WithHint as _;

/// The file's name, in the system's directory and in the user's.
pub(crate) const FILE: &str = "wheelmark.toml";

/// What the two files say together.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// Whether every file's own signed entry is checked as well as its page.
    pub(crate) strict: bool,
    /// Hosts that are let through unverified where requests are tunnelled.
    pub(crate) tunnel: BTreeSet<String>,
    /// Whether `--unsafely-disable-package-verification` is there at all. Either file can take
    /// it away, and none can turn it on: that takes the flag itself.
    pub(crate) allow_unsafe: bool,
    /// Files with the trusted roots of Sigstores besides the public one. Where the system's file
    /// lists any, the user's can only leave some of them out: a root decides who anybody can be.
    pub(crate) sigstore_roots: Vec<PathBuf>,
    /// Files and folders with OpenPGP certificates, the system's and the user's: which of them count,
    /// a policy says by their fingerprints.
    pub(crate) openpgp_certificates: Vec<PathBuf>,
    /// What is asked of files: the system's policy and the user's, where there are any.
    pub(crate) policies: Vec<PolicyFile>,
    system_rules: Vec<MapRule>,
    user_rules: Vec<MapRule>,
}

impl Configuration {
    /// Reads the files that are there.
    pub(crate) fn load(context: &Context) -> anyhow::Result<Self> {
        let system = context.system.join(FILE);
        let system = if system.exists() {
            demand_guarded(&context.system, &context.system_owners)
                .and_then(|()| read_guarded(&system, &context.system_owners))
                .hint("it must be root's, and writable by root alone")
                .and_then(|text| parse(&text, &system))?
        } else {
            Written::default()
        };
        let user = read(&context.configuration.join(FILE))?;
        Ok(Self::joined(system, user))
    }

    fn joined(system: Written, user: Written) -> Self {
        let tunnel = match (system.tunnel, user.tunnel) {
            (Some(allowed), Some(wanted)) => {
                for host in wanted.difference(&allowed) {
                    tracing::warn!(%host, "the system's configuration allows no tunnel to this host");
                }
                wanted.intersection(&allowed).cloned().collect()
            }
            (allowed, wanted) => allowed.or(wanted).unwrap_or_default(),
        };
        Self {
            strict: system.strict.unwrap_or(false) || user.strict.unwrap_or(false),
            tunnel,
            allow_unsafe: system.allow_unsafe.unwrap_or(true) && user.allow_unsafe.unwrap_or(true),
            sigstore_roots: match (system.sigstore_roots, user.sigstore_roots) {
                (Some(allowed), Some(wanted)) => allowed
                    .into_iter()
                    .filter(|root| wanted.contains(root))
                    .collect(),
                (allowed, wanted) => allowed.or(wanted).unwrap_or_default(),
            },
            openpgp_certificates: [system.openpgp_certificates, user.openpgp_certificates].concat(),
            policies: system.policy.into_iter().chain(user.policy).collect(),
            system_rules: system.rules,
            user_rules: user.rules,
        }
    }

    /// The map: the system's rules, then the user's.
    pub(crate) fn rules(&self) -> Vec<MapRule> {
        [&self.system_rules[..], &self.user_rules[..]].concat()
    }

    /// The system's rules alone, which no option of a command undoes.
    pub(crate) fn system_rules(&self) -> &[MapRule] {
        &self.system_rules
    }
}

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct Written {
    strict: Option<bool>,
    tunnel: Option<BTreeSet<String>>,
    allow_unsafe: Option<bool>,
    rules: Vec<MapRule>,
    sigstore_roots: Option<Vec<PathBuf>>,
    openpgp_certificates: Vec<PathBuf>,
    policy: Option<PolicyFile>,
}

/// The keys at the top of the file that say nothing of what is asked of files.
pub(crate) const OTHER_KEYS: [&str; 6] = [
    "strict",
    "tunnel",
    "allow-unsafe",
    "sigstore-roots",
    "openpgp-certificates",
    "map",
];

/// The file's form. A key that is not known is an error: it may be a misspelt safeguard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Form {
    strict: Option<bool>,
    tunnel: Option<BTreeSet<String>>,
    allow_unsafe: Option<bool>,
    sigstore_roots: Option<Vec<PathBuf>>,
    #[serde(default)]
    openpgp_certificates: Vec<PathBuf>,
    #[serde(default)]
    map: Vec<RuleForm>,
    #[serde(default, rename = "everything")]
    _everything: IgnoredAny,
    #[serde(default, rename = "for")]
    _for: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    projects: Vec<String>,
    indexes: Vec<String>,
    #[serde(default = "one")]
    threshold: usize,
    #[serde(default = "yes")]
    terminating: bool,
}

fn one() -> usize {
    1
}

/// A project that its home does not have is looked for elsewhere only where that is written.
fn yes() -> bool {
    true
}

/// Reads a file; one that is not there says nothing.
fn read(path: &Path) -> anyhow::Result<Written> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Written::default()),
        Err(e) => Err(e).with_context(|| format!("could not read {}", path.display())),
    }
}

/// What is asked of files, out of a text.
pub(crate) fn policy_of(text: &str, path: &Path) -> Result<PolicyFile, Vec<Mistake>> {
    PolicyFile::parse(text, &path.display().to_string(), &OTHER_KEYS)
}

/// Every mistake with its line, in one message.
pub(crate) fn not_understood(mistakes: &[Mistake], path: &Path) -> anyhow::Error {
    let each: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("{mistake}\n{}", mistake.shown()))
        .collect();
    anyhow!("{}", each.join("\n")).context(format!("{} cannot be understood", path.display()))
}

pub(crate) fn parse(text: &str, path: &Path) -> anyhow::Result<Written> {
    let policy = policy_of(text, path)
        .map_err(|mistakes| not_understood(&mistakes, path))
        .hint("docs/policy.md and docs/several-indexes.md show whole files")?;
    let form: Form = toml::from_str(text)
        .with_context(|| format!("{} cannot be understood", path.display()))
        .hint("`[[map]]` begins a rule; docs/several-indexes.md shows a whole file")?;
    let rules = form.map.into_iter().enumerate().map(|(i, rule)| {
        let origin = RuleOrigin {
            file: PathBuf::from(path),
            number: i + 1,
        };
        let indexes = rule.indexes.iter().map(|url| {
            let urls = IndexUrls::new(url, None, None);
            let urls = urls.with_context(|| format!("{origin}: an index cannot be used"))?;
            Ok(urls.simple().clone())
        });
        Ok(MapRule {
            projects: rule.projects,
            indexes: indexes.collect::<anyhow::Result<_>>()?,
            threshold: rule.threshold,
            terminating: rule.terminating,
            origin,
        })
    });
    // As every path in a file of settings: beside the file, unless it is a whole one.
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = |paths: Vec<PathBuf>| paths.into_iter().map(|path| folder.join(path)).collect();
    Ok(Written {
        strict: form.strict,
        tunnel: form.tunnel,
        allow_unsafe: form.allow_unsafe,
        rules: rules.collect::<anyhow::Result<_>>()?,
        sigstore_roots: form.sigstore_roots.map(beside),
        openpgp_certificates: beside(form.openpgp_certificates),
        policy: Some(policy).filter(|policy| !policy.rules().is_empty()),
    })
}

#[cfg(test)]
mod tests;
