//! Keys behind a program of the holder's choice, for services that hold keys.
//!
//! ```text
//!   PATH public-key NAME                 ─▶ stdout: a public key, PEM or JSON
//!   PATH sign NAME      payload on stdin ─▶ stdout: the signature, its bytes and nothing else
//! ```
//!
//! What it answers is bounded in length and time, and a signature is verified before it is used.
//! Its standard error is that of `wheelmark`, so it can say what it waits for.

mod run;

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use wheelmark_tuf::{Key, Signature};

use self::run::Run;
use crate::public_key::{PublicKey, PublicKeyError};
use crate::{SignError, Signer};

/// How long a program may take where nothing else is said: a service answers in a second or two, and
/// somebody may have to touch a token.
pub const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a program can be given.
pub const LONGEST_COMMAND_PATIENCE: Duration = Duration::from_secs(600);

/// The longest public key that is read, in bytes: RSA of 8192 bits has 1.5 kB in PEM.
const MAX_PUBLIC_KEY_LEN: usize = 16 * 1024;

/// The longest signature that is read, in bytes: RSA of 8192 bits has 1 KiB.
const MAX_SIGNATURE_LEN: usize = 2 * 1024;

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A program that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningCommand {
    path: PathBuf,
    patience: Duration,
}

/// A key of a program that signs.
pub struct CommandKey {
    command: SigningCommand,
    name: String,
    public: PublicKey,
}

/// A program did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It cannot be started.
    #[error("{} cannot be started", path.display())]
    Start {
        /// Which program.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It takes too long.
    #[error("`{} {verb} {name}` has not ended within {} seconds, and was stopped", path.display(), patience.as_secs())]
    Hangs {
        /// Which program.
        path: PathBuf,
        /// What it was asked for.
        verb: &'static str,
        /// For which key.
        name: String,
        /// How long it was given.
        patience: Duration,
    },
    /// It says that it failed.
    #[error("`{} {verb} {name}` failed ({status})", path.display())]
    Failed {
        /// Which program.
        path: PathBuf,
        /// What it was asked for.
        verb: &'static str,
        /// For which key.
        name: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It answers nothing.
    #[error("`{} {verb} {name}` answered nothing", path.display())]
    Nothing {
        /// Which program.
        path: PathBuf,
        /// What it was asked for.
        verb: &'static str,
        /// For which key.
        name: String,
    },
    /// It answers more than anything that was asked for can be.
    #[error("`{} {verb} {name}` answered more than {most} bytes", path.display())]
    TooMuch {
        /// Which program.
        path: PathBuf,
        /// What it was asked for.
        verb: &'static str,
        /// For which key.
        name: String,
        /// What is read at most.
        most: usize,
    },
    /// The system failed.
    #[error("what {} answers cannot be read", path.display())]
    Io {
        /// Which program.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It answers something other than a public key.
    #[error("what `{} public-key {name}` answered is not used", path.display())]
    PublicKey {
        /// Which program.
        path: PathBuf,
        /// For which key.
        name: String,
        /// What is wrong with it.
        source: PublicKeyError,
    },
}

impl SigningCommand {
    /// The program at `path`, which is never looked for elsewhere.
    pub fn new(path: &Path, patience: Duration) -> Self {
        Self {
            path: path.to_owned(),
            patience: patience.min(LONGEST_COMMAND_PATIENCE),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for the public key of that name.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if it does not answer with one in time.
    pub fn key(&self, name: &str) -> Result<CommandKey, CommandError> {
        let answer = self.run("public-key", name, &[], MAX_PUBLIC_KEY_LEN)?;
        let read = std::str::from_utf8(&answer)
            .map_err(|_| PublicKeyError::Form)
            .and_then(PublicKey::read);
        match read {
            Ok(public) => Ok(CommandKey {
                command: self.clone(),
                name: name.to_owned(),
                public,
            }),
            Err(source) => Err(CommandError::PublicKey {
                path: self.path.clone(),
                name: name.to_owned(),
                source,
            }),
        }
    }

    fn run(
        &self,
        verb: &'static str,
        name: &str,
        input: &[u8],
        most: usize,
    ) -> Result<Vec<u8>, CommandError> {
        let path = || self.path.clone();
        let io = |source| CommandError::Io {
            path: path(),
            source,
        };
        // Without a slash the system would look through the search path.
        let program = std::path::absolute(&self.path).map_err(io)?;
        let run = Run::new();
        let (variable, value) = run.variable();
        let mut child = Command::new(program)
            .args([verb, name])
            .env(variable, value)
            // What opens the other keys of the same person is none of its business.
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| CommandError::Start {
                path: path(),
                source,
            })?;
        let deadline = Instant::now() + self.patience;
        let answer = converse(&mut child, input, most);
        let left = || deadline.saturating_duration_since(Instant::now());
        let answer = match answer.recv_timeout(left()) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Ok(Vec::new())),
        };
        let too_much = matches!(&answer, Some(Ok(answer)) if answer.len() > most);
        let status = match too_much {
            true => None,
            false => ended(&mut child, deadline).map_err(io)?,
        };
        let name = name.to_owned();
        let (Some(answer), Some(status)) = (answer, status) else {
            stop(&mut child, &run);
            return Err(match too_much {
                true => CommandError::TooMuch {
                    path: path(),
                    verb,
                    name,
                    most,
                },
                false => CommandError::Hangs {
                    path: path(),
                    verb,
                    name,
                    patience: self.patience,
                },
            });
        };
        let answer = answer.map_err(io)?;
        if !status.success() {
            return Err(CommandError::Failed {
                path: path(),
                verb,
                name,
                status,
            });
        }
        if answer.is_empty() {
            return Err(CommandError::Nothing {
                path: path(),
                verb,
                name,
            });
        }
        Ok(answer)
    }
}

/// Gives the program its input and takes its answer, `most` bytes and one more, each in a thread
/// that outlives a program which does neither.
fn converse(child: &mut Child, input: &[u8], most: usize) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // Whether it reads all of it is its own affair: what counts is the answer.
        thread::spawn(move || stdin.write_all(&input).is_ok());
    }
    let (answered, answer) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(most as u64 + 1).read_to_end(&mut bytes);
            // Nobody waits any more when the time is over.
            answered.send(read.map(|_| bytes)).is_ok()
        });
    }
    answer
}

/// How the program ended, if it did in time.
fn ended(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Ends a program and what it has started. That it has ended by itself meanwhile is no failure.
fn stop(child: &mut Child, run: &Run) {
    if child.kill().is_ok() {
        drop(child.wait());
    }
    run.end();
}

impl Signer for CommandKey {
    fn key(&self) -> &Key {
        self.public.key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let answer = self
            .command
            .run("sign", &self.name, message, MAX_SIGNATURE_LEN);
        match answer {
            Ok(answer) => self.public.accept(message, &answer),
            Err(error) => Err(SignError::Failed {
                keyid: self.key().keyid().clone(),
                source: Box::new(error),
            }),
        }
    }
}

impl fmt::Debug for CommandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandKey")
            .field("command", &self.command)
            .field("name", &self.name)
            .field("keyid", self.key().keyid())
            .finish()
    }
}
