//! How a file comes out, line by line.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::age::{Age, ago};
use super::demand::{BackSigned, Demand, DemandKind};
use super::facts::{Attested, Facts, Mark, SignedBy};
use super::rule::{NotFor, Policy, RuleName};
use crate::chain::Chain;
use crate::openpgp::{Fingerprint, VERIFIES};
use crate::publisher::Publisher;

/// What a policy says of a file: every line that asks for anything, and what became of it.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// The lines, in the order of the files and of their rules.
    pub lines: Vec<Line<'a>>,
}

/// A line of a policy that a file does not satisfy.
#[derive(Clone, Debug)]
pub struct Failing<'a> {
    /// The file that it stands in.
    pub source: &'a str,
    /// The line in it, counted from 1.
    pub line: usize,
    /// What is asked.
    pub demand: &'a Demand,
    /// What is lacking.
    pub shortfall: Shortfall,
}

/// One line of a policy.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The file that it stands in.
    pub source: &'a str,
    /// The line in it, counted from 1.
    pub line: usize,
    /// The rule.
    pub rule: RuleName,
    /// Whether the file that it stands in is the person's word, or their system's.
    pub trusted: bool,
    /// Which files the rule is for, in words.
    pub who: String,
    /// What is asked.
    pub demand: &'a Demand,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It asks nothing of this file: its rule is for others, for this reason.
    NotForIt(&'static str),
    /// An earlier line of the same file has decided.
    DecidedBefore {
        /// That line.
        line: usize,
    },
    /// The file is as asked, which shows in this.
    Holds(String),
    /// It is not.
    Fails(Shortfall),
}

/// What a file lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// It has not been there for long enough.
    TooYoung {
        /// Since when it has been there.
        since: Timestamp,
        /// How long that is.
        age: SignedDuration,
        /// How long it has to be.
        asked: Age,
    },
    /// Nobody says since when it has been there.
    AgeUnknown {
        /// How long it has to be.
        asked: Age,
    },
    /// Fewer sign for it than are asked for.
    Chain {
        /// Who does.
        found: Chain,
        /// Who has to.
        asked: Chain,
    },
    /// It was there before its index was first signed.
    BackSigned {
        /// When that was.
        at: Timestamp,
    },
    /// Nobody says whether it was there before its index was first signed.
    Unmarked,
    /// Others attest to it than those that are asked for.
    OtherIdentity {
        /// Who does.
        found: Vec<Publisher>,
    },
    /// All that are asked for are of kinds whose attestations cannot be told.
    UnknownKinds {
        /// The kinds.
        kinds: Vec<String>,
    },
    /// Nobody attests to it.
    NotAttested {
        /// Why not.
        why: String,
    },
    /// Other certificates than those that are asked for signed it.
    OtherCertificate {
        /// Those that did.
        found: Vec<Fingerprint>,
    },
    /// It has no signature that holds.
    NoSignature {
        /// Why not.
        why: String,
    },
    /// OpenPGP signatures cannot be verified by this build.
    CannotVerify,
}

impl Policy {
    /// Says of every line what becomes of it for a file, as of `now`.
    pub fn decide(&self, facts: &Facts<'_>, now: Timestamp) -> Decision<'_> {
        let mut lines = Vec::new();
        for source in self.files() {
            for rule in source.rules_about(facts.file) {
                let is_for = rule.is_for(facts.file);
                for clause in rule.clauses() {
                    let demand = clause.demand();
                    let outcome = match is_for {
                        Err(NotFor::Project) => Outcome::NotForIt("another project"),
                        Err(NotFor::Version) => Outcome::NotForIt("another version"),
                        Err(NotFor::Kind) => Outcome::NotForIt("another kind of file"),
                        Ok(()) => match source.deciding(facts.file, demand.kind()) {
                            Some((_, deciding)) if !std::ptr::eq(deciding, clause) => {
                                Outcome::DecidedBefore {
                                    line: deciding.line(),
                                }
                            }
                            _ => judged(demand, facts, now),
                        },
                    };
                    lines.push(Line {
                        source: source.name(),
                        trusted: source.is_trusted(),
                        line: clause.line(),
                        rule: rule.name(),
                        who: rule.who(),
                        demand,
                        outcome,
                    });
                }
            }
        }
        Decision { lines }
    }

    /// The first line of one kind that a file does not satisfy; for pages, which have thousands of
    /// files.
    pub fn failing(
        &self,
        facts: &Facts<'_>,
        kind: DemandKind,
        now: Timestamp,
    ) -> Option<Failing<'_>> {
        self.files().iter().find_map(|source| {
            let (_, clause) = source.deciding(facts.file, kind)?;
            match judged(clause.demand(), facts, now) {
                Outcome::Fails(shortfall) => Some(Failing {
                    source: source.name(),
                    line: clause.line(),
                    demand: clause.demand(),
                    shortfall,
                }),
                _ => None,
            }
        })
    }
}

impl<'a> Decision<'a> {
    /// The lines that the file does not satisfy.
    pub fn failing(&self) -> impl Iterator<Item = (&Line<'a>, &Shortfall)> {
        self.lines.iter().filter_map(|line| match &line.outcome {
            Outcome::Fails(shortfall) => Some((line, shortfall)),
            _ => None,
        })
    }

    /// Whether the file is as every file asks.
    pub fn holds(&self) -> bool {
        self.failing().next().is_none()
    }
}

/// What becomes of a demand that is made of the file.
fn judged(demand: &Demand, facts: &Facts<'_>, now: Timestamp) -> Outcome {
    let found = match demand {
        Demand::Chain(asked) if facts.chain >= *asked => Ok(facts.chain.to_string()),
        Demand::Chain(asked) => Err(Shortfall::Chain {
            found: facts.chain,
            asked: *asked,
        }),
        Demand::MinAge(asked) => of_age(*asked, facts.visible_since, now),
        Demand::BackSigned(BackSigned::Accept) => Ok("any is accepted".to_owned()),
        Demand::BackSigned(BackSigned::Refuse) => match facts.mark {
            Mark::AtUpload => Ok("signed at its upload".to_owned()),
            Mark::Back(at) => Err(Shortfall::BackSigned { at }),
            Mark::None => Err(Shortfall::Unmarked),
        },
        Demand::AttestedBy(asked) if let Some(kinds) = unknown_kinds(asked) => {
            Err(Shortfall::UnknownKinds { kinds })
        }
        Demand::AttestedBy(asked) => match &facts.attested {
            Attested::By(identities) => {
                let mut matching = identities
                    .iter()
                    .filter(|one| asked.iter().any(|publisher| one.matches(publisher).is_ok()));
                match matching.next() {
                    Some(identity) => Ok(format!("attested as {identity}")),
                    None => Err(Shortfall::OtherIdentity {
                        found: identities.iter().map(|one| one.publisher()).collect(),
                    }),
                }
            }
            Attested::Nobody(why) => Err(Shortfall::NotAttested { why: why.clone() }),
            Attested::NotLookedAt => Err(Shortfall::NotAttested {
                why: "it was not looked at".to_owned(),
            }),
        },
        Demand::OpenPgp(asked) => match &facts.openpgp {
            SignedBy::Certificates(found) => match found.iter().find(|one| asked.contains(one)) {
                Some(one) => Ok(format!("signed by {one}")),
                None => Err(Shortfall::OtherCertificate {
                    found: found.clone(),
                }),
            },
            SignedBy::Nobody(why) => Err(Shortfall::NoSignature { why: why.clone() }),
            SignedBy::NotLookedAt if !VERIFIES => Err(Shortfall::CannotVerify),
            SignedBy::NotLookedAt => Err(Shortfall::NoSignature {
                why: "it was not looked at".to_owned(),
            }),
        },
    };
    match found {
        Ok(why) => Outcome::Holds(why),
        Err(shortfall) => Outcome::Fails(shortfall),
    }
}

/// The kinds of publishers, if none of them is known here.
fn unknown_kinds(asked: &[Publisher]) -> Option<Vec<String>> {
    let mut kinds = asked.iter().map(|publisher| match publisher {
        Publisher::Unknown(unknown) => Some(unknown.kind().to_owned()),
        _ => None,
    });
    kinds
        .by_ref()
        .collect::<Option<Vec<_>>>()
        .filter(|kinds| !kinds.is_empty())
}

fn of_age(asked: Age, since: Option<Timestamp>, now: Timestamp) -> Result<String, Shortfall> {
    let Some(since) = since else {
        // A file of any age is older than none.
        return match asked {
            Age::NONE => Ok("any age will do".to_owned()),
            asked => Err(Shortfall::AgeUnknown { asked }),
        };
    };
    let age = now.duration_since(since);
    if asked == Age::NONE || age >= asked.duration() {
        return Ok(format!("there since {}, {}", day(since), ago(age)));
    }
    Err(Shortfall::TooYoung { since, age, asked })
}

/// A date and a time, as people read them.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooYoung { since, age, asked } => {
                let (since_when, how_long) = (day(*since), ago(*age));
                write!(
                    f,
                    "it is too new: there since {since_when}, {how_long}, and has to be {asked} old"
                )?;
                match since.checked_add(asked.duration()) {
                    Ok(then) => write!(f, ", which it is on {}", day(then)),
                    Err(_) => Ok(()),
                }
            }
            Self::AgeUnknown { asked } => write!(
                f,
                "its page does not say since when it has been there, and it has to be {asked} old"
            ),
            Self::Chain { found, asked } => write!(f, "it is {found}, and has to be {asked}"),
            Self::BackSigned { at } => write!(
                f,
                "it was there before its index was first signed, on {}",
                day(*at)
            ),
            Self::Unmarked => f.write_str(
                "its page does not say whether it was there before its index was first signed",
            ),
            Self::OtherIdentity { found } => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{} attests to it, and not one of those asked for",
                    found.join(" and ")
                )
            }
            Self::UnknownKinds { kinds } => {
                let kinds: Vec<String> = kinds
                    .iter()
                    .map(|kind| kind.escape_debug().to_string())
                    .collect();
                write!(
                    f,
                    "who attests to it can only be told for publishers of known kinds, and `{}` is none of them",
                    kinds.join("`, `")
                )
            }
            Self::NotAttested { why } => {
                write!(f, "none of those asked for attests to it: {why}")
            }
            Self::OtherCertificate { found } => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the OpenPGP certificate {} signed it, and none of those asked for",
                    found.join(" and ")
                )
            }
            Self::NoSignature { why } => {
                write!(f, "it has no OpenPGP signature of those asked for: {why}")
            }
            Self::CannotVerify => {
                f.write_str("this build of wheelmark verifies no OpenPGP signatures")
            }
        }
    }
}

impl Shortfall {
    /// What that can mean.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::TooYoung { .. } => {
                "nothing is known against it: most malicious releases are found out within days, \
                 and the policy waits for that"
            }
            Self::AgeUnknown { .. } | Self::Unmarked => {
                "the index does not say what the policy has to know"
            }
            Self::Chain { .. } => {
                "the project's own developers have not signed for it, or the index is not signed; \
                 or somebody shows you a state in which they have not"
            }
            Self::BackSigned { .. } => "what happened to the file until then, nobody signed",
            Self::OtherIdentity { .. }
            | Self::NotAttested { .. }
            | Self::OtherCertificate { .. }
            | Self::NoSignature { .. } => {
                "it was made by somebody else, or without the step that signs; or what proves who \
                 made it was taken away"
            }
            Self::CannotVerify | Self::UnknownKinds { .. } => "nothing was found to be false",
        }
    }

    /// What to do next.
    pub fn next(&self) -> &'static str {
        match self {
            Self::TooYoung { .. } => {
                "wait, or take an older version; if you need this one now, read what changed in it \
                 and give it a rule of its own in the policy, before the one that is named here"
            }
            Self::AgeUnknown { .. }
            | Self::Unmarked
            | Self::Chain { .. }
            | Self::BackSigned { .. } => {
                "take another version, or give this project a rule of its own in the policy, before \
                 the one that is named here"
            }
            Self::OtherIdentity { .. }
            | Self::NotAttested { .. }
            | Self::OtherCertificate { .. }
            | Self::NoSignature { .. } => {
                "do not install it by another way; ask the project's developers whether they made \
                 it, and how"
            }
            Self::UnknownKinds { .. } => {
                "use a Wheelmark that is new enough to know them, or take the identity out of the lock"
            }
            Self::CannotVerify => {
                "use a build with the feature `openpgp`, or ask for something else in the policy"
            }
        }
    }
}
