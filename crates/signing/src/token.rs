//! Keys on PKCS#11 tokens.
//!
//! ```text
//!   pkcs11:token=…?module-path=… ─▶ Modules::open ─▶ Token ── log_in(PIN) ─▶ keys ─▶ TokenKey
//! ```
//!
//! The private key stays on the token, which is only asked for signatures, and each of them is
//! verified here before it is used. The library that talks to it runs in this process with all that
//! the process may do: that is how PKCS#11 works, so it is named by an absolute path and by nothing
//! that is looked for. Tested with SoftHSM 2, and with nothing else.

mod error;
mod objects;
mod uri;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::SecretString;
use wheelmark_tuf::{Key, Sha256, Signature};

use crate::public_key::{Algorithm, PublicKey};
use crate::{HeldKey, SignError, Signer};

use self::objects::Objects;

pub use self::error::TokenError;
pub use self::uri::{TokenUri, TokenUriError};

/// The libraries that are loaded. Each can be started once only, whatever tokens it talks to.
#[derive(Debug, Default)]
pub struct Modules(BTreeMap<PathBuf, Pkcs11>);

/// A token with a session.
pub struct Token {
    label: String,
    serial: String,
    has_keypad: bool,
    module: Pkcs11,
    slot: Slot,
    /// Those of what we may ask for that it has.
    mechanisms: Vec<MechanismType>,
    session: Arc<Mutex<Session>>,
}

/// A private key on a token.
pub struct TokenKey {
    token: String,
    session: Arc<Mutex<Session>>,
    handle: ObjectHandle,
    public: PublicKey,
    /// Whether the token computes the digest of what an RSA key signs.
    digests: bool,
}

impl Modules {
    /// Opens the one token that a URI names.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if there is none, or more than one.
    pub fn open(&mut self, uri: &TokenUri) -> Result<Token, TokenError> {
        let module = self.load(uri)?;
        let path = uri.module.clone();
        let refused = |error: Error| TokenError::Module {
            path: path.clone(),
            problem: error::answer(&error),
        };
        let mut fitting = Vec::new();
        let mut there = Vec::new();
        for slot in module.get_slots_with_initialized_token().map_err(refused)? {
            let info = module.get_token_info(slot).map_err(refused)?;
            let shown = format!("`{}` (serial {})", info.label(), info.serial_number());
            there.push(shown.clone());
            if fits(uri, slot, &info) {
                fitting.push((slot, info, shown));
            }
        }
        if fitting.len() > 1 {
            let there = fitting.into_iter().map(|(_, _, shown)| shown).collect();
            return Err(TokenError::ManyTokens { there });
        }
        let Some((slot, info, _)) = fitting.pop() else {
            return Err(TokenError::NoToken { there });
        };
        let label = info.label().to_owned();
        let failed = |error: Error| TokenError::of(&label, "open a session", &error);
        // Asked for one by one: the library that we use complains of each in a list that it does not know.
        let asked = [
            objects::maker(Algorithm::Ed25519),
            objects::maker(Algorithm::EcdsaP256),
            objects::maker(Algorithm::RsaPss),
            MechanismType::SHA256_RSA_PKCS_PSS,
        ];
        let has = |mechanism: &MechanismType| module.get_mechanism_info(slot, *mechanism).is_ok();
        let mechanisms = asked.into_iter().filter(has).collect();
        // Keys are made on it, too; a token that is write-protected can sign all the same.
        let session = match module.open_rw_session(slot) {
            Err(Error::Pkcs11(RvError::TokenWriteProtected, _)) => module.open_ro_session(slot),
            opened => opened,
        };
        let session = session.map_err(failed)?;
        Ok(Token {
            session: Arc::new(Mutex::new(session)),
            label,
            serial: info.serial_number().to_owned(),
            has_keypad: info.protected_authentication_path(),
            module,
            slot,
            mechanisms,
        })
    }

    fn load(&mut self, uri: &TokenUri) -> Result<Pkcs11, TokenError> {
        let path = uri.module.clone();
        if let Some(loaded) = self.0.get(&path) {
            return Ok(loaded.clone());
        }
        if !path.is_file() {
            return Err(TokenError::NoModule { path });
        }
        let started = Pkcs11::new(&path).and_then(|module| {
            let flags = CInitializeFlags::OS_LOCKING_OK;
            module.initialize(CInitializeArgs::new(flags))?;
            Ok(module)
        });
        match started {
            Ok(module) => {
                self.0.insert(path, module.clone());
                Ok(module)
            }
            Err(error) => Err(TokenError::Module {
                path,
                problem: error::answer(&error),
            }),
        }
    }
}

fn fits(uri: &TokenUri, slot: Slot, info: &TokenInfo) -> bool {
    let is = |wanted: &Option<String>, found: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted == found)
    };
    is(&uri.token, info.label())
        && is(&uri.manufacturer, info.manufacturer_id())
        && is(&uri.model, info.model())
        && is(&uri.serial, info.serial_number())
        && uri.slot_id.is_none_or(|wanted| wanted == slot.id())
}

impl Token {
    /// What it is called.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its serial number.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Whether it has a keypad of its own for the PIN, so that nobody else asks for it.
    pub fn has_keypad(&self) -> bool {
        self.has_keypad
    }

    /// Whether one more wrong PIN locks it, as it says now.
    pub fn is_last_try(&self) -> bool {
        let info = self.module.get_token_info(self.slot);
        info.is_ok_and(|info| info.user_pin_final_try())
    }

    /// Lets its user in. A PIN is tried once: a token that is tried too often locks itself.
    ///
    /// # Errors
    ///
    /// [`TokenError::WrongPin`], [`TokenError::PinLocked`], or what else it answers.
    pub fn log_in(&self, pin: Option<&str>) -> Result<(), TokenError> {
        let pin = pin.map(|pin| SecretString::from(pin.to_owned()));
        let session = self.session();
        match session.login(UserType::User, pin.as_ref()) {
            // Another session of this process has done it.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) => {
                let last_try = self.is_last_try();
                Err(TokenError::of_login(&self.label, &error, last_try))
            }
        }
    }

    /// The keys that the URI may mean; those that sign no metadata come with the reason.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if the token does not tell.
    pub fn keys(&self, uri: &TokenUri) -> Result<Vec<Result<HeldKey, TokenError>>, TokenError> {
        let session = self.session();
        let found = self.objects(&session).private_keys(uri)?;
        let keys = found.into_iter().map(|found| {
            let found = found?;
            let signer = TokenKey {
                token: self.label.clone(),
                session: Arc::clone(&self.session),
                handle: found.handle,
                public: found.public,
                digests: self
                    .mechanisms
                    .contains(&MechanismType::SHA256_RSA_PKCS_PSS),
            };
            Ok(HeldKey {
                label: found.label,
                signer: Box::new(signer),
            })
        });
        Ok(keys.collect())
    }

    /// What it makes new keys of, if nothing is asked for: P-256, or Ed25519 where it cannot. Ed25519
    /// takes all of what is signed onto the token, and many take a few hundred bytes only; of ECDSA
    /// it is a digest.
    pub fn preferred(&self) -> Algorithm {
        match self
            .mechanisms
            .contains(&objects::maker(Algorithm::EcdsaP256))
        {
            true => Algorithm::EcdsaP256,
            false => Algorithm::Ed25519,
        }
    }

    /// Makes a key that never leaves it, under a label. `id` is the number that ties the private to
    /// the public half; no other key there may have it.
    ///
    /// # Errors
    ///
    /// [`TokenError::CannotMake`] if it makes no such keys.
    pub fn make_key(&self, label: &str, id: &[u8], algorithm: Algorithm) -> Result<(), TokenError> {
        if !self.mechanisms.contains(&objects::maker(algorithm)) {
            return Err(TokenError::CannotMake {
                token: self.label.clone(),
                kind: objects::name(algorithm),
            });
        }
        let session = self.session();
        self.objects(&session).make(label, id, algorithm)
    }

    fn objects<'a>(&'a self, session: &'a Session) -> Objects<'a> {
        Objects {
            session,
            token: &self.label,
        }
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenKey {
    fn ask_for_signature(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Sha256::of(message).0;
        let pss = PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: 32.into(),
        };
        let ed25519 = EddsaParams::new(EddsaSignatureScheme::Ed25519);
        let (mechanism, bytes) = match self.public.algorithm() {
            Algorithm::Ed25519 => (Mechanism::Eddsa(ed25519), message),
            Algorithm::EcdsaP256 => (Mechanism::Ecdsa, &digest[..]),
            Algorithm::RsaPss if self.digests => (Mechanism::Sha256RsaPkcsPss(pss), message),
            Algorithm::RsaPss => (Mechanism::RsaPkcsPss(pss), &digest[..]),
        };
        session
            .sign(&mechanism, self.handle, bytes)
            .map_err(|error| TokenError::of(&self.token, "sign", &error))
    }
}

impl Signer for TokenKey {
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

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("token", &self.token)
            .field("keyid", self.key().keyid())
            .finish()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("label", &self.label).finish()
    }
}
