//! The files of certificates that installers believe while the proxy runs, kept up to date.
//!
//! One holds the system's certificates and that of the proxy's authority, for variables that
//! other programs read as well; the other, where it is wanted, that of the authority alone: an
//! installer that believes nothing else cannot be led past the proxy. The next authority is
//! added long before the first one ends, so that whoever read a file in between believes both.
//! No private key is ever written.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use wheelmark_client::{Authority, Connect};

use crate::context::Context;
use crate::logging::WithHint as _;

/// Where distributions keep the certificates that they trust, the usual ones first.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// How often it is looked whether an authority is about to end. A machine that slept wakes up
/// with one that has ended, and must not stay so for long.
const CHECKED_EVERY: Duration = Duration::from_secs(30);

/// How long before its end an authority makes way for the next one.
const BEFORE_END: SignedDuration = SignedDuration::from_hours(1);

/// The files, and what stands in the first besides our own.
pub(super) struct Certificates {
    bundle: PathBuf,
    /// For the authority alone.
    authority: Option<PathBuf>,
    /// The certificates to add: of this file, or the system's.
    roots: Option<PathBuf>,
    /// What those were when they were read last.
    last: String,
}

impl Certificates {
    /// Reads the certificates to begin with.
    pub(super) fn new(
        bundle: PathBuf,
        authority: Option<PathBuf>,
        roots: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let last = read_roots(roots.as_deref())?;
        Ok(Self {
            bundle,
            authority,
            roots,
            last,
        })
    }

    /// Writes the files, each whole or not at all.
    pub(super) fn write(&self, now: &Authority, next: Option<&Authority>) -> anyhow::Result<()> {
        let with = |roots: &str| {
            let text = now.bundle(roots);
            next.map_or_else(|| text.clone(), |next| next.bundle(&text))
        };
        write(&self.bundle, &with(&self.last))?;
        match &self.authority {
            Some(file) => write(file, &with("")),
            None => Ok(()),
        }
    }

    /// Makes the next authority in time, for as long as the proxy runs.
    pub(super) async fn renew(&mut self, connect: &Connect, context: &Context) {
        let mut next: Option<Authority> = None;
        loop {
            tokio::time::sleep(CHECKED_EVERY).await;
            let now = context.clock.now();
            let current = connect.authority();
            let made = || Ok(connect.next_authority(now)?);
            match self.check(&current, &mut next, made, now) {
                Ok(None) => {}
                Ok(Some(next)) => {
                    tracing::info!(ends = %next.ends(), "new certificates");
                    connect.renew(next);
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the certificates could not be renewed"
                ),
            }
        }
    }

    /// Does what is to be done by now; the authority that is to answer from now on, if it is
    /// another one.
    fn check(
        &mut self,
        current: &Authority,
        next: &mut Option<Authority>,
        make: impl FnOnce() -> anyhow::Result<Authority>,
        now: Timestamp,
    ) -> anyhow::Result<Option<Authority>> {
        // One that was made while the clock stood elsewhere is of no use.
        if next.as_ref().is_some_and(|next| next.is_due(now)) {
            *next = None;
        }
        if next.is_none() && current.is_due(now) {
            self.read_again();
            let made = make()?;
            self.write(current, Some(&made))?;
            *next = Some(made);
        } else if self.is_missing() {
            self.write(current, next.as_ref())?;
        }
        Ok(if is_over(current, now) {
            next.take()
        } else {
            None
        })
    }

    /// Certificates of others change while a proxy runs.
    fn read_again(&mut self) {
        match read_roots(self.roots.as_deref()) {
            Ok(roots) => self.last = roots,
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the certificates to begin with stay as they were"
            ),
        }
    }

    /// Whether a file is gone from a directory that is there: without one, whoever set this up
    /// has taken it back.
    fn is_missing(&self) -> bool {
        let files = std::iter::once(&self.bundle).chain(&self.authority);
        let gone = |file: &PathBuf| !file.exists() && file.parent().is_some_and(Path::exists);
        files.into_iter().any(gone)
    }
}

/// Whether another authority has to answer: this one is about to end or, by a clock that went
/// back, has not begun.
fn is_over(current: &Authority, now: Timestamp) -> bool {
    now < current.starts() || now.duration_since(current.ends()) >= -BEFORE_END
}

/// The named file's certificates, or the system's.
fn read_roots(named: Option<&Path>) -> anyhow::Result<String> {
    if let Some(file) = named {
        return std::fs::read_to_string(file)
            .with_context(|| format!("{} could not be read", file.display()));
    }
    for file in SYSTEM {
        if let Ok(text) = std::fs::read_to_string(file) {
            return Ok(text);
        }
    }
    tracing::warn!("this system's certificates were not found: name them with --roots");
    Ok(String::new())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    const READABLE: u32 = 0o644;
    let written = (|| -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        if !directory.exists() {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        // There is no secret in it, and under a service of the system others read it.
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(READABLE))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    })();
    written
        .with_context(|| format!("{} could not be written", path.display()))
        .hint("--certificates and --authority name files in a directory of your own")
}

#[cfg(test)]
mod tests;
