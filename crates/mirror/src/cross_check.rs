//! An index and its mirrors, asked one by one and compared.
//!
//! ```text
//!  trusted root ─┬─▶ source A: chain, roles ─▶ Observation ─┐
//!                ├─▶ source B: chain, roles ─▶ Observation ─┼─▶ who is where; which version of
//!                └─▶ what was kept here     ─▶ Observation ─┘   which role exists twice: Evidence
//! ```
//!
//! Nobody's answer is taken for another's: each source is verified by itself, from the same root
//! and without memory. That two of them differ in their versions is delay. That one version of a
//! role has two contents, both signed, is no accident of a mirror: whoever holds the keys has told
//! two people two things.

mod compare;
mod kept;
mod observation;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wheelmark_client::ChainFiles;
use wheelmark_tuf::{Equivocation, Evidence, RoleName};

use crate::audit::Heads;
use crate::place::Place;

use self::kept::Kept;
use self::observation::{Observation, observe};

/// A place that is asked.
#[derive(Debug)]
pub struct Source<P> {
    /// What it is called.
    pub name: String,
    /// The place.
    pub place: P,
}

/// How a comparison is made.
#[derive(Clone, Copy, Debug)]
pub struct CrossCheckOptions {
    /// What is judged as expired.
    pub now: Timestamp,
    /// Whether only the top-level roles are compared, and not those that they delegate to.
    pub quick: bool,
    /// Which source the others are held against; the newest without one.
    pub reference: Option<usize>,
}

/// Where a source stands, compared with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// It has the state that the others are held against.
    Equal,
    /// Its state is older.
    Behind {
        /// By how many versions of the timestamp.
        versions: u64,
        /// By how much time, told by when the two timestamps end; none where that does not tell
        /// it, because the older one ends later.
        time: Option<SignedDuration>,
    },
    /// Its state is newer.
    Ahead {
        /// By how many versions of the timestamp.
        versions: u64,
        /// By how much time, told by when the two timestamps end; none where that does not tell
        /// it, because the older one ends later.
        time: Option<SignedDuration>,
    },
    /// Readers refuse its state, because it has expired.
    Expired {
        /// What has expired, and when.
        why: String,
    },
    /// Readers refuse what it has.
    Refused {
        /// Why.
        why: String,
    },
    /// It cannot be asked.
    Unreachable {
        /// Why.
        why: String,
    },
}

/// A source, and what was found of it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it is called.
    pub name: String,
    /// The state that it has, as far as it is one.
    pub heads: Option<Heads>,
    /// How many roles of it were compared.
    pub roles: usize,
    /// Projects' own roles that have expired: readers refuse those projects, and nothing else.
    pub ended: Vec<RoleName>,
    /// Where it stands.
    pub position: Position,
}

/// One version of a role that has two contents.
#[derive(Debug)]
pub struct Contradiction {
    /// The role.
    pub role: RoleName,
    /// The version.
    pub version: u64,
    /// Who shows the one, and who the other.
    pub sources: [String; 2],
    /// The proof, or why there is none.
    pub proof: Result<Proof, String>,
}

/// An evidence that was verified.
#[derive(Debug)]
pub struct Proof {
    /// The evidence.
    pub evidence: Box<Evidence>,
    /// What it proves.
    pub found: Equivocation,
}

/// What a comparison comes to.
#[derive(Debug)]
pub struct CrossCheck {
    /// Every source, in the order given.
    pub sources: Vec<Checked>,
    /// What exists twice.
    pub contradictions: Vec<Contradiction>,
}

impl CrossCheck {
    /// The longest delay, of those that are behind or ahead.
    #[must_use]
    pub fn longest_delay(&self) -> Option<SignedDuration> {
        let delays = self
            .sources
            .iter()
            .filter_map(|source| match source.position {
                Position::Behind { time, .. } | Position::Ahead { time, .. } => Some(time),
                _ => None,
            });
        // One that cannot be told is longer than any.
        delays.map(|time| time.unwrap_or(SignedDuration::MAX)).max()
    }

    /// Whether a contradiction is proved.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.contradictions.iter().any(|found| found.proof.is_ok())
    }

    /// Whether a source is expired, refused or cannot be asked.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        let failed = |source: &Checked| {
            matches!(
                source.position,
                Position::Expired { .. } | Position::Refused { .. } | Position::Unreachable { .. }
            )
        };
        self.sources.iter().any(failed)
    }
}

/// Asks every source at the same time, each from `root` on, and compares what they say. `kept` is
/// what was accepted here before, and is a witness like the others. `asked` is called with the
/// number of roles that were asked for in all.
pub fn cross_check<P: Place>(
    sources: &[Source<P>],
    root: &[u8],
    kept: Option<&ChainFiles>,
    options: &CrossCheckOptions,
    asked: &(dyn Fn(u64) + Sync),
) -> CrossCheck {
    let mut observations: Vec<Observation> = std::thread::scope(|scope| {
        let asking: Vec<_> = sources
            .iter()
            .map(|source| {
                scope.spawn(|| observe(&source.name, &source.place, root, options, asked))
            })
            .collect();
        let answers = asking.into_iter().map(|thread| match thread.join() {
            Ok(observation) => observation,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        answers.collect()
    });
    let checked = compare::positions(&observations, options);
    if let Some(kept) = kept {
        let place = Kept::new(kept, &observations);
        let name = "what this machine accepted before";
        let options = CrossCheckOptions {
            quick: true,
            ..*options
        };
        observations.push(observe(name, &place, root, &options, &|_| {}));
    }
    CrossCheck {
        sources: checked,
        contradictions: compare::contradictions(&observations, root),
    }
}

/// A second less, so that what ends then has not ended yet.
const A_SECOND: Duration = Duration::from_secs(1);
