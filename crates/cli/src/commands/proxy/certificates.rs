//! The file of certificates that installers believe while the proxy runs, kept up to date.
//!
//! It holds the system's certificates and that of the proxy's authority. The next authority
//! is added long before the first one ends, so that whoever read the file in between believes
//! both. No private key is ever written.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
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

/// The certificates to begin with: the named file's, or the system's.
pub(super) fn roots(named: Option<&Path>) -> anyhow::Result<String> {
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

/// The file, and what stands in it besides our own.
pub(super) struct Certificates {
    file: PathBuf,
    roots: String,
}

impl Certificates {
    pub(super) fn new(file: PathBuf, roots: String) -> Self {
        Self { file, roots }
    }

    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, now: &Authority, next: Option<&Authority>) -> anyhow::Result<()> {
        const READABLE: u32 = 0o644;
        let mut bundle = now.bundle(&self.roots);
        if let Some(next) = next {
            bundle = next.bundle(&bundle);
        }
        let written = (|| -> std::io::Result<()> {
            let directory = self.file.parent().unwrap_or(Path::new("."));
            if !directory.exists() {
                use std::os::unix::fs::DirBuilderExt as _;
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)?;
            }
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(bundle.as_bytes())?;
            // There is no secret in it, and under a service of the system others read it.
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(READABLE))?;
            file.persist(&self.file).map_err(|error| error.error)?;
            Ok(())
        })();
        written
            .with_context(|| format!("{} could not be written", self.file.display()))
            .hint("--certificates names a file in a directory of your own")
    }

    /// Makes the next authority in time, for as long as the proxy runs.
    pub(super) async fn renew(&self, connect: &Connect, context: &Context) {
        let mut next: Option<Authority> = None;
        loop {
            tokio::time::sleep(CHECKED_EVERY).await;
            let now = context.clock.now();
            let current = connect.authority();
            if next.is_none() && current.is_due(now) {
                match self.make_next(connect, &current, now) {
                    Ok(made) => next = Some(made),
                    Err(error) => tracing::warn!(
                        error = format!("{error:#}"),
                        "the next certificates could not be made"
                    ),
                }
            }
            if now.duration_since(current.ends()) >= -BEFORE_END
                && let Some(next) = next.take()
            {
                tracing::info!(ends = %next.ends(), "new certificates");
                connect.renew(next);
            }
        }
    }

    fn make_next(
        &self,
        connect: &Connect,
        current: &Authority,
        now: jiff::Timestamp,
    ) -> anyhow::Result<Authority> {
        let next = connect.next_authority(now)?;
        self.write(current, Some(&next))?;
        Ok(next)
    }
}
