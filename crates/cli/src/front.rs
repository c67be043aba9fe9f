//! The web side of an index as its settings have it: addresses, TLS, limits, and the two that
//! are served.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rand::TryRng as _;
use rand::rngs::SysRng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use wheelmark_provenance::{MAX_TRUSTED_ROOT_LEN, TrustedRoots};
use wheelmark_server::{
    App, FETCH_TIME, Metrics, Secrets, Serving, Tls, TrustedProxies, TrustedPublishing,
};
use wheelmark_tuf::{Clock, Sha256};

use crate::context::Context;
use crate::logging::WithHint as _;
use crate::public_root::public_roots;
use crate::settings::Settings;

/// How often it is looked whether the certificate's files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Open files that are not connections and not what these read: the database, the log, uploads.
const OTHER_FILES: u64 = 192;

/// Files that a connection may have open: itself, and what is sent.
const FILES_EACH: u64 = 2;

/// More open files than this are not asked for: some systems allow a billion.
const ENOUGH_FILES: u64 = 65_536;

/// How many days before the end of a certificate it is warned of.
const CERTIFICATE_REMINDER: jiff::SignedDuration = jiff::SignedDuration::from_hours(14 * 24);

/// The word for Sigstore's public instance among the settings.
const PUBLIC: &str = "public";

/// How much of the first root's fingerprint stands for an index in identity tokens: enough that
/// nobody finds another root that begins so.
const AUDIENCE_DIGITS: usize = 32;

/// The operating system's random source.
struct SystemSecrets;

impl Secrets for SystemSecrets {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        SysRng.try_fill_bytes(bytes).map_err(std::io::Error::other)
    }
}

/// The addresses and the certificate, ready to be served on. Nothing else has been made yet.
pub(crate) struct Front {
    listener: TcpListener,
    metrics: Option<TcpListener>,
    tls: Option<Tls>,
    settings: Settings,
}

impl Front {
    /// Takes the addresses and reads the certificate, so that what cannot be is told before
    /// anything is made.
    pub(crate) async fn open(settings: Settings) -> anyhow::Result<Self> {
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::load(cert, key).hint(
                "tls-cert wants the certificate and its chain, tls-key its key, both in PEM; `wheelmark index config check` tries them",
            )?),
            _ => None,
        };
        let listener = listen(settings.listen, "listen").await?;
        let metrics = match settings.metrics_listen {
            Some(address) => Some(listen(address, "metrics-listen").await?),
            None => None,
        };
        Ok(Self {
            listener,
            metrics,
            tls,
            settings,
        })
    }

    /// The origin that people on this machine reach the index by, or the one that they are told.
    pub(crate) fn base(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.settings.external_url {
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        let address = self.listener.local_addr()?;
        // An address that means "all interfaces" is no address to go to.
        let host = if address.ip().is_unspecified() {
            "127.0.0.1".to_owned()
        } else if address.is_ipv6() {
            format!("[{}]", address.ip())
        } else {
            address.ip().to_string()
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{host}:{}", address.port()))
    }

    /// Gives an app what the settings say.
    pub(crate) fn furnish(&self, app: &mut App) -> anyhow::Result<()> {
        let settings = &self.settings;
        app.run = SysRng.try_next_u64()?;
        app.limits.file_len = settings.max_file_size;
        app.limits.project_len = settings.max_project_size;
        app.limits.staged_len = settings.max_staged_size;
        app.leeway = settings.lifted_rules;
        app.limits.failed_attempts = settings.rate_failed_attempts;
        app.limits.uploads = settings.rate_uploads;
        app.limits.publish_timeout = settings.publish_timeout;
        app.limits.recovery_delay = settings.recovery_delay.unsigned_abs();
        app.proxies = TrustedProxies(settings.trusted_proxies.clone());
        app.metrics_are_public = self.metrics.is_none();
        app.speaks_tls = self.tls.is_some();
        app.external_url = match &settings.external_url {
            Some(_) => Some(self.base()?),
            None => None,
        };
        Ok(())
    }

    /// How identity tokens of CI services are exchanged, by an index whose first root has this
    /// fingerprint; none if no issuer's are.
    pub(crate) fn trusted_publishing(&self, first_root: &Sha256) -> Option<TrustedPublishing> {
        let settings = &self.settings;
        let named = settings.oidc_audience.clone();
        // A token that was made for one index must not be good at another.
        let audience = named.or_else(|| {
            let url = settings.external_url.as_ref()?.as_str();
            let place = url.split_once("://").map_or(url, |(_, place)| place);
            Some(place.trim_end_matches('/').to_owned())
        });
        let audience = audience.unwrap_or_else(|| {
            let root = first_root.to_string();
            format!("wheelmark-{}", &root[..AUDIENCE_DIGITS])
        });
        (!settings.oidc_issuers.0.is_empty()).then(|| TrustedPublishing {
            issuers: settings.oidc_issuers.clone(),
            audience,
            secrets: Arc::new(SystemSecrets),
            patience: FETCH_TIME,
        })
    }

    /// Whose certificates attestations are believed by; files of trusted roots start from `data`.
    pub(crate) fn sigstore_roots(
        &self,
        data: &Path,
        context: &Context,
    ) -> anyhow::Result<TrustedRoots> {
        let named = &self.settings.sigstore_roots;
        let mut roots = match named.iter().any(|name| name == PUBLIC) {
            true => public_roots(context)?,
            false => TrustedRoots::empty(),
        };
        for name in named.iter().filter(|name| *name != PUBLIC) {
            let path = data.join(name);
            let told = || format!("{} cannot be read", path.display());
            let length = std::fs::metadata(&path).with_context(told)?.len();
            anyhow::ensure!(
                length <= MAX_TRUSTED_ROOT_LEN as u64,
                "{} is too long for a trusted root",
                path.display()
            );
            let json = std::fs::read(&path).with_context(told)?;
            roots = roots.with(name, &json).hint(
                "`sigstore-roots` names files as Sigstore's trusted_root.json; `public` is the public one",
            )?;
        }
        Ok(roots)
    }

    /// Serves the app until `shutdown` is ready; requests under way are finished then.
    pub(crate) async fn serve(self, app: App, shutdown: impl Future<Output = ()> + Send) {
        let serving = Serving {
            connections: connections(self.settings.max_connections),
            metrics: Arc::clone(&app.metrics),
            tls: self.tls.clone(),
        };
        let (stop, _) = watch::channel(());
        let stopped = |mut stopped: watch::Receiver<()>| async move {
            // That the sender has gone means the same.
            drop(stopped.changed().await);
        };
        let certificate = self.tls.map(|tls| {
            let files = [&self.settings.tls_cert, &self.settings.tls_key];
            let files = files.into_iter().flatten().cloned().collect();
            let (metrics, clock) = (Arc::clone(&app.metrics), Arc::clone(&app.clock));
            tokio::spawn(keep_certificate(tls, files, metrics, clock))
        });
        let metrics = self.metrics.map(|listener| {
            let serving = Serving {
                connections: 64,
                ..Serving::default()
            };
            let router = wheelmark_server::metrics_router(app.clone());
            let stopped = stopped(stop.subscribe());
            tokio::spawn(wheelmark_server::serve_as(
                listener, router, serving, stopped,
            ))
        });
        let index = wheelmark_server::index(app);
        wheelmark_server::serve_as(self.listener, index, serving, shutdown).await;
        drop(stop);
        if let Some(metrics) = metrics {
            drop(metrics.await);
        }
        if let Some(certificate) = certificate {
            certificate.abort();
        }
    }
}

async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
        .hint(format!("another program may use this port: choose one with --{setting}, or a free one with --{setting} 127.0.0.1:0"))
}

/// How many connections there can be: as many as are wanted, or as the system's limit on open
/// files allows, which is raised first.
fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let asked = hard
        .min(ENOUGH_FILES)
        .max(limit.current.unwrap_or(u64::MAX).min(ENOUGH_FILES));
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(asked),
            maximum: limit.maximum,
        },
    );
    let files = match raised {
        Ok(()) => asked,
        Err(_) => limit.current.unwrap_or(ENOUGH_FILES),
    };
    let possible = (files.saturating_sub(OTHER_FILES) / FILES_EACH).max(16);
    let possible = usize::try_from(possible).unwrap_or(usize::MAX);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            files,
            "fewer connections than wanted: the system allows too few open files (ulimit -n, LimitNOFILE=)"
        );
    }
    wanted.min(possible)
}

/// Reads the certificate again when its files change, and on SIGHUP.
async fn keep_certificate(
    tls: Tls,
    files: Vec<PathBuf>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be listened for");
            None
        }
    };
    remind(&tls, &metrics, clock.as_ref());
    let mut seen = stamps(&files);
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => {
                    hangup.recv().await;
                }
                None => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            () = asked => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let now = stamps(&files);
        if !asked && now == seen {
            continue;
        }
        seen = now;
        match tls.reload() {
            Ok(changed) => {
                if changed {
                    tracing::warn!(expires = %tls.expires(), "there is a new certificate");
                }
                remind(&tls, &metrics, clock.as_ref());
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the certificate could not be read again; the one of before stays"
            ),
        }
    }
}

/// What tells one state of a file from another; none where it is not there.
type Stamp = Option<(SystemTime, u64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

fn remind(tls: &Tls, metrics: &Metrics, clock: &dyn Clock) {
    let expires = tls.expires();
    metrics.certificate_expires(expires.as_second());
    let left = expires.duration_since(clock.now());
    if left.is_negative() || left.is_zero() {
        tracing::error!(%expires, "the certificate has expired: whoever connects will refuse it");
    } else if left < CERTIFICATE_REMINDER {
        tracing::warn!(%expires, "the certificate expires soon");
    }
}
