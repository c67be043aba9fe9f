//! The phrase that opens a custodian's file.

use std::fmt;
use std::str::FromStr;

use rand::CryptoRng;
use wheelmark_tuf::Sha256;
use zeroize::Zeroizing;

/// Digits and letters without `i`, `l`, `o` and `u` (Crockford's base 32): 5 bits each, nothing
/// that is mistaken for something else when it is copied from paper.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Symbols that are random: 130 bits.
const RANDOM_SYMBOLS: usize = 26;

/// Symbols that are computed from the others, so that a slip of the pen is noticed at once.
const CHECK_SYMBOLS: usize = 2;

const SYMBOLS: usize = RANDOM_SYMBOLS + CHECK_SYMBOLS;

/// Symbols between two `-`.
const GROUP: usize = 4;

/// What a custodian's file is encrypted under.
///
/// A generated one has seven groups of four symbols, 130 bits of which are random. The phrase
/// proper is the lower-case form with `-` between the groups: that is what `age` wants to be given.
pub struct Phrase(Zeroizing<String>);

/// Why a text is not a phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Too few or too many symbols.
    #[error("a phrase has {SYMBOLS} letters and digits, this one has {count}")]
    Length {
        /// How many it has.
        count: usize,
    },
    /// A symbol that no phrase has.
    #[error("symbol {position} of the phrase is neither a letter of its alphabet nor a digit")]
    Symbol {
        /// Where it stands, counted from 1, without spaces and `-`.
        position: usize,
    },
    /// The symbols do not fit together.
    #[error("the phrase has a typing error: its last symbols do not match the others")]
    Mistyped,
}

impl Phrase {
    /// A new phrase.
    pub fn generate(rng: &mut dyn CryptoRng) -> Phrase {
        let mut random = Zeroizing::new([0; RANDOM_SYMBOLS]);
        rng.fill_bytes(random.as_mut_slice());
        // 256 is a multiple of 32, so the low five bits are as random as the byte.
        for byte in random.iter_mut() {
            *byte = ALPHABET[usize::from(*byte & 31)];
        }
        Phrase::from_random_symbols(random.as_slice())
    }

    /// Reads a phrase as somebody typed it: upper or lower case, with or without spaces and
    /// `-`, with `o` for `0` and `i` or `l` for `1`.
    ///
    /// # Errors
    ///
    /// [`PhraseError`], which never quotes the phrase.
    pub fn parse(typed: &str) -> Result<Phrase, PhraseError> {
        let mut symbols = Zeroizing::new(Vec::with_capacity(typed.len()));
        for typed in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let meant = match typed.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            match u8::try_from(meant) {
                Ok(symbol) if ALPHABET.contains(&symbol) => symbols.push(symbol),
                _ => {
                    return Err(PhraseError::Symbol {
                        position: symbols.len() + 1,
                    });
                }
            }
        }
        let count = symbols.len();
        if count != SYMBOLS {
            return Err(PhraseError::Length { count });
        }
        let (random, check) = symbols.split_at(RANDOM_SYMBOLS);
        if check_symbols(random).as_slice() != check {
            return Err(PhraseError::Mistyped);
        }
        Ok(Phrase::from_random_symbols(random))
    }

    /// A passphrase that a custodian chose, as it is: of a file that was encrypted anew with
    /// another age implementation. Nothing is known about its strength.
    pub fn chosen(passphrase: &str) -> Phrase {
        Phrase(Zeroizing::new(passphrase.to_owned()))
    }

    /// The phrase itself, to be shown to its custodian once or given to age.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn from_random_symbols(random: &[u8]) -> Phrase {
        let check = check_symbols(random);
        let mut phrase = Zeroizing::new(String::with_capacity(SYMBOLS + SYMBOLS / GROUP));
        for (position, &symbol) in random.iter().chain(check.iter()).enumerate() {
            if position > 0 && position % GROUP == 0 {
                phrase.push('-');
            }
            phrase.push(char::from(symbol));
        }
        Phrase(phrase)
    }
}

/// Ten bits of the SHA-256 of the random symbols.
fn check_symbols(random: &[u8]) -> Zeroizing<[u8; CHECK_SYMBOLS]> {
    let digest = Sha256::of(random).0;
    let bits = [digest[0] & 31, digest[1] & 31];
    Zeroizing::new(bits.map(|bits| ALPHABET[usize::from(bits)]))
}

impl FromStr for Phrase {
    type Err = PhraseError;

    fn from_str(typed: &str) -> Result<Phrase, PhraseError> {
        Phrase::parse(typed)
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(redacted)")
    }
}
