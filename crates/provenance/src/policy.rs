//! What a person asks of files before they are installed, and how a file comes out.
//!
//! ```text
//! wheelmark.toml ─▶ PolicyFile ─┐
//! wheelmark.toml ─▶ PolicyFile ─┴▶ Policy ─▶ decide(facts about a file, now) ─▶ Decision
//! ```
//!
//! Within one file rules are asked in order, and for each kind of demand the first rule that is for
//! the file and says something of that kind decides; `[everything]` is asked last. So a file can make
//! exceptions from itself. Several files are never weighed against each other: what each of them
//! decides has to hold. So another file can only ever ask for more, wherever it comes from.
//!
//! Text and a time go in: nothing here reads a clock, a file or a socket.

mod age;
mod decision;
mod demand;
mod facts;
mod locked;
mod mistake;
mod pattern;
mod reading;
mod rule;

pub use age::{Age, AgeError};
pub use decision::{Decision, Failing, Line, Outcome, Shortfall};
pub use demand::{BackSigned, Demand, DemandKind};
pub use facts::{Attested, Facts, FileKind, Mark, SignedBy};
pub use locked::LockedIdentityError;
pub use mistake::Mistake;
pub use pattern::{PatternError, ProjectPattern};
pub use rule::{Clause, Policy, PolicyFile, Rule, RuleName};

#[cfg(test)]
mod tests;
