//! What goes wrong with a token, in words.

use std::path::PathBuf;

use cryptoki::error::{Error, RvError};

use crate::public_key::PublicKeyError;

/// A token did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no such library.
    #[error("there is no PKCS#11 library {}", path.display())]
    NoModule {
        /// Where it should be.
        path: PathBuf,
    },
    /// The library cannot be used.
    #[error("the PKCS#11 library {} cannot be used: {problem}", path.display())]
    Module {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No token fits.
    #[error("no token fits what the URI says; {}", found(there))]
    NoToken {
        /// The tokens that are there.
        there: Vec<String>,
    },
    /// More than one token fits.
    #[error("more than one token fits what the URI says: {}", there.join(", "))]
    ManyTokens {
        /// The tokens that fit.
        there: Vec<String>,
    },
    /// Another PIN.
    #[error("the PIN is not that of the token `{token}`{}", warning(*last_try))]
    WrongPin {
        /// Which token.
        token: String,
        /// Whether the next wrong one locks it.
        last_try: bool,
    },
    /// Too many wrong PINs.
    #[error("the token `{token}` has locked its PIN after too many wrong ones")]
    PinLocked {
        /// Which token.
        token: String,
    },
    /// Nobody has set the token up.
    #[error("the token `{token}` has no PIN yet: it was never set up for its user")]
    NoPin {
        /// Which token.
        token: String,
    },
    /// It is gone.
    #[error("the token `{token}` was removed, or what was used on it is gone ({answer})")]
    Removed {
        /// Which token.
        token: String,
        /// What it answers.
        answer: String,
    },
    /// It says no for any other reason.
    #[error("the token `{token}` failed to {doing} ({answer})")]
    Failed {
        /// Which token.
        token: String,
        /// What it was to do.
        doing: &'static str,
        /// What it answers.
        answer: String,
    },
    /// A private key without its public half.
    #[error("the token `{token}` has no public key beside the private key `{label}`")]
    NoPublicKey {
        /// Which token.
        token: String,
        /// Which key.
        label: String,
    },
    /// A key that signs no metadata.
    #[error("the key `{label}` on the token `{token}` cannot sign metadata")]
    PublicKey {
        /// Which token.
        token: String,
        /// Which key.
        label: String,
        /// Why.
        source: PublicKeyError,
    },
    /// A key that wants its PIN for every signature.
    #[error(
        "the key `{label}` on the token `{token}` asks for the PIN again before each signature, which this version cannot do"
    )]
    AlwaysAsks {
        /// Which token.
        token: String,
        /// Which key.
        label: String,
    },
    /// More keys than anybody keeps on a token.
    #[error("the token `{token}` has more than {most} private keys: name one with object or id")]
    ManyKeys {
        /// Which token.
        token: String,
        /// How many are looked at.
        most: usize,
    },
    /// The token makes no keys of the kind.
    #[error("the token `{token}` makes no keys of the kind {kind}")]
    CannotMake {
        /// Which token.
        token: String,
        /// Which kind.
        kind: &'static str,
    },
}

fn found(there: &[String]) -> String {
    match there {
        [] => "none is there".to_owned(),
        there => format!("there are: {}", there.join(", ")),
    }
}

fn warning(last_try: bool) -> &'static str {
    match last_try {
        true => ", and the next wrong one locks it",
        false => "",
    }
}

impl TokenError {
    /// What a token answered while it was `doing` something.
    pub(super) fn of(token: &str, doing: &'static str, error: &Error) -> Self {
        let token = token.to_owned();
        let answer = answer(error);
        match error {
            Error::Pkcs11(
                RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::SlotIdInvalid
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid,
                _,
            ) => Self::Removed { token, answer },
            _ => Self::Failed {
                token,
                doing,
                answer,
            },
        }
    }

    /// What a token answered to a PIN.
    pub(super) fn of_login(token: &str, error: &Error, last_try: bool) -> Self {
        let name = token.to_owned();
        match error {
            Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            ) => Self::WrongPin {
                token: name,
                last_try,
            },
            Error::Pkcs11(RvError::PinLocked, _) => Self::PinLocked { token: name },
            Error::Pkcs11(RvError::UserPinNotInitialized, _) => Self::NoPin { token: name },
            other => Self::of(token, "take the PIN", other),
        }
    }
}

/// The short name of what a library answers: the standard's own sentences fill a page.
pub(super) fn answer(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{function:?}: {code:?}"),
        other => other.to_string(),
    }
}
