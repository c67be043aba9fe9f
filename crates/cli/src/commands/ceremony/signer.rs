//! Where a holder's private keys are, and how they are opened.

mod arg;
mod choice;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use wheelmark_signing::{
    Agent, AgentUri, Algorithm, HeldKey, Modules, Phrase, SignerUri, SigningCommand, Token,
    TokenError, TokenUri, UnsealError, unseal,
};
use wheelmark_tuf::{KeyId, without_controls};

use self::choice::Candidate;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

use self::arg::any_name;
pub(super) use self::arg::assigned;
pub(crate) use self::arg::{SignerArg, parsed};
pub(crate) use self::choice::Choice;
use self::choice::label_of;
pub(crate) use self::secret::{Passphrase, Secrets, new_phrase, show_phrase};
pub(crate) use self::secret::{credential_secret, secret_in};

/// The longest file of keys, in bytes.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// How often a phrase may be mistyped. A file does not count tries as a token does.
const PHRASE_TRIES: usize = 3;

/// How long the number is that ties the halves of a new key on a token together, in bytes.
const KEY_NUMBER_LEN: usize = 8;

/// Opens the places where keys are.
pub(crate) struct Opening<'a> {
    secrets: Secrets<'a>,
    modules: Modules,
    /// Tokens that know their user, by library, label and serial number. They are kept: a token
    /// forgets its user when the last session ends.
    tokens: BTreeMap<(PathBuf, String, String), Arc<Token>>,
    /// What tokens are to make new keys of, if something is asked for.
    algorithm: Option<Algorithm>,
    /// Whether keys on a token that have our labels already are taken.
    takes_existing: bool,
    /// Why keys that were seen cannot be used.
    refused: Vec<String>,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(secrets: Secrets<'a>) -> Self {
        Self {
            secrets,
            modules: Modules::default(),
            tokens: BTreeMap::new(),
            algorithm: None,
            takes_existing: false,
            refused: Vec::new(),
        }
    }

    /// Asks for new keys of a kind on tokens, or to take those that are there as well.
    pub(crate) fn making(self, algorithm: Option<Algorithm>, takes_existing: bool) -> Self {
        Self {
            algorithm,
            takes_existing,
            ..self
        }
    }

    /// Why keys that were seen cannot be used.
    pub(crate) fn refused(&self) -> &[String] {
        &self.refused
    }

    /// The keys in one place. To enrol, one for each of `names`, in their order.
    pub(crate) fn keys(
        &mut self,
        uri: &SignerUri,
        names: &[&'static str],
        choice: &Choice<'_>,
    ) -> anyhow::Result<Vec<HeldKey>> {
        match uri {
            SignerUri::File(path) => self.in_file(path, names, choice),
            SignerUri::Token(uri) => self.on_token(uri, names, choice),
            SignerUri::Agent(uri) => self.in_agent(uri, names, choice),
            SignerUri::Command(command) => self.of_command(command, names, choice),
        }
    }

    fn in_file(
        &mut self,
        path: &Path,
        names: &[&'static str],
        choice: &Choice<'_>,
    ) -> anyhow::Result<Vec<HeldKey>> {
        let sealed = read_bounded(path, MAX_FILE_LEN)
            .with_context(|| format!("{} cannot be read", path.display()))
            .hint("name the file of your keys: --signer file:PATH")?;
        let mut left = PHRASE_TRIES;
        let seat = loop {
            left -= 1;
            let typed = self
                .secrets
                .get("passphrase", &path.display().to_string())?;
            // One that was generated is understood as it was typed; any other is taken as it is.
            let phrase = Phrase::parse(&typed).unwrap_or_else(|_| Phrase::chosen(&typed));
            match unseal(&sealed, &phrase) {
                Err(error @ UnsealError::WrongPhrase) if left > 0 && !self.secrets.is_given() => {
                    writeln!(std::io::stderr(), "{error}; once more")?;
                }
                Err(error @ UnsealError::WrongPhrase) => {
                    return Err(error)
                        .with_context(|| format!("{} stays closed", path.display()))
                        .hint("try it once more; nothing was signed");
                }
                other => {
                    break other.with_context(|| format!("{} cannot be opened", path.display()))?;
                }
            }
        };
        let mut keys: Vec<HeldKey> = seat.into_keys().collect();
        match choice {
            Choice::Sign(wanted) => keys.retain(|key| wanted(key.signer.key().keyid())),
            Choice::Enrol => {
                keys.retain(|key| names.contains(&key.label.as_str()));
                if let Some(name) = missing(names, &keys) {
                    return Err(anyhow!("{} has no key for {name}", path.display()))
                        .hint("name another place for it, as in --signer root=URI");
                }
            }
        }
        Ok(keys)
    }

    fn on_token(
        &mut self,
        uri: &TokenUri,
        names: &[&'static str],
        choice: &Choice<'_>,
    ) -> anyhow::Result<Vec<HeldKey>> {
        let token = self.modules.open(uri).hint(
            "plug it in, or name another in the URI; `pkcs11-tool --list-slots` and `p11tool --list-tokens` show what there is",
        )?;
        let token = self.logged_in(token, uri)?;
        let place = format!("the token {}", token.label());
        let candidates = on(&token, uri)?;
        if let Choice::Sign(wanted) = choice {
            let (keys, refused) = choice::asked_for(candidates, wanted);
            self.refused.extend(refused);
            return Ok(keys);
        }
        if uri.names_a_key() {
            return Ok(vec![choice::the_one(candidates, names, &place)?]);
        }
        let labels: BTreeSet<String> = candidates.into_iter().map(|found| found.label).collect();
        let ours = names.iter().map(|name| label_of(name));
        let there: Vec<String> = ours.filter(|label| labels.contains(label)).collect();
        if !there.is_empty() && !self.takes_existing {
            return Err(anyhow!(
                "{place} has keys already that are named {}",
                there.join(", ")
            ))
            .hint("a holder's keys are for one index, and made by nobody else; if you made these yourself, for this index, say --existing");
        }
        let algorithm = self.algorithm.unwrap_or_else(|| token.preferred());
        for name in names {
            let label = label_of(name);
            if !labels.contains(&label) {
                let mut number = [0; KEY_NUMBER_LEN];
                crate::context::fill_random(&mut number)?;
                token.make_key(&label, &number, algorithm)?;
            }
        }
        // Read back, as every later command will read them.
        let mut candidates = on(&token, uri)?;
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let key = choice::labelled(&mut candidates, name, &place)?;
            keys.push(key.ok_or_else(|| anyhow!("{place} did not keep the key for {name}"))?);
        }
        Ok(keys)
    }

    fn logged_in(&mut self, token: Token, uri: &TokenUri) -> anyhow::Result<Arc<Token>> {
        let which = (
            uri.module().to_owned(),
            token.label().to_owned(),
            token.serial().to_owned(),
        );
        if let Some(known) = self.tokens.get(&which) {
            return Ok(Arc::clone(known));
        }
        let is_asked = uri.pin_source().is_none() && !self.secrets.is_given();
        if token.is_last_try() && !token.has_keypad() && !is_asked {
            return Err(anyhow!(
                "one more wrong PIN locks the token {}",
                token.label()
            ))
            .hint("run it by hand, and type the PIN");
        }
        let pin = match uri.pin_source() {
            _ if token.has_keypad() => None,
            Some(path) => Some(secret_in(path, "PIN")?),
            None => {
                let last = match token.is_last_try() {
                    true => " (the last try before it locks)",
                    false => "",
                };
                let what = format!("the token {}{last}", token.label());
                Some(self.secrets.get("PIN", &what)?)
            }
        };
        match token.log_in(pin.as_ref().map(|pin| pin.as_str())) {
            Err(error @ TokenError::WrongPin { .. }) => Err(error)
                .hint("nothing was signed; a token counts wrong PINs and locks itself, so look before the next try"),
            Err(error @ TokenError::PinLocked { .. }) => Err(error)
                .hint("its security officer can unlock it; otherwise this holder is replaced: see docs/ceremonies.md"),
            other => other.map_err(Into::into),
        }?;
        let token = Arc::new(token);
        self.tokens.insert(which, Arc::clone(&token));
        Ok(token)
    }

    fn in_agent(
        &mut self,
        uri: &AgentUri,
        names: &[&'static str],
        choice: &Choice<'_>,
    ) -> anyhow::Result<Vec<HeldKey>> {
        let socket = match &uri.socket {
            Some(socket) => socket.clone(),
            None => std::env::var_os("SSH_AUTH_SOCK")
                .filter(|socket| !socket.is_empty())
                .map(PathBuf::from)
                .context("no ssh agent is known: SSH_AUTH_SOCK is not set")
                .hint("start one, or name its socket: ssh:?socket=PATH (for GnuPG's, `gpgconf --list-dirs agent-ssh-socket`)")?,
        };
        let place = format!("the ssh agent at {}", socket.display());
        let listed = Agent::at(&socket).keys()?.into_iter();
        let mut candidates: Vec<Candidate> = listed
            .filter(|key| {
                uri.fingerprint
                    .as_ref()
                    .is_none_or(|wanted| *wanted == key.fingerprint)
            })
            .map(|listed| {
                let label = listed.comment.clone();
                Candidate {
                    shown: format!("{} ({})", listed.fingerprint, listed.comment),
                    key: listed.key.map_err(Into::into).map(|key| HeldKey {
                        label,
                        signer: Box::new(key),
                    }),
                    label: listed.comment,
                }
            })
            .collect();
        if let Choice::Sign(wanted) = choice {
            let (keys, refused) = choice::asked_for(candidates, wanted);
            self.refused.extend(refused);
            return Ok(keys);
        }
        if uri.fingerprint.is_some() {
            return Ok(vec![choice::the_one(candidates, names, &place)?]);
        }
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let key = choice::labelled(&mut candidates, name, &place)?;
            let label = label_of(name);
            let key = key
                .ok_or_else(|| anyhow!("{place} has no key with the comment {label}"))
                .hint(format!("make one (ssh-keygen -t ed25519 -C {label} -f {label}; ssh-add {label}), or name one of its keys: --signer {name}=ssh:SHA256:…"))?;
            keys.push(key);
        }
        Ok(keys)
    }

    fn of_command(
        &mut self,
        command: &SigningCommand,
        names: &[&'static str],
        choice: &Choice<'_>,
    ) -> anyhow::Result<Vec<HeldKey>> {
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            match (command.key(name), choice) {
                (Ok(key), _) => keys.push(HeldKey {
                    label: (*name).to_owned(),
                    signer: Box::new(key),
                }),
                (Err(error), Choice::Enrol) => {
                    return Err(error).hint("docs/signers.md says what is asked of the program");
                }
                // Another of its keys may be the one that is asked for.
                (Err(error), Choice::Sign(_)) => {
                    let error = anyhow::Error::from(error);
                    self.refused.push(format!("{error:#}"));
                }
            }
        }
        if let Choice::Sign(wanted) = choice {
            keys.retain(|key| wanted(key.signer.key().keyid()));
        }
        Ok(keys)
    }
}

/// The name that none of the keys has.
fn missing(names: &[&'static str], keys: &[HeldKey]) -> Option<&'static str> {
    let has = |name: &&&'static str| !keys.iter().any(|key| key.label == **name);
    names.iter().find(has).copied()
}

fn on(token: &Token, uri: &TokenUri) -> anyhow::Result<Vec<Candidate>> {
    let keys = token.keys(uri)?.into_iter();
    let candidates = keys.map(|key| {
        let label = match &key {
            Ok(key) => key.label.clone(),
            Err(
                TokenError::NoPublicKey { label, .. }
                | TokenError::PublicKey { label, .. }
                | TokenError::AlwaysAsks { label, .. },
            ) => label.clone(),
            Err(_) => String::new(),
        };
        Candidate {
            shown: label.clone(),
            label,
            key: key.map_err(Into::into),
        }
    });
    Ok(candidates.collect())
}

/// What each of `signers` has that a ceremony asks for; each key once.
pub(super) fn keys_to_sign_with(
    signers: &[SignerArg],
    passphrase: &Passphrase,
    wanted: &dyn Fn(&KeyId) -> bool,
) -> anyhow::Result<Vec<HeldKey>> {
    let mut opening = Opening::new(Secrets::new(passphrase));
    let mut keys: Vec<HeldKey> = Vec::new();
    for (uri, names) in any_name(signers) {
        for key in opening.keys(uri, &names, &Choice::Sign(wanted))? {
            let id = key.signer.key().keyid();
            if !keys.iter().any(|known| known.signer.key().keyid() == id) {
                keys.push(key);
            }
        }
    }
    if !keys.is_empty() {
        return Ok(keys);
    }
    let about = "these are the keys of another index, or of somebody who is no holder any more";
    let refused = opening.refused();
    Err(anyhow!(
        "none of these keys signs anything in this ceremony"
    ))
    .hint(match refused {
        [] => about.to_owned(),
        refused => format!(
            "{about}; keys that cannot be used: {}",
            without_controls(&refused.join("; "))
        ),
    })
}
