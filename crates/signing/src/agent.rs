//! Keys behind an SSH agent: OpenSSH's, GnuPG's, or any other that speaks the protocol.
//!
//! ```text
//!   SSH_AUTH_SOCK ─▶ Agent::keys ─▶ AgentKey ── sign ─▶ the agent signs ─▶ verified here
//! ```
//!
//! The private key stays where it is. Only plain Ed25519 and P-256 keys sign the bytes that they
//! are given; every other kind is listed with the reason why it cannot be used.

mod wire;

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use wheelmark_tuf::{Key, Sha256, Signature};

use crate::public_key::PublicKey;
use crate::{SignError, Signer};

pub use self::wire::{Unusable, WireError};

/// How long an agent may take to answer: somebody may have to type a passphrase or touch a token.
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent, by its socket. Each request is a connection of its own.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

/// A key that an agent lists.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What its owner wrote beside it.
    pub comment: String,
    /// Its fingerprint, as `ssh-add -l` shows it: `SHA256:…`.
    pub fingerprint: String,
    /// What signs with it, or why nothing can.
    pub key: Result<AgentKey, Unusable>,
}

/// A private key in an agent.
#[derive(Clone)]
pub struct AgentKey {
    agent: Agent,
    blob: Vec<u8>,
    public: PublicKey,
}

/// An agent did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nothing answers there.
    #[error("no ssh agent answers at {}", socket.display())]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It stopped answering.
    #[error("the ssh agent at {} did not answer within {} seconds", socket.display(), PATIENCE.as_secs())]
    Silent {
        /// Where.
        socket: PathBuf,
    },
    /// It closed the connection.
    #[error("the ssh agent at {} broke off", socket.display())]
    BrokenOff {
        /// Where.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It answers something else.
    #[error("the ssh agent at {} does not give what it was asked for", socket.display())]
    Answer {
        /// Where.
        socket: PathBuf,
        /// What is wrong.
        source: WireError,
    },
    /// Agents take messages of a bounded length only.
    #[error("{length} bytes are more than an ssh agent takes")]
    TooLong {
        /// How many bytes were to be signed.
        length: usize,
    },
}

impl Agent {
    /// The agent that listens at `socket`. Nothing is opened yet.
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Every key that it lists, in its order.
    ///
    /// # Errors
    ///
    /// [`AgentError`] if it does not answer, or not as an agent does.
    pub fn keys(&self) -> Result<Vec<Listed>, AgentError> {
        let answer = self.ask(&wire::list_request())?;
        let listed = wire::listed(&answer).map_err(|source| self.answered(source))?;
        let keys = listed.into_iter().map(|listed| {
            let public = wire::public_key(&listed.blob);
            Listed {
                fingerprint: fingerprint(&listed.blob),
                comment: listed.comment,
                key: public.map(|public| AgentKey {
                    agent: self.clone(),
                    blob: listed.blob,
                    public,
                }),
            }
        });
        Ok(keys.collect())
    }

    fn answered(&self, source: WireError) -> AgentError {
        let socket = self.socket.clone();
        AgentError::Answer { socket, source }
    }

    fn ask(&self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        let socket = || self.socket.clone();
        let unreachable = |source| AgentError::Unreachable {
            socket: socket(),
            source,
        };
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                AgentError::Silent { socket: socket() }
            }
            _ => AgentError::BrokenOff {
                socket: socket(),
                source,
            },
        };
        let mut stream = UnixStream::connect(&self.socket).map_err(unreachable)?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .map_err(unreachable)?;
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let framed = [&length.to_be_bytes(), request].concat();
        stream.write_all(&framed).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        let mut length = [0; 4];
        read_by(deadline, &mut stream, &mut length).map_err(failed)?;
        let length = u32::from_be_bytes(length);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > wire::MAX_MESSAGE_LEN {
            return Err(self.answered(WireError::Length));
        }
        let mut answer = vec![0; length];
        read_by(deadline, &mut stream, &mut answer).map_err(failed)?;
        Ok(answer)
    }
}

impl AgentKey {
    fn ask_for_signature(&self, message: &[u8]) -> Result<Vec<u8>, AgentError> {
        let request = wire::sign_request(&self.blob, message);
        let length = message.len();
        let request = request.ok_or(AgentError::TooLong { length })?;
        let answer = self.agent.ask(&request)?;
        wire::signature(&answer, self.public.algorithm())
            .map_err(|source| self.agent.answered(source))
    }
}

impl Signer for AgentKey {
    fn key(&self) -> &Key {
        self.public.key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        match self.ask_for_signature(message) {
            Ok(answer) => self.public.accept(message, &answer),
            Err(error) => Err(SignError::Failed {
                keyid: self.key().keyid().clone(),
                source: Box::new(error),
            }),
        }
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentKey")
            .field("agent", &self.agent)
            .field("keyid", self.key().keyid())
            .finish()
    }
}

/// Fills a buffer, or fails when the time is over, however slowly bytes come.
fn read_by(deadline: Instant, stream: &mut UnixStream, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = &mut buffer[read..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As OpenSSH shows it.
fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::of(blob).0))
}
