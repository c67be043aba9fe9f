//! Hands lines to a file, to a syslog daemon, or to a web server.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;
use url::Url;
use wheelmark_tuf::Sha256;
use zeroize::Zeroizing;

use super::Destination;
use crate::commands::trust::USER_AGENT;
use crate::logging::WithHint as _;

/// The credential with the token that is shown to a web server, in the directory that the service
/// manager names in `CREDENTIALS_DIRECTORY`.
const TOKEN_CREDENTIAL: &str = "wheelmark-signing-log-token";

/// How long a web server or a daemon is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest message for a syslog daemon, in bytes: what RFC 5424, §6.1 lets every receiver expect is
/// 2,048; common daemons take 8 KiB unless told otherwise. Of a longer line its head is sent.
const MAX_MESSAGE: usize = 8_000;

/// Facility `authpriv`, severity `notice` (RFC 5424, §6.2.1).
const PRIORITY: u8 = 10 * 8 + 5;

/// A line that is sent.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) sha256: Sha256,
    pub(super) bytes: Vec<u8>,
}

/// A way to the destination.
pub(super) enum Sender {
    File {
        path: PathBuf,
        /// Whether an earlier try has not come back: the disk of another machine may hang.
        is_busy: Arc<AtomicBool>,
    },
    Syslog(PathBuf),
    Http {
        client: reqwest::Client,
        url: Url,
        token: Option<HeaderValue>,
    },
}

impl Sender {
    pub(super) fn new(destination: Destination) -> anyhow::Result<Self> {
        Ok(match destination {
            Destination::File(path) => Self::File {
                path,
                is_busy: Arc::default(),
            },
            Destination::Syslog(path) => Self::Syslog(path),
            Destination::Http(url) => {
                let token = token()?;
                if token.is_some() && url.scheme() == "http" && !is_loopback(&url) {
                    return Err(anyhow!("the token for {url} would travel in clear")).hint(
                        "use https, or take the credential wheelmark-signing-log-token away",
                    );
                }
                let client = reqwest::Client::builder()
                    .user_agent(USER_AGENT)
                    .timeout(PATIENCE)
                    .redirect(reqwest::redirect::Policy::none())
                    .build()?;
                Self::Http { client, url, token }
            }
        })
    }

    /// Sends lines in their order: when this returns, a file or a web server has them, and a syslog
    /// daemon was given them, which may drop some.
    pub(super) async fn send(&self, lines: &[Line]) -> anyhow::Result<()> {
        match self {
            Self::File { path, is_busy } => append_apart(path, is_busy, text(lines)).await,
            Self::Syslog(path) => {
                let sending = to_syslog(path, lines);
                let sent = tokio::time::timeout(PATIENCE, sending).await;
                sent.with_context(|| format!("{} takes nothing", path.display()))?
            }
            Self::Http { client, url, token } => {
                let mut request = client
                    .post(url.clone())
                    .header(CONTENT_TYPE, "application/x-ndjson")
                    .body(text(lines));
                if let Some(token) = token {
                    request = request.header(AUTHORIZATION, token.clone());
                }
                let answer = request.send().await.map_err(reqwest::Error::without_url)?;
                if !answer.status().is_success() {
                    bail!("it answered {}", answer.status());
                }
                Ok(())
            }
        }
    }
}

/// The lines, each with its end.
fn text(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(&line.bytes);
        text.push(b'\n');
    }
    text
}

/// Appends in a thread of its own, which nobody waits for at the end: a disk of another machine can hang.
async fn append_apart(path: &Path, is_busy: &Arc<AtomicBool>, text: Vec<u8>) -> anyhow::Result<()> {
    if is_busy.swap(true, Ordering::SeqCst) {
        bail!("{} still hangs", path.display());
    }
    let (done, appended) = oneshot::channel();
    let (to, is_busy) = (path.to_owned(), Arc::clone(is_busy));
    std::thread::spawn(move || {
        let result = append(&to, &text);
        is_busy.store(false, Ordering::SeqCst);
        if let Err(Err(error)) = done.send(result) {
            let error = format!("{error:#}");
            tracing::debug!(error, "nobody waits for this any more");
        }
    });
    match tokio::time::timeout(PATIENCE, appended).await {
        Ok(result) => result.context("the thread that writes is gone")?,
        Err(_) => Err(anyhow!("{} does not take it", path.display())),
    }
}

/// Whether a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn append(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", path.display());
    let file = OpenOptions::new().append(true).create(true).open(path);
    let mut file = file.with_context(cannot)?;
    let before = file.metadata().with_context(cannot)?.len();
    let written = file.write_all(text).and_then(|()| file.sync_data());
    if written.is_err() {
        // Half a line would spoil the next one. It may be a pipe, or one that only grows.
        let undone = file.set_len(before);
        tracing::debug!(?undone, "what was written of it is taken back");
    }
    written.with_context(cannot)
}

/// One message for each line: its head, and the line where it is not too long.
async fn to_syslog(path: &Path, lines: &[Line]) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written to", path.display());
    let socket = UnixDatagram::unbound().with_context(cannot)?;
    socket.connect(path).with_context(cannot)?;
    for line in lines {
        let message = message(line);
        let sent = socket.send(message.as_bytes()).await.with_context(cannot)?;
        if sent != message.len() {
            return Err(anyhow!("{} took half a message", path.display()));
        }
    }
    Ok(())
}

fn message(line: &Line) -> String {
    let head = format!(
        "<{PRIORITY}>wheelmark-signing-log: entry={} sha256={}",
        line.number, line.sha256
    );
    let whole = format!("{head} {}", String::from_utf8_lossy(&line.bytes));
    if whole.len() <= MAX_MESSAGE {
        whole
    } else {
        head
    }
}

/// The token for a web server, if the service manager hands one over.
fn token() -> anyhow::Result<Option<HeaderValue>> {
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let path = PathBuf::from(directory).join(TOKEN_CREDENTIAL);
    let token = match std::fs::read_to_string(&path) {
        Ok(token) => Zeroizing::new(token),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    };
    let value = Zeroizing::new(format!("Bearer {}", token.trim()));
    let mut value = HeaderValue::from_str(&value)
        .with_context(|| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_that_is_too_long_the_head_is_sent() {
        let line = |length| Line {
            number: 7,
            sha256: Sha256::of(b"line"),
            bytes: vec![b'x'; length],
        };
        let head = format!(
            "<85>wheelmark-signing-log: entry=7 sha256={}",
            Sha256::of(b"line")
        );
        assert_eq!(message(&line(3)), format!("{head} xxx"));
        assert_eq!(message(&line(MAX_MESSAGE)), head);
    }
}
