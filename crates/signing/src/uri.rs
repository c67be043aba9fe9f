//! Where a private key is, as a person writes it on a command line.
//!
//! ```text
//!   file:alice.age
//!   pkcs11:token=alice?module-path=/usr/lib/softhsm/libsofthsm2.so
//!   ssh:   ssh:SHA256:Pm3Gj…   ssh:?socket=/run/user/1000/gnupg/S.gpg-agent.ssh
//!   command:/usr/local/bin/kms   command:/usr/local/bin/kms?timeout=120
//! ```

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::command::{COMMAND_PATIENCE, LONGEST_COMMAND_PATIENCE, SigningCommand};
use crate::token::{TokenUri, TokenUriError};

/// The digits of an OpenSSH fingerprint: the base64 of 32 bytes, without padding.
const FINGERPRINT_LEN: usize = 43;

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerUri {
    /// A file in the age format.
    File(PathBuf),
    /// A PKCS#11 token.
    Token(Box<TokenUri>),
    /// An SSH agent.
    Agent(AgentUri),
    /// A program.
    Command(SigningCommand),
}

/// Keys in an SSH agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentUri {
    /// The one key that is meant, as `SHA256:…`.
    pub fingerprint: Option<String>,
    /// Where the agent listens, if not where `SSH_AUTH_SOCK` says.
    pub socket: Option<PathBuf>,
}

/// A text names no place of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerUriError {
    /// An unknown scheme, or none.
    #[error(
        "a signer is named as file:PATH, pkcs11:token=NAME?module-path=PATH, ssh: or command:PATH"
    )]
    Scheme,
    /// A scheme without a path.
    #[error("{scheme}: wants a path behind it")]
    NoPath {
        /// Which scheme.
        scheme: &'static str,
    },
    /// A PKCS#11 URI that cannot be used.
    #[error(transparent)]
    Token(#[from] TokenUriError),
    /// Something else than a fingerprint.
    #[error("`{}` is not a fingerprint as `ssh-add -l` shows it, SHA256: and {FINGERPRINT_LEN} characters", text.escape_debug())]
    Fingerprint {
        /// What was given.
        text: String,
    },
    /// An unknown word behind the question mark.
    #[error("`{}` has no meaning behind {scheme}:…?; {known} has", text.escape_debug())]
    Query {
        /// Which scheme.
        scheme: &'static str,
        /// What was given.
        text: String,
        /// What could be.
        known: &'static str,
    },
    /// A time that a program cannot be given.
    #[error("a command can be given 1 to {} seconds, not `{}`", LONGEST_COMMAND_PATIENCE.as_secs(), text.escape_debug())]
    Timeout {
        /// What was given.
        text: String,
    },
}

impl FromStr for SignerUri {
    type Err = SignerUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", "")) => Err(SignerUriError::NoPath { scheme: "file" }),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some(("pkcs11", _)) => Ok(Self::Token(Box::new(text.parse()?))),
            Some(("ssh", rest)) => agent(rest).map(Self::Agent),
            Some(("command", rest)) => command(rest).map(Self::Command),
            _ => Err(SignerUriError::Scheme),
        }
    }
}

fn agent(rest: &str) -> Result<AgentUri, SignerUriError> {
    let (key, query) = rest.split_once('?').unwrap_or((rest, ""));
    let fingerprint = match key {
        "" => None,
        _ if is_fingerprint(key) => Some(key.to_owned()),
        _ => {
            let text = key.to_owned();
            return Err(SignerUriError::Fingerprint { text });
        }
    };
    let socket = match query.split_once('=') {
        None if query.is_empty() => None,
        Some(("socket", path)) if !path.is_empty() => Some(PathBuf::from(path)),
        _ => {
            return Err(SignerUriError::Query {
                scheme: "ssh",
                text: query.to_owned(),
                known: "socket=PATH",
            });
        }
    };
    Ok(AgentUri {
        fingerprint,
        socket,
    })
}

fn is_fingerprint(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    text.strip_prefix("SHA256:")
        .is_some_and(|digits| digits.len() == FINGERPRINT_LEN && digits.chars().all(is_digit))
}

fn command(rest: &str) -> Result<SigningCommand, SignerUriError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(SignerUriError::NoPath { scheme: "command" });
    }
    let patience = match query.split_once('=') {
        None if query.is_empty() => COMMAND_PATIENCE,
        Some(("timeout", seconds)) => seconds
            .parse()
            .ok()
            .map(Duration::from_secs)
            .filter(|time| !time.is_zero() && *time <= LONGEST_COMMAND_PATIENCE)
            .ok_or_else(|| SignerUriError::Timeout {
                text: seconds.to_owned(),
            })?,
        _ => {
            return Err(SignerUriError::Query {
                scheme: "command",
                text: query.to_owned(),
                known: "timeout=SECONDS",
            });
        }
    };
    Ok(SigningCommand::new(Path::new(path), patience))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        text.parse::<SignerUri>().unwrap_err().to_string()
    }

    #[test]
    fn each_scheme_names_its_place() {
        assert_eq!(
            "file:a b.age".parse(),
            Ok(SignerUri::File(PathBuf::from("a b.age")))
        );
        assert_eq!("ssh:".parse(), Ok(SignerUri::Agent(AgentUri::default())));
        let fingerprint = format!("SHA256:{}", "a+/1".repeat(11).get(1..).unwrap());
        assert_eq!(
            format!("ssh:{fingerprint}?socket=/run/agent").parse(),
            Ok(SignerUri::Agent(AgentUri {
                fingerprint: Some(fingerprint),
                socket: Some(PathBuf::from("/run/agent")),
            }))
        );
        let kms = |seconds| {
            let patience = Duration::from_secs(seconds);
            Ok(SignerUri::Command(SigningCommand::new(
                Path::new("/bin/kms"),
                patience,
            )))
        };
        assert_eq!("command:/bin/kms".parse(), kms(60));
        assert_eq!("command:/bin/kms?timeout=5".parse(), kms(5));
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_reason() {
        for text in ["", "alice.age", "ram:", "http://kms"] {
            assert!(why(text).contains("a signer is named as"), "{text}");
        }
        assert!(why("file:").contains("wants a path"));
        assert!(why("command:?timeout=5").contains("wants a path"));
        for text in ["ssh:alice", "ssh:MD5:00", "ssh:SHA256:abc", "ssh:SHA256:"] {
            assert!(why(text).contains("is not a fingerprint"), "{text}");
        }
        assert!(why("ssh:?agent=x").contains("socket=PATH has"));
        assert!(why("command:kms?key=x").contains("timeout=SECONDS has"));
        for seconds in ["0", "601", "-1", "soon", ""] {
            let why = why(&format!("command:kms?timeout={seconds}"));
            assert!(why.contains("1 to 600 seconds"), "{why}");
        }
    }
}
