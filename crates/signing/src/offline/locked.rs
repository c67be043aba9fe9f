//! Secrets in the age format, under a phrase or for recipients.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::iter;
use std::str::FromStr;

use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt, x25519};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Phrase;
use super::seal::{DEFAULT_WORK_FACTOR, MAX_WORK_FACTOR};

/// Somebody for whom a file is encrypted: `age1…`, as `age-keygen` prints it.
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

/// What opens a file that was encrypted for a [`Recipient`]: `AGE-SECRET-KEY-1…`.
pub struct Identity(x25519::Identity);

/// What a file is locked with.
pub enum Lock<'a> {
    /// A phrase.
    Phrase(&'a Phrase),
    /// Any one of these opens it. At least one.
    Recipients(&'a [Recipient]),
}

/// What opens a file.
pub enum Unlock<'a> {
    /// The phrase.
    Phrase(&'a Phrase),
    /// The identity of a recipient.
    Identity(&'a Identity),
}

/// The text is no recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recipient is written as age1…, as `age-keygen` prints it")]
pub struct ParseRecipientError;

/// The text holds no identity, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identity is one line AGE-SECRET-KEY-1…, as `age-keygen` writes it")]
pub struct ParseIdentityError;

/// Why something could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The encryption failed.
    #[error("it cannot be encrypted")]
    Encrypt(#[source] EncryptError),
    /// The encryption failed.
    #[error("it cannot be encrypted")]
    Io(#[source] io::Error),
}

/// Why something could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// Not an age file, or one that was damaged.
    #[error("this is not an age file, or it is damaged")]
    NotAge(#[source] DecryptError),
    /// Locked in the other way.
    #[error("it is locked for a recipient, not by a phrase")]
    ForRecipient,
    /// Locked in the other way.
    #[error("it is locked by a phrase, not for a recipient")]
    ByPhrase,
    /// The phrase or the identity of another file.
    #[error("it is not opened by that")]
    Wrong,
    /// It opens, but the contents were changed or cut off.
    #[error("it is damaged, or was cut short")]
    Damaged(#[source] io::Error),
    /// More than anything that was locked here.
    #[error("it holds more than {most} bytes")]
    TooLong {
        /// How much is read.
        most: usize,
    },
}

impl FromStr for Recipient {
    type Err = ParseRecipientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ParseRecipientError)
    }
}

impl FromStr for Identity {
    type Err = ParseIdentityError;

    /// The lines of an identity file; comments (`#`) and empty lines are passed over.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.parse().map(Self).map_err(|_| ParseIdentityError),
            _ => Err(ParseIdentityError),
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// Encrypts `secret`.
///
/// # Errors
///
/// [`LockError`], also if no recipient is named.
pub fn lock_bytes(secret: &[u8], lock: &Lock<'_>) -> Result<Vec<u8>, LockError> {
    let encryptor = match lock {
        Lock::Phrase(phrase) => {
            let mut recipient = scrypt::Recipient::new(secret_of(phrase));
            recipient.set_work_factor(DEFAULT_WORK_FACTOR);
            Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        }
        Lock::Recipients(recipients) => {
            let each = recipients.iter();
            Encryptor::with_recipients(each.map(|recipient| &recipient.0 as &dyn age::Recipient))
        }
    };
    let encryptor = encryptor.map_err(LockError::Encrypt)?;
    let mut locked = Vec::new();
    let mut writer = encryptor.wrap_output(&mut locked).map_err(LockError::Io)?;
    writer.write_all(secret).map_err(LockError::Io)?;
    writer.finish().map_err(LockError::Io)?;
    Ok(locked)
}

/// Opens what [`lock_bytes`] encrypted, at most `most` bytes of it.
///
/// # Errors
///
/// [`UnlockError::Wrong`] if the phrase or identity is another file's.
pub fn unlock_bytes(
    locked: &[u8],
    unlock: &Unlock<'_>,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, UnlockError> {
    let decryptor = Decryptor::new(locked).map_err(UnlockError::NotAge)?;
    let opened = match (unlock, decryptor.is_scrypt()) {
        (Unlock::Phrase(_), false) => return Err(UnlockError::ForRecipient),
        (Unlock::Identity(_), true) => return Err(UnlockError::ByPhrase),
        (Unlock::Phrase(phrase), true) => {
            let mut identity = scrypt::Identity::new(secret_of(phrase));
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            decryptor.decrypt(iter::once(&identity as &dyn age::Identity))
        }
        (Unlock::Identity(identity), false) => {
            decryptor.decrypt(iter::once(&identity.0 as &dyn age::Identity))
        }
    };
    let reader = opened.map_err(|error| match error {
        DecryptError::DecryptionFailed
        | DecryptError::NoMatchingKeys
        | DecryptError::KeyDecryptionFailed => UnlockError::Wrong,
        other => UnlockError::NotAge(other),
    })?;
    // What is inside is never longer than what is around it: the buffer has its final size at once,
    // since growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(locked.len().min(most) + 1));
    reader
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(UnlockError::Damaged)?;
    match bytes.len() > most {
        true => Err(UnlockError::TooLong { most }),
        false => Ok(bytes),
    }
}

fn secret_of(phrase: &Phrase) -> SecretString {
    SecretString::from(phrase.reveal().to_owned())
}
