//! What the person's policy holds back, and what it refuses.
//!
//! ```text
//! verified page ─▶ Guard::offered ─▶ the page, too young files marked as yanked ─▶ installer
//! file, metadata ─▶ Guard::admit  ─▶ handed on, or refused with the line of the policy
//! ```
//!
//! A file that is too young stays on the page, and is marked as yanked: installers pass over it and
//! take the newest that is left (PEP 592), and one that was asked for by its exact version gets the
//! refusal and not the message that there is no such version. What is wrong with a file in any other
//! way is refused when it is asked for: were it left out, an installer would be content with an older
//! one, and nobody would hear of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use wheelmark_packaging::simple::{PageFile, Signed, Yanked};
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_provenance::openpgp::{Certificates, VERIFIES};
use wheelmark_provenance::policy::{
    Attested, Decision, Demand, DemandKind, Facts, Line, Mark, Outcome, Policy, RuleName,
    Shortfall, SignedBy,
};
use wheelmark_provenance::{Identity, Publisher, Remembered, Standing, TrustedRoots};
use wheelmark_tuf::{Clock, Sha256};

use crate::evidence::{Evidence, Witness};
use crate::page::VerifiedPage;
use crate::reader::Reader;
use crate::refusal::Failure;
use crate::signatures::Signatures;

/// Holds files against a policy, and against who attested to their projects before.
pub struct Guard {
    policy: Policy,
    clock: Arc<dyn Clock>,
    witness: Witness,
    signatures: Signatures,
    /// The projects that were seen attested for the first time since this guard was made: one file
    /// of such a project is often asked for several times.
    new: Mutex<BTreeSet<ProjectName>>,
}

/// Who attests to a file, and on whose word that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedAs {
    /// The identity, as it stands in the attestation's certificate.
    pub identity: Identity,
    /// On whose word it counts.
    pub word: Word,
}

/// On whose word an identity counts. Never on the index's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// A policy names it.
    Policy,
    /// A lock file names it, and nobody else is remembered.
    LockFile,
    /// It attested to this project before, or a person accepted it for the project.
    Remembered,
    /// It attested to the first file of the project that was seen, which is this one.
    FirstUse,
}

/// A file that an installer does not choose, because it has not been there for long enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldBack {
    /// The project.
    pub project: ProjectName,
    /// The file's name.
    pub file: String,
    /// Its version.
    pub version: Version,
    /// What it lacks.
    pub why: String,
    /// What asks for it.
    pub rule: String,
    /// The file of the policy that this stands in.
    pub policy: String,
    /// The line in it.
    pub line: usize,
}

/// A line of a policy that a file does not satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsatisfied {
    /// The file that the line stands in.
    pub policy: String,
    /// The line in it, counted from 1.
    pub line: usize,
    /// The rule that it belongs to.
    pub rule: RuleName,
    /// What it asks for.
    pub demand: Demand,
    /// What is lacking.
    pub shortfall: Shortfall,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.policy;
        f.debug_struct("Guard")
            .field("policy", policy)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard that asks for what the policy asks for.
    #[must_use]
    pub fn new(policy: Policy, roots: TrustedRoots, clock: Arc<dyn Clock>) -> Self {
        Self {
            policy,
            clock,
            witness: Witness::new(roots),
            signatures: Signatures::default(),
            new: Mutex::default(),
        }
    }

    /// The same guard, with the OpenPGP certificates that the person has. Which of them count is the
    /// policy's word.
    #[must_use]
    pub fn knowing(self, certificates: Certificates) -> Self {
        Self {
            signatures: Signatures::knowing(certificates),
            ..self
        }
    }

    fn first_seen(&self) -> MutexGuard<'_, BTreeSet<ProjectName>> {
        // Every change is one insertion.
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The page as an installer gets it, and what is held back on it.
    #[must_use]
    pub fn offered(&self, page: &Arc<VerifiedPage>) -> (Arc<VerifiedPage>, Vec<HeldBack>) {
        if !self.policy.speaks_of(DemandKind::MinAge) {
            return (page.clone(), Vec::new());
        }
        let held: Vec<HeldBack> = page
            .page()
            .files
            .iter()
            .filter_map(|file| self.held_back(page, file))
            .collect();
        if held.is_empty() {
            return (page.clone(), held);
        }
        let mut offered = page.page().clone();
        // Both are in the order of the page.
        let mut each = held.iter().peekable();
        for file in &mut offered.files {
            let Some(held) = each.next_if(|held| held.file == file.filename.as_str()) else {
                continue;
            };
            file.yanked = Yanked::Because(match &file.yanked {
                Yanked::Because(reason) => {
                    format!("held back by wheelmark: {}; {reason}", held.why)
                }
                _ => format!("held back by wheelmark: {}", held.why),
            });
        }
        // What is held back changes with the hour, and the page with it.
        let names: String = held.iter().map(|held| format!("{}\n", held.file)).collect();
        let sha256 = Sha256::of(format!("{}\n{names}", page.sha256()).as_bytes());
        (Arc::new(page.derived(sha256, offered)), held)
    }

    fn held_back(&self, page: &VerifiedPage, file: &PageFile) -> Option<HeldBack> {
        let facts = facts(page, file);
        let failing = self
            .policy
            .failing(&facts, DemandKind::MinAge, self.clock.now());
        let line = failing?;
        Some(HeldBack {
            project: page.page().name.clone(),
            file: file.filename.as_str().to_owned(),
            version: file.filename.version().clone(),
            why: line.shortfall.to_string(),
            rule: line.demand.to_string(),
            policy: line.source.to_owned(),
            line: line.line,
        })
    }

    /// Whether a file has been there for long enough.
    #[must_use]
    pub fn is_old_enough(&self, page: &VerifiedPage, file: &PageFile) -> bool {
        let facts = facts(page, file);
        let now = self.clock.now();
        self.policy
            .failing(&facts, DemandKind::MinAge, now)
            .is_none()
    }

    /// What the policy says of a file of a page, line by line.
    ///
    /// What nobody looked at counts as not there: see [`Guard::look`] and [`Guard::look_at_signature`].
    #[must_use]
    pub fn decide(
        &self,
        page: &VerifiedPage,
        file: &PageFile,
        evidence: &Evidence,
        signed_by: &SignedBy,
    ) -> Decision<'_> {
        let facts = Facts {
            attested: evidence.as_fact(),
            openpgp: signed_by.clone(),
            ..facts(page, file)
        };
        self.policy.decide(&facts, self.clock.now())
    }

    /// Looks at who attests to a file.
    ///
    /// # Errors
    ///
    /// [`Failure`] when what the page names could not be had.
    pub async fn look(
        &self,
        reader: &Reader,
        page: &VerifiedPage,
        file: &PageFile,
    ) -> Result<Evidence, Failure> {
        let found = reader.provenance(&page.page().name, file).await?;
        Ok(match found {
            None => Evidence::None,
            Some(bytes) => self
                .witness
                .hear(&file.filename, file, &bytes, self.clock.now()),
        })
    }

    /// The lines of the policy that a file does not satisfy as to who attests to it.
    #[must_use]
    pub fn lacking(
        &self,
        page: &VerifiedPage,
        file: &PageFile,
        evidence: &Evidence,
    ) -> Vec<Unsatisfied> {
        let decision = self.decide(page, file, evidence, &SignedBy::NotLookedAt);
        let lines = decision.lines.iter();
        let lines = lines.filter(|line| line.demand.kind() == DemandKind::AttestedBy);
        lines.filter_map(unsatisfied).collect()
    }

    /// Looks at whose OpenPGP signature a file has, where the policy asks for one: it takes the whole
    /// file.
    ///
    /// # Errors
    ///
    /// [`Failure`] when what it takes could not be had.
    pub async fn look_at_signature(
        &self,
        reader: &Reader,
        page: &VerifiedPage,
        file: &PageFile,
    ) -> Result<SignedBy, Failure> {
        let asked = self.policy.asked_certificates(&file.filename);
        if asked.is_empty() || !VERIFIES {
            return Ok(SignedBy::NotLookedAt);
        }
        let now = self.clock.now();
        self.signatures.of(reader, page, file, &asked, now).await
    }

    /// Whether a file's core metadata may be handed on: who attests to the file, and who signed it, is
    /// looked at when the file itself is asked for.
    pub(crate) fn admit_metadata(
        &self,
        page: &VerifiedPage,
        file: &PageFile,
    ) -> Result<(), Failure> {
        let decision = self.decide(page, file, &Evidence::None, &SignedBy::NotLookedAt);
        let early = |line: &&Line<'_>| match line.demand.kind() {
            DemandKind::AttestedBy => false,
            DemandKind::OpenPgp => !VERIFIES,
            _ => true,
        };
        satisfied(decision.lines.iter().filter(early))
    }

    /// Whether a file may be handed on, and who attests to it.
    pub(crate) async fn admit(
        &self,
        reader: &Reader,
        page: &VerifiedPage,
        file: &PageFile,
    ) -> Result<Option<AttestedAs>, Failure> {
        self.admit_metadata(page, file)?;
        let project = &page.page().name;
        let index = reader.index();
        let remembered = index.remembered(project).map_err(Failure::Kept)?;
        let evidence = self.look(reader, page, file).await?;
        let asks_more = |line: &&Line<'_>| line.demand.kind() != DemandKind::OpenPgp;
        let decision = self.decide(page, file, &evidence, &SignedBy::NotLookedAt);
        satisfied(decision.lines.iter().filter(asks_more))?;
        let remembered_as = (file.filename.version(), file.upload_time);
        if named_by_policy(&decision, evidence.identities()).is_none() {
            let attested: Vec<&Identity> = evidence.identities().iter().collect();
            let (version, uploaded) = remembered_as;
            demand_accepted(remembered.weigh(version, uploaded, &attested), &evidence)?;
        }
        // Last, since it takes the whole file.
        let signed_by = self.look_at_signature(reader, page, file).await?;
        let decision = self.decide(page, file, &evidence, &signed_by);
        satisfied(decision.lines.iter())?;
        let identities = evidence.identities();
        if let Some(named) = named_by_policy(&decision, identities) {
            return Ok(Some(AttestedAs {
                identity: named.clone(),
                word: Word::Policy,
            }));
        }
        let by_lock = named_by_lock(&decision, identities);
        let locked = by_lock.first().copied();
        let (version, uploaded) = remembered_as;
        // Where nobody is remembered and a lock says who it has to be, nobody else becomes expected
        // by being there as well.
        let attested: Vec<&Identity> = match locked.is_some() && remembered.is_empty() {
            true => by_lock,
            false => identities.iter().collect(),
        };
        let name = file.filename.as_str();
        let now = self.clock.now();
        let mut after = remembered.clone();
        let file = (name, version, uploaded);
        let mut standing = after.weigh_and_remember(file, &attested, now);
        if after != remembered {
            // Somebody else may have been first meanwhile.
            let change = |known: &mut Remembered| known.weigh_and_remember(file, &attested, now);
            let remembering = match page.under() {
                Some(under) => index.remember_seen(project, under, change).await,
                None => index.remember(project, change).await,
            };
            standing = remembering.map_err(Failure::Kept)?;
        }
        match standing {
            Standing::Known(_) | Standing::First(_) if let Some(locked) = locked => {
                Ok(Some(AttestedAs {
                    identity: locked.clone(),
                    word: Word::LockFile,
                }))
            }
            Standing::Unattested | Standing::Older => Ok(None),
            Standing::Known(publisher) => {
                let word = if self.first_seen().contains(project) {
                    Word::FirstUse
                } else {
                    Word::Remembered
                };
                Ok(by(&publisher, identities, word))
            }
            Standing::First(found) => {
                self.first_seen().insert(project.clone());
                let mut found = found.iter();
                Ok(found.find_map(|first| by(first, identities, Word::FirstUse)))
            }
            standing => Err(Failure::Identity {
                standing: Box::new(standing),
                why: evidence.why(),
            }),
        }
    }
}

/// Refuses a file to which others attest than those that are expected.
fn demand_accepted(standing: Standing, evidence: &Evidence) -> Result<(), Failure> {
    match standing {
        Standing::Unattested | Standing::Older | Standing::First(_) | Standing::Known(_) => Ok(()),
        standing => Err(Failure::Identity {
            standing: Box::new(standing),
            why: evidence.why(),
        }),
    }
}

/// The identities that every lock file names which asks for any.
fn named_by_lock<'a>(decision: &Decision<'_>, identities: &'a [Identity]) -> Vec<&'a Identity> {
    let lines = || {
        let lines = decision.lines.iter();
        lines.filter_map(|line| match (line.rule, line.demand, &line.outcome) {
            (RuleName::Locked, Demand::AttestedBy(asked), Outcome::Holds(_)) => Some(asked),
            _ => None,
        })
    };
    if lines().next().is_none() {
        return Vec::new();
    }
    let is_named = |one: &&Identity| {
        lines().all(|asked| asked.iter().any(|publisher| one.matches(publisher).is_ok()))
    };
    identities.iter().filter(is_named).collect()
}

/// The identity that a policy of the person's own names.
fn named_by_policy<'a>(
    decision: &Decision<'_>,
    identities: &'a [Identity],
) -> Option<&'a Identity> {
    decision.lines.iter().find_map(|line| match line.demand {
        Demand::AttestedBy(asked) if line.trusted && matches!(line.outcome, Outcome::Holds(_)) => {
            identities
                .iter()
                .find(|one| asked.iter().any(|publisher| one.matches(publisher).is_ok()))
        }
        _ => None,
    })
}

fn by(publisher: &Publisher, identities: &[Identity], word: Word) -> Option<AttestedAs> {
    let mut matching = identities
        .iter()
        .filter(|one| one.matches(publisher).is_ok());
    matching.next().map(|identity| AttestedAs {
        identity: identity.clone(),
        word,
    })
}

fn satisfied<'l, 'p: 'l>(lines: impl Iterator<Item = &'l Line<'p>>) -> Result<(), Failure> {
    let unsatisfied: Vec<Unsatisfied> = lines.filter_map(unsatisfied).collect();
    if unsatisfied.is_empty() {
        return Ok(());
    }
    Err(Failure::Policy(unsatisfied))
}

fn unsatisfied(line: &Line<'_>) -> Option<Unsatisfied> {
    let Outcome::Fails(shortfall) = &line.outcome else {
        return None;
    };
    Some(Unsatisfied {
        policy: line.source.to_owned(),
        line: line.line,
        rule: line.rule,
        demand: line.demand.clone(),
        shortfall: shortfall.clone(),
    })
}

/// Since when a file has been there, as far as its page says it.
fn visible_since(file: &PageFile) -> Option<Timestamp> {
    let marks = file.wheelmark.as_ref();
    // Nobody was given it before it was signed, nor while it was withheld.
    let signed = marks.filter(|marks| marks.signed == Signed::AtUpload);
    let later = [
        signed.map(|marks| marks.signed_at),
        marks.and_then(|marks| marks.visible_since),
    ];
    let later = later.into_iter().flatten().max();
    file.upload_time
        .map(|time| later.map_or(time, |later| time.max(later)))
}

/// What a page says of a file.
fn facts<'a>(page: &VerifiedPage, file: &'a PageFile) -> Facts<'a> {
    let marks = file.wheelmark.as_ref();
    Facts {
        file: &file.filename,
        chain: page.chain_of(file.filename.as_str()),
        visible_since: visible_since(file),
        mark: match marks.map(|marks| (marks.signed, marks.signed_at)) {
            None => Mark::None,
            Some((Signed::AtUpload, _)) => Mark::AtUpload,
            Some((Signed::Back, at)) => Mark::Back(at),
        },
        attested: Attested::NotLookedAt,
        openpgp: SignedBy::NotLookedAt,
    }
}

impl fmt::Display for Unsatisfied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            policy,
            line,
            rule,
            demand,
            shortfall,
        } = self;
        let asks = match (rule, demand) {
            // As it stands there.
            (RuleName::Locked, Demand::AttestedBy(publishers)) => {
                let each: Vec<String> = publishers.iter().map(ToString::to_string).collect();
                format!("attestation-identities: {}", each.join(", "))
            }
            _ => demand.to_string(),
        };
        write!(f, "{shortfall} (`{asks}`, line {line} of {policy})")
    }
}

#[cfg(test)]
mod tests;
