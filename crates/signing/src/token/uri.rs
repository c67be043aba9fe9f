//! PKCS#11 URIs (RFC 7512), as far as they name a token and a private key on it.

use std::path::PathBuf;
use std::str::FromStr;

/// The longest URI, in bytes. A label on a token has 32.
const MAX_URI_LEN: usize = 4096;

/// Which token, and which key on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// The library that talks to the token.
    pub(crate) module: PathBuf,
    /// The label of the token.
    pub(crate) token: Option<String>,
    /// Who made it.
    pub(crate) manufacturer: Option<String>,
    /// Its model.
    pub(crate) model: Option<String>,
    /// Its serial number.
    pub(crate) serial: Option<String>,
    /// Where it is plugged in.
    pub(crate) slot_id: Option<u64>,
    /// The label of the one key that is meant.
    pub(crate) object: Option<String>,
    /// The id of the one key that is meant.
    pub(crate) id: Option<Vec<u8>>,
    /// The file that has the PIN.
    pub(crate) pin_source: Option<PathBuf>,
}

/// A text is no PKCS#11 URI that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenUriError {
    /// Longer than any.
    #[error("a pkcs11: URI has at most {MAX_URI_LEN} bytes")]
    Long,
    /// A part that is not `name=value`.
    #[error("`{}` in a pkcs11: URI is not name=value (write % and ; in a value as %25 and %3B)", part.escape_debug())]
    Part {
        /// The part.
        part: String,
    },
    /// A name that means nothing here.
    #[error(
        "`{}` in a pkcs11: URI is not used: token, serial, model, manufacturer, slot-id, object, id and type=private name a key, and behind ? stand module-path and pin-source",
        name.escape_debug()
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// One name twice.
    #[error("`{name}` stands twice in a pkcs11: URI")]
    Twice {
        /// The name.
        name: String,
    },
    /// A value that cannot be read.
    #[error("the value of `{name}` in a pkcs11: URI cannot be read")]
    Value {
        /// Whose.
        name: String,
    },
    /// The PIN in clear.
    #[error(
        "pin-value would show the PIN to every user of this machine and keep it in the shell's history: give it when you are asked, with pin-source=FILE, --passphrase-fd or --passphrase-credential"
    )]
    PinValue,
    /// Another object than a private key.
    #[error("only private keys sign: leave `type` out, or write type=private")]
    Type,
    /// The library is not named.
    #[error(
        "a pkcs11: URI names the token's library here, such as ?module-path=/usr/lib/softhsm/libsofthsm2.so"
    )]
    NoModule,
    /// A relative library would be looked for in places that others may write to.
    #[error("module-path has to be absolute, not `{}`", path.display())]
    RelativeModule {
        /// What was given.
        path: PathBuf,
    },
    /// A program in place of a file.
    #[error("pin-source names a file here (pin-source=/path or file:/path), not a program")]
    PinProgram,
}

impl TokenUri {
    /// The library that talks to the token.
    pub fn module(&self) -> &std::path::Path {
        &self.module
    }

    /// The file that has the PIN, if the URI names one.
    pub fn pin_source(&self) -> Option<&std::path::Path> {
        self.pin_source.as_deref()
    }

    /// The label of the one key that is meant, if the URI names it.
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Whether one key is named, and not only its token.
    pub fn names_a_key(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }
}

impl FromStr for TokenUri {
    type Err = TokenUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_URI_LEN {
            return Err(TokenUriError::Long);
        }
        let rest = text.strip_prefix("pkcs11:").unwrap_or(text);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        let parts = path.split(';').map(|part| (part, false));
        let parts = parts.chain(query.split('&').map(|part| (part, true)));
        for (part, in_query) in parts.filter(|(part, _)| !part.is_empty()) {
            let Some((name, value)) = part.split_once('=') else {
                let part = part.to_owned();
                return Err(TokenUriError::Part { part });
            };
            if name == "pin-value" {
                return Err(TokenUriError::PinValue);
            }
            if seen.contains(&name) {
                let name = name.to_owned();
                return Err(TokenUriError::Twice { name });
            }
            seen.push(name);
            uri.set(name, value, in_query)?;
        }
        if uri.module.as_os_str().is_empty() {
            return Err(TokenUriError::NoModule);
        }
        if !uri.module.is_absolute() {
            let path = uri.module;
            return Err(TokenUriError::RelativeModule { path });
        }
        Ok(uri)
    }
}

impl TokenUri {
    fn set(&mut self, name: &str, value: &str, in_query: bool) -> Result<(), TokenUriError> {
        let wrong = || TokenUriError::Value {
            name: name.to_owned(),
        };
        let bytes = percent_decoded(value).ok_or_else(wrong)?;
        let text = || String::from_utf8(bytes.clone()).map_err(|_| wrong());
        match (name, in_query) {
            ("token", false) => self.token = Some(text()?),
            ("manufacturer", false) => self.manufacturer = Some(text()?),
            ("model", false) => self.model = Some(text()?),
            ("serial", false) => self.serial = Some(text()?),
            ("slot-id", false) => self.slot_id = Some(text()?.parse().map_err(|_| wrong())?),
            ("object", false) => self.object = Some(text()?),
            ("id", false) if bytes.is_empty() => return Err(wrong()),
            ("id", false) => self.id = Some(bytes),
            ("type", false) if value == "private" => {}
            ("type", false) => return Err(TokenUriError::Type),
            ("module-path", true) => self.module = PathBuf::from(text()?),
            ("pin-source", true) => {
                let named = text()?;
                let file = named.strip_prefix("file:").unwrap_or(&named);
                let file = file.strip_prefix("//").unwrap_or(file);
                if file.is_empty() || file.starts_with('|') {
                    return Err(TokenUriError::PinProgram);
                }
                self.pin_source = Some(PathBuf::from(file));
            }
            _ => {
                let name = name.to_owned();
                return Err(TokenUriError::Unknown { name });
            }
        }
        Ok(())
    }
}

/// The bytes that a value stands for (RFC 3986, §2.1).
fn percent_decoded(value: &str) -> Option<Vec<u8>> {
    let mut rest = value.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            decoded.push(first);
            continue;
        }
        let digits = rest.split_at_checked(2)?;
        rest = digits.1;
        let mut byte = [0];
        hex::decode_to_slice(digits.0, &mut byte).ok()?;
        decoded.push(byte[0]);
    }
    Some(decoded)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TokenUri, TokenUriError> {
        text.parse()
    }

    const MODULE: &str = "module-path=/lib/p11.so";

    #[test]
    fn a_token_and_a_key_are_named_as_the_rfc_has_it() {
        let uri = read(&format!(
            "pkcs11:token=My%20token;serial=0f;slot-id=3;object=a%3Bb;id=%01%ff;type=private?{MODULE}&pin-source=file:/run/pin"
        ))
        .unwrap();
        let expected = TokenUri {
            module: PathBuf::from("/lib/p11.so"),
            token: Some("My token".to_owned()),
            serial: Some("0f".to_owned()),
            slot_id: Some(3),
            object: Some("a;b".to_owned()),
            id: Some(vec![1, 0xff]),
            pin_source: Some(PathBuf::from("/run/pin")),
            ..TokenUri::default()
        };
        assert_eq!(uri, expected);
        assert!(uri.names_a_key());
        let plain = read(&format!("pkcs11:?{MODULE}&pin-source=/run/pin")).unwrap();
        assert_eq!(plain.pin_source, expected.pin_source);
        assert!(!plain.names_a_key());
    }

    #[test]
    fn a_pin_in_the_uri_is_refused_wherever_it_stands() {
        for text in [
            format!("pkcs11:token=a?{MODULE}&pin-value=1234"),
            format!("pkcs11:token=a;pin-value=1234?{MODULE}"),
            "pkcs11:?pin-value=".to_owned(),
        ] {
            let why = read(&text).unwrap_err();
            assert_eq!(why, TokenUriError::PinValue, "{text}");
            assert!(!why.to_string().contains("1234"));
        }
    }

    #[test]
    fn nothing_is_overlooked() {
        let part = |text: &str| read(&format!("pkcs11:{text}?{MODULE}")).unwrap_err();
        assert!(matches!(part("tokn=a"), TokenUriError::Unknown { .. }));
        assert!(matches!(
            part("module-path=/x"),
            TokenUriError::Unknown { .. }
        ));
        assert!(matches!(part("token"), TokenUriError::Part { .. }));
        assert!(matches!(
            part("token=a;token=b"),
            TokenUriError::Twice { .. }
        ));
        assert!(matches!(part("token=%"), TokenUriError::Value { .. }));
        assert!(matches!(part("token=%zz"), TokenUriError::Value { .. }));
        assert!(matches!(part("token=%ff"), TokenUriError::Value { .. }));
        assert!(matches!(part("slot-id=x"), TokenUriError::Value { .. }));
        assert!(matches!(part("id="), TokenUriError::Value { .. }));
        assert!(matches!(part("type=cert"), TokenUriError::Type));
        assert!(matches!(part(&"a".repeat(5000)), TokenUriError::Long));
        assert!(matches!(
            read("pkcs11:token=a").unwrap_err(),
            TokenUriError::NoModule
        ));
        assert!(matches!(
            read("pkcs11:token=a?module-path=p11.so").unwrap_err(),
            TokenUriError::RelativeModule { .. }
        ));
        assert!(matches!(
            read(&format!("pkcs11:?{MODULE}&pin-source=|/bin/pin")).unwrap_err(),
            TokenUriError::PinProgram
        ));
        assert!(matches!(
            read(&format!("pkcs11:?{MODULE}&module-name=p11")).unwrap_err(),
            TokenUriError::Unknown { .. }
        ));
    }
}
