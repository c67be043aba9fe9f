//! A digest as words, to be read aloud and compared by people who are not in one room.
//!
//! One word stands for one byte. The list is our own: common words, none of which begins with the
//! same four letters as another, so that whoever writes them down can cut them short.

use std::fmt;

use wheelmark_tuf::Sha256;

/// How many bytes of a digest are spoken. An attacker needs another ceremony with the same words as
/// a given one, and two that are alike are of no use: 128 bits are out of reach.
pub const SPOKEN: usize = 16;

/// The shortest form of a word that is taken for it.
const SHORTEST: usize = 4;

/// Words in one of [`Words::lines`].
const IN_A_LINE: usize = 4;

/// The beginning of a digest, as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words([u8; SPOKEN]);

/// What was typed is not what the words are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Too few or too many.
    #[error("there are {SPOKEN} words, and {count} were given")]
    Count {
        /// How many were typed.
        count: usize,
    },
    /// Not a word of the list.
    #[error("word {position} is none that a ceremony has")]
    Unknown {
        /// Where it stands, from 1.
        position: usize,
    },
    /// A word of the list, and another one than it should be.
    #[error("word {position} is another one: this is not the ceremony that was read out")]
    Other {
        /// Where it stands, from 1.
        position: usize,
    },
}

impl Words {
    /// The words of a digest.
    pub fn of(digest: &Sha256) -> Words {
        let mut spoken = [0; SPOKEN];
        spoken.copy_from_slice(&digest.0[..SPOKEN]);
        Words(spoken)
    }

    /// Compares with what somebody typed: case, commas and line breaks do not matter, and the first
    /// four letters of a word are enough.
    ///
    /// # Errors
    ///
    /// [`WordsError`] says where the first difference is.
    pub fn check(&self, typed: &str) -> Result<(), WordsError> {
        let typed: Vec<String> = typed
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let count = typed.len();
        if count != SPOKEN {
            return Err(WordsError::Count { count });
        }
        for ((typed, byte), position) in typed.iter().zip(self.0).zip(1..) {
            let is_meant = |word: &&str| {
                *word == typed || (typed.len() >= SHORTEST && word.starts_with(typed.as_str()))
            };
            match LIST.iter().position(is_meant) {
                None => return Err(WordsError::Unknown { position }),
                Some(meant) if meant != usize::from(byte) => {
                    return Err(WordsError::Other { position });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The words, in lines of four.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0.chunks(IN_A_LINE).map(|line| {
            let words: Vec<&str> = line.iter().map(|byte| LIST[usize::from(*byte)]).collect();
            words.join(" ")
        })
    }
}

/// All in one line.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().collect();
        f.write_str(&lines.join(" "))
    }
}

#[rustfmt::skip]
const LIST: [&str; 256] = [
    "acid", "acorn", "alarm", "album", "amber", "anchor", "apple", "apron", "arrow",
    "atlas", "autumn", "bacon", "bamboo", "banjo", "barrel", "basket", "beacon", "bicycle",
    "bishop", "blanket", "blossom", "bottle", "brick", "bridge", "bronze", "bucket",
    "buffalo", "butter", "buzzard", "cabin", "cactus", "camel", "candle", "canyon",
    "carbon", "castle", "chalk", "cherry", "chimney", "cinema", "circus", "clock", "cobra",
    "coffee", "comet", "copper", "coral", "cotton", "crystal", "curtain", "cymbal",
    "dancer", "desert", "diamond", "dinner", "dolphin", "donkey", "dragon", "drawer",
    "eagle", "earth", "echo", "eclipse", "elbow", "emerald", "engine", "envelope",
    "evening", "fabric", "falcon", "farmer", "feather", "ferry", "fiddle", "finger",
    "flame", "flute", "forest", "fossil", "fountain", "galaxy", "garden", "garlic",
    "gazelle", "ginger", "giraffe", "glacier", "globe", "gorilla", "granite", "guitar",
    "hammer", "harbor", "harvest", "helmet", "honey", "hotel", "hunter", "iceberg",
    "igloo", "indigo", "insect", "iron", "island", "ivory", "jacket", "jaguar", "jasmine",
    "jigsaw", "juggler", "jungle", "juniper", "kayak", "kennel", "kettle", "kitchen",
    "knight", "koala", "ladder", "lagoon", "lantern", "lemon", "leopard", "lettuce",
    "lily", "lizard", "lobster", "magnet", "mango", "maple", "marble", "market", "meadow",
    "melon", "mercury", "meteor", "mirror", "monkey", "mosaic", "mustard", "napkin",
    "needle", "nickel", "noodle", "north", "nutmeg", "oasis", "ocean", "octopus", "olive",
    "onion", "opera", "orbit", "orchard", "otter", "oyster", "paddle", "palace", "panda",
    "paper", "parrot", "pebble", "pelican", "pencil", "pepper", "piano", "pigeon",
    "pillow", "pirate", "planet", "pocket", "poplar", "potato", "prairie", "puddle",
    "pumpkin", "puzzle", "pyramid", "quail", "quartz", "quilt", "quiver", "rabbit",
    "rainbow", "ranch", "raven", "ribbon", "riddle", "river", "robin", "rocket", "rooster",
    "rubber", "saddle", "salmon", "sandal", "saucer", "school", "shadow", "shovel",
    "silver", "skeleton", "sleeve", "smoke", "snail", "socket", "spider", "sponge",
    "squirrel", "statue", "sugar", "summer", "sword", "tablet", "tailor", "teacup",
    "temple", "tennis", "thimble", "thunder", "ticket", "tiger", "timber", "tomato",
    "torch", "tower", "tractor", "trumpet", "tulip", "tunnel", "turkey", "umbrella",
    "unicorn", "valley", "vanilla", "velvet", "violet", "volcano", "vulture", "waffle",
    "wagon", "walnut", "weasel", "whale", "whistle", "willow", "window", "winter",
    "wizard", "wolf", "yacht", "yellow", "yogurt", "zebra", "zenith", "zigzag",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_word_is_taken_for_another() {
        let beginning = |word: &&'static str| &word[..SHORTEST];
        let beginnings: BTreeSet<&str> = LIST.iter().map(beginning).collect();
        assert_eq!(beginnings.len(), LIST.len());
        assert!(LIST.is_sorted());
        let is_plain = |word: &str| word.chars().all(|c| c.is_ascii_lowercase());
        assert!(LIST.iter().all(|word| is_plain(word)));
    }

    proptest! {
        #[test]
        fn what_is_read_aloud_is_understood(digest: [u8; 32], wrong in 0..SPOKEN, other: u8) {
            let words = Words::of(&Sha256(digest));
            prop_assert_eq!(words.check(&words.to_string()), Ok(()));
            let lines: Vec<String> = words.lines().collect();
            prop_assert_eq!(words.check(&lines.join(",\n").to_uppercase()), Ok(()));
            let said = words.to_string();
            let short: Vec<&str> = said.split(' ').map(|word| &word[..SHORTEST]).collect();
            prop_assert_eq!(words.check(&short.join(" ")), Ok(()));

            prop_assume!(digest[wrong] != other);
            let mut changed = digest;
            changed[wrong] = other;
            let changed = Words::of(&Sha256(changed)).to_string();
            let position = wrong + 1;
            prop_assert_eq!(words.check(&changed), Err(WordsError::Other { position }));
        }
    }

    #[test]
    fn what_is_not_said_in_full_is_refused() {
        let words = Words::of(&Sha256([7; 32]));
        assert_eq!(words.check(""), Err(WordsError::Count { count: 0 }));
        let said = words.to_string();
        let (_, cut) = said.split_once(' ').expect("there are several words");
        let count = SPOKEN - 1;
        assert_eq!(words.check(cut), Err(WordsError::Count { count }));
        let odd = format!("{cut} nonsense");
        let position = SPOKEN - 15;
        assert_ne!(words.check(&odd), Ok(()));
        let odd = format!("nonsense {cut}");
        assert_eq!(words.check(&odd), Err(WordsError::Unknown { position }));
    }
}
