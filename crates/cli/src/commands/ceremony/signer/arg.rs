//! `--signer`: a place of keys, and what they are for.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::anyhow;
use wheelmark_signing::{SEAT_KEYS, SignerUri};

use super::secret::Passphrase;
use crate::logging::WithHint as _;

/// Private keys, and what they are for if they are not for everything.
#[derive(Clone, Debug)]
pub(crate) struct SignerArg {
    pub(crate) name: Option<&'static str>,
    pub(crate) uri: SignerUri,
}

impl FromStr for SignerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = |text: &str| text.parse::<SignerUri>().map_err(|error| error.to_string());
        match text.split_once('=') {
            Some((word, rest)) if !word.contains(':') => {
                let name = SEAT_KEYS.into_iter().find(|name| *name == word);
                let name = name.ok_or_else(|| match word {
                    "simple" | "packages" => format!("the key for {word} is called bins"),
                    _ => format!(
                        "`{}` is none of a holder's keys: {}",
                        word.escape_debug(),
                        SEAT_KEYS.join(", ")
                    ),
                })?;
                Ok(Self {
                    name: Some(name),
                    uri: uri(rest)?,
                })
            }
            _ => Ok(Self {
                name: None,
                uri: uri(text)?,
            }),
        }
    }
}

/// The signers that were named. Read here and not while the command line is: what is wrong with one
/// would be shown with all of it, and a PIN can stand in it.
pub(crate) fn parsed(texts: &[String], passphrase: &Passphrase) -> anyhow::Result<Vec<SignerArg>> {
    let signers = texts.iter().map(|text| text.parse::<SignerArg>());
    let signers: Vec<SignerArg> = signers
        .collect::<Result<_, String>>()
        .map_err(|why| anyhow!(why))
        .hint("docs/signers.md has them all")?;
    let is_program = |signer: &SignerArg| matches!(signer.uri, SignerUri::Command(_));
    if passphrase.is_inherited() && signers.iter().any(is_program) {
        return Err(anyhow!(
            "a program would inherit the descriptor that has the passphrase, and could read it"
        ))
        .hint("type it, or give it with --passphrase-credential or, for a token, pin-source=FILE");
    }
    Ok(signers)
}

/// What each signer may be asked for where the keys themselves say what they are for.
pub(crate) fn any_name(signers: &[SignerArg]) -> Vec<(&SignerUri, Vec<&'static str>)> {
    let each = signers.iter().map(|signer| match signer.name {
        Some(name) => (&signer.uri, vec![name]),
        None => (&signer.uri, SEAT_KEYS.to_vec()),
    });
    each.collect()
}

/// What each signer is for: the names that are given, and the rest for the one without.
pub(crate) fn assigned(
    signers: &[SignerArg],
) -> anyhow::Result<Vec<(&SignerUri, Vec<&'static str>)>> {
    let mut left: BTreeSet<&'static str> = SEAT_KEYS.into_iter().collect();
    for name in signers.iter().filter_map(|signer| signer.name) {
        if !left.remove(name) {
            return Err(anyhow!("{name} has two signers"))
                .hint("each of a holder's keys is in one place: name one for it");
        }
    }
    if signers
        .iter()
        .filter(|signer| signer.name.is_none())
        .count()
        > 1
    {
        return Err(anyhow!("it is not said which signer is for what"))
            .hint("say it as in --signer root=URI; one may stand without, for all the rest");
    }
    let rest: Vec<&'static str> = left.into_iter().collect();
    let each = signers.iter().map(|signer| match signer.name {
        Some(name) => Ok((&signer.uri, vec![name])),
        None if rest.is_empty() => Err(anyhow!("a signer is left over: each key has one already")),
        None => Ok((&signer.uri, rest.clone())),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn names(signers: &[&str]) -> anyhow::Result<Vec<Vec<&'static str>>> {
        let signers: Vec<SignerArg> = signers.iter().map(|text| text.parse().unwrap()).collect();
        let assigned = assigned(&signers)?;
        Ok(assigned.into_iter().map(|(_, names)| names).collect())
    }

    #[test]
    fn one_signer_may_stand_for_the_rest() {
        assert_eq!(names(&["ssh:"]).unwrap(), [SEAT_KEYS.to_vec()]);
        assert_eq!(
            names(&["ssh:", "root=file:a=b.age", "bins=command:kms"]).unwrap(),
            [vec!["claimed", "targets"], vec!["root"], vec!["bins"]]
        );
        assert_eq!(names(&["root=ssh:"]).unwrap(), [["root"]]);
        assert!(names(&["root=ssh:", "root=file:a"]).is_err(), "twice");
        assert!(names(&["ssh:", "file:a"]).is_err(), "two for the rest");
        let each = ["root=ssh:", "targets=ssh:", "claimed=ssh:", "bins=ssh:"];
        assert_eq!(names(&each).unwrap().len(), 4);
        assert!(
            names(&[&each[..], &["file:a"]].concat()).is_err(),
            "left over"
        );
    }

    #[test]
    fn an_equals_sign_behind_the_scheme_is_part_of_the_uri() {
        let signer: SignerArg = "pkcs11:token=root?module-path=/p11.so".parse().unwrap();
        assert_eq!(signer.name, None);
        let signer: SignerArg = "root=pkcs11:token=a?module-path=/p11.so".parse().unwrap();
        assert_eq!(signer.name, Some("root"));
        let why = |text: &str| text.parse::<SignerArg>().unwrap_err();
        assert!(why("timestamp=ssh:").contains("none of a holder's keys"));
        assert!(why("packages=ssh:").contains("is called bins"));
        assert!(why("root=").contains("a signer is named as"));
    }
}
