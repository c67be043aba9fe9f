//! How an index is run: `index.toml` in its data directory, the environment, the command line.
//!
//! ```text
//!   --listen ADDR  ▶  WHEELMARK_INDEX_LISTEN  ▶  listen = "…" in index.toml  ▶  the default
//! ```
//!
//! Every setting has one name, in each of the three places. All of them are texts until
//! [`Settings`] is made of them, so that each is read by one function, wherever it comes from, and
//! a mistake is told with its place.

mod file;
mod keys;
mod rates;
pub(crate) mod sizes;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use jiff::SignedDuration;
use url::Url;
use wheelmark_repository::{Keep, LAST_SNAPSHOTS, USUAL_RECOVERY_DELAY};
use wheelmark_server::{FAILED_ATTEMPTS, Issuers, Leeway, Network, Rate, UPLOADS};

use crate::commands::mirror::duration;
use crate::logging::WithHint as _;
use crate::shipping::Destination;

pub(crate) use self::file::template;
pub(crate) use self::keys::{KEYS, Key};

/// The file's name, in the data directory.
pub(crate) const FILE: &str = "index.toml";

/// How the names of variables begin.
const PREFIX: &str = "WHEELMARK_INDEX_";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object each.
    Json,
}

/// How an index is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) external_url: Option<Url>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) max_connections: usize,
    pub(crate) max_file_size: u64,
    pub(crate) max_project_size: Option<u64>,
    pub(crate) max_staged_size: u64,
    pub(crate) lifted_rules: Leeway,
    pub(crate) rate_failed_attempts: Rate,
    pub(crate) rate_uploads: Rate,
    pub(crate) publish_timeout: Duration,
    pub(crate) oidc_issuers: Issuers,
    pub(crate) oidc_audience: Option<String>,
    pub(crate) sigstore_roots: Vec<String>,
    pub(crate) signing_log: Option<Destination>,
    pub(crate) claims: bool,
    pub(crate) split_claims_above: u64,
    pub(crate) recovery_delay: SignedDuration,
    pub(crate) collecting: Option<Collecting>,
    pub(crate) log_format: LogFormat,
}

/// How often old states are taken away, and what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Collecting {
    pub(crate) every: SignedDuration,
    pub(crate) keep: Keep,
}

impl Settings {
    /// Below which URL pages link to provenance: where people reach the index, if that is by https
    /// (PEP 740 wants such links).
    pub(crate) fn provenance_below(&self) -> Option<&str> {
        let url = self.external_url.as_ref()?;
        (url.scheme() == "https").then(|| url.as_str().trim_end_matches('/'))
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody said anything.
    Default,
    /// The file, with the number of the line.
    File { path: PathBuf, line: usize },
    /// A variable.
    Environment(String),
    /// An option.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A setting as it was written somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// Something that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) source: Source,
    pub(crate) what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.what)
    }
}

/// Every setting, with where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    values: Vec<(&'static Key, Written)>,
    /// Mistakes that were seen on the way, in order.
    mistakes: Vec<Mistake>,
}

/// The options of the command line that stand above file and environment. Their help is that of
/// the file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings (also in index.toml and the environment)")]
pub(crate) struct Flags {
    /// The address to serve on; port 0 takes a free one [default: 127.0.0.1:8458]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// The URL under which a proxy in front shows the index
    #[arg(long, value_name = "URL")]
    external_url: Option<String>,

    /// The certificate for TLS, in PEM, with those that lead to its authority behind it
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,

    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,

    /// The proxies in front whose X-Forwarded-For counts: addresses or networks, with commas
    #[arg(long, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,

    /// Answer /metrics on this address alone
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<String>,

    /// Most connections at a time [default: 4096]
    #[arg(long, value_name = "N")]
    max_connections: Option<String>,

    /// Longest file that is taken, such as 500MB [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    max_file_size: Option<String>,

    /// Most that the files of one project may have together [default: no limit]
    #[arg(long, value_name = "SIZE")]
    max_project_size: Option<String>,

    /// Most that releases may have together while they wait for signatures [default: 16GiB]
    #[arg(long, value_name = "SIZE")]
    max_staged_size: Option<String>,

    /// Rules for new files that do not hold here: older-file-names, standard-library-names,
    /// similar-names, unknown-classifiers
    #[arg(long, value_name = "RULES")]
    lifted_rules: Option<String>,

    /// How often an address or a name may fail to authenticate [default: 30, then 10/min]
    #[arg(long, value_name = "RATE")]
    rate_failed_attempts: Option<String>,

    /// How many files a user may upload [default: 1000, then 60/min]
    #[arg(long, value_name = "RATE")]
    rate_uploads: Option<String>,

    /// How long an upload waits for its snapshot before it is told to ask again [default: 30s]
    #[arg(long, value_name = "TIME")]
    publish_timeout: Option<String>,

    /// Whose identity tokens are exchanged for upload tokens: github, gitlab=URL, oidc=URL and so on
    /// [default: the public services]
    #[arg(long, value_name = "ISSUERS")]
    oidc_issuers: Option<String>,

    /// Whom identity tokens have to be made for [default: external-url without its scheme]
    #[arg(long, value_name = "NAME")]
    oidc_audience: Option<String>,

    /// Whose certificates attestations are believed by: public, or files of trusted roots
    /// [default: public]
    #[arg(long, value_name = "ROOTS")]
    sigstore_roots: Option<String>,

    /// Where the signing log is sent as it is written: file:/PATH, syslog, or a URL
    #[arg(long, value_name = "PLACE")]
    signing_log: Option<String>,

    /// How log lines are written: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Flags {
    /// Those of the process that signs, which serves nothing.
    pub(crate) fn of_snapshotter(
        signing_log: Option<String>,
        external_url: Option<String>,
    ) -> Self {
        Self {
            signing_log,
            external_url,
            ..Self::default()
        }
    }

    /// Where people reach the index, if an option says it.
    pub(crate) fn external_url(&self) -> Option<&str> {
        self.external_url.as_deref()
    }

    /// Where the signing log is sent, if an option says it.
    pub(crate) fn signing_log(&self) -> Option<&str> {
        self.signing_log.as_deref()
    }

    fn get(&self, key: &str) -> Option<&String> {
        match key {
            "listen" => self.listen.as_ref(),
            "external-url" => self.external_url.as_ref(),
            "tls-cert" => self.tls_cert.as_ref(),
            "tls-key" => self.tls_key.as_ref(),
            "trusted-proxies" => self.trusted_proxies.as_ref(),
            "metrics-listen" => self.metrics_listen.as_ref(),
            "max-connections" => self.max_connections.as_ref(),
            "max-file-size" => self.max_file_size.as_ref(),
            "max-project-size" => self.max_project_size.as_ref(),
            "max-staged-size" => self.max_staged_size.as_ref(),
            "lifted-rules" => self.lifted_rules.as_ref(),
            "rate-failed-attempts" => self.rate_failed_attempts.as_ref(),
            "rate-uploads" => self.rate_uploads.as_ref(),
            "publish-timeout" => self.publish_timeout.as_ref(),
            "oidc-issuers" => self.oidc_issuers.as_ref(),
            "oidc-audience" => self.oidc_audience.as_ref(),
            "sigstore-roots" => self.sigstore_roots.as_ref(),
            "signing-log" => self.signing_log.as_ref(),
            "log-format" => self.log_format.as_ref(),
            _ => None,
        }
    }
}

impl Effective {
    /// Reads the settings of the index in `data`. What is wrong is kept, and told by
    /// [`Effective::settings`].
    pub(crate) fn read(data: &Path, flags: &Flags) -> anyhow::Result<Self> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let value = value.to_string_lossy().into_owned();
            name.starts_with(PREFIX).then_some((name, value))
        });
        let file = file::read(&data.join(FILE))?;
        Ok(Self::of(file, variables.collect(), flags))
    }

    fn of(file: file::File, variables: Vec<(String, String)>, flags: &Flags) -> Self {
        let file::File {
            mut values,
            mut mistakes,
        } = file;
        let mut from_environment = Vec::new();
        for (name, text) in variables {
            // Empty is as good as not set, as everywhere in shells.
            if text.is_empty() {
                continue;
            }
            let key = name[PREFIX.len()..].to_lowercase().replace('_', "-");
            match keys::find(&key) {
                Some(key) => from_environment.push((
                    key,
                    Written {
                        text,
                        source: Source::Environment(name),
                    },
                )),
                None => mistakes.push(Mistake {
                    source: Source::Environment(name),
                    what: keys::unknown(&key, variable),
                }),
            }
        }
        let mut effective = Vec::new();
        for key in KEYS {
            let flag = flags.get(key.name).map(|text| Written {
                text: text.clone(),
                source: Source::Flag(format!("--{}", key.name)),
            });
            let variable = || {
                let found = from_environment
                    .iter()
                    .find(|(found, _)| found.name == key.name);
                found.map(|(_, written)| written.clone())
            };
            let written = flag
                .or_else(variable)
                .or_else(|| values.remove(key.name))
                .unwrap_or_else(|| Written {
                    text: key.default.to_owned(),
                    source: Source::Default,
                });
            effective.push((key, written));
        }
        Self {
            values: effective,
            mistakes,
        }
    }

    /// Each setting, as it was written.
    pub(crate) fn values(&self) -> &[(&'static Key, Written)] {
        &self.values
    }

    fn written(&self, name: &str) -> &Written {
        let found = self.values.iter().find(|(key, _)| key.name == name);
        &found.expect("every key of the table is there").1
    }

    /// The format of log lines, as far as it can be known before anything else is.
    pub(crate) fn log_format(&self) -> LogFormat {
        keys::log_format(&self.written("log-format").text).unwrap_or_default()
    }

    /// What the settings say, or everything that is wrong with them.
    pub(crate) fn check(&self) -> Result<Settings, Vec<Mistake>> {
        let mut reading = Reading {
            effective: self,
            mistakes: self.mistakes.clone(),
        };
        let settings = Settings {
            listen: reading.needed("listen", keys::address, ([127, 0, 0, 1], 8458).into()),
            external_url: reading.optional("external-url", keys::external_url),
            tls_cert: reading.path("tls-cert"),
            tls_key: reading.path("tls-key"),
            trusted_proxies: reading.needed("trusted-proxies", keys::networks, Vec::new()),
            metrics_listen: reading.optional("metrics-listen", keys::address),
            max_connections: reading.needed("max-connections", keys::connections, 0),
            max_file_size: reading.needed("max-file-size", sizes::size, 0),
            max_project_size: reading.optional("max-project-size", sizes::size),
            max_staged_size: reading.needed("max-staged-size", sizes::size, 0),
            lifted_rules: reading.needed("lifted-rules", keys::leeway, Leeway::default()),
            rate_failed_attempts: reading.needed(
                "rate-failed-attempts",
                rates::rate,
                FAILED_ATTEMPTS,
            ),
            rate_uploads: reading.needed("rate-uploads", rates::rate, UPLOADS),
            publish_timeout: reading.needed("publish-timeout", sizes::time, Duration::ZERO),
            oidc_issuers: reading.needed("oidc-issuers", keys::issuers, Issuers::default()),
            oidc_audience: reading.optional("oidc-audience", keys::audience),
            sigstore_roots: reading.needed("sigstore-roots", keys::texts, Vec::new()),
            signing_log: reading.optional("signing-log", Destination::parse),
            claims: reading.needed("claims", keys::switch, false),
            split_claims_above: reading.needed("split-claims-above", sizes::size, 0),
            recovery_delay: reading.needed(
                "recovery-delay",
                keys::recovery_delay,
                USUAL_RECOVERY_DELAY,
            ),
            collecting: reading.collecting(),
            log_format: reading.needed("log-format", keys::log_format, LogFormat::Text),
        };
        let alone = match (&settings.tls_cert, &settings.tls_key) {
            (Some(_), None) => Some(("tls-cert", "tls-key")),
            (None, Some(_)) => Some(("tls-key", "tls-cert")),
            _ => None,
        };
        if let Some((given, missing)) = alone {
            reading.mistakes.push(Mistake {
                source: self.written(given).source.clone(),
                what: format!("`{given}` is set, and TLS needs `{missing}` as well"),
            });
        }
        if settings
            .metrics_listen
            .is_some_and(|metrics| metrics == settings.listen && metrics.port() != 0)
        {
            reading.mistakes.push(Mistake {
                source: self.written("metrics-listen").source.clone(),
                what: "`metrics-listen` is the address of `listen`: leave it out to answer /metrics there".to_owned(),
            });
        }
        if reading.mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(reading.mistakes)
        }
    }

    /// What the settings say.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with them.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        self.check().or_else(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
            Err(anyhow!("the settings are wrong\n{}", lines.join("\n")))
                .hint("`wheelmark index config show` prints every setting and where it comes from")
        })
    }
}

/// Makes values of texts, and gathers what is wrong.
struct Reading<'a> {
    effective: &'a Effective,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    fn needed<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>, fallback: T) -> T {
        let written = self.effective.written(name);
        read(&written.text).unwrap_or_else(|what| {
            self.mistakes.push(Mistake {
                source: written.source.clone(),
                what: format!("`{name}`: {what}"),
            });
            fallback
        })
    }

    /// One that is not set where its text is empty.
    fn optional<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        let written = self.effective.written(name);
        if written.text.is_empty() {
            return None;
        }
        match read(&written.text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.mistakes.push(Mistake {
                    source: written.source.clone(),
                    what: format!("`{name}`: {what}"),
                });
                None
            }
        }
    }

    /// What is collected by the clock, if anything is.
    fn collecting(&mut self) -> Option<Collecting> {
        let every = self.optional("gc-every", keys::interval);
        let snapshots = self.needed("gc-snapshots", keys::snapshots, LAST_SNAPSHOTS);
        let hour = SignedDuration::from_hours(1);
        let time = self.needed("gc-older-than", duration, hour).unsigned_abs();
        let removed = self.optional("gc-removed-after", duration);
        match Keep::new(snapshots, time, removed.map(SignedDuration::unsigned_abs)) {
            Ok(keep) => every.map(|every| Collecting { every, keep }),
            Err(error) => {
                let name = "gc-older-than";
                self.mistakes.push(Mistake {
                    source: self.effective.written(name).source.clone(),
                    what: format!("`{name}` or `gc-removed-after`: {error}"),
                });
                None
            }
        }
    }

    /// A path: in the file, it starts from the file's directory.
    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let Written { text, source } = self.effective.written(name);
        match source {
            _ if text.is_empty() => None,
            Source::File { path, .. } => Some(path.parent()?.join(text)),
            _ => Some(PathBuf::from(text)),
        }
    }
}

/// The variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests;
