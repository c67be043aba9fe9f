//! What people decide, by rules and project by project.

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_packaging::ProjectName;

use crate::plan::{Change, ClaimChange, ClaimWhat, Decision, Plan, Signer, Support, What};

/// Which changes a decision is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// All of them.
    All,
    /// Those for which something speaks. An attestation counts for that where files of the project were
    /// attested by the same identity before: anybody can attest anything. Other copies do not: one that
    /// follows the index has what a thief has published.
    Supported,
    /// Those for which nothing speaks.
    Unsupported,
    /// Those that a project's own keys have signed which were sealed.
    Sealed,
    /// Those that a project's own keys have signed, sealed or not.
    Developer,
    /// Files attested by this identity.
    Attested(String),
    /// Files that at least so many other copies had.
    Copies(u32),
}

/// A decision that does not go together with another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The project.
    pub project: ProjectName,
    /// What is wrong, for people.
    pub why: &'static str,
}

/// What a project's own keys have signed, in two minds.
const IN_TWO: &str = "its own keys sign its page as a whole, or who signs it changed: all of these changes are kept, or all are dropped";

/// A claim that cannot be kept.
const NEW_KEYS: &str = "a claim that is new, or has other keys, is dropped, and what the other keys have signed with it: its people claim again";

/// A claim that goes on, and a page that its keys have not signed.
const GOES_ON: &str = "its claim goes on, so its page is the one of before: drop these changes, or keep that the claim has ended";

/// What nobody can publish once more.
const NOT_AGAIN: &str = "a file with other bytes, one that is gone without a trace, and what no page names can only be dropped";

/// One entry, in two minds.
const ONE_FILE: &str = "two changes of one file are one entry: both are kept, or both are dropped";

impl Rule {
    /// Whether the rule is about something that these speak for.
    fn covers(&self, supports: &[Support]) -> bool {
        let any = |test: &dyn Fn(&Support) -> bool| supports.iter().any(test);
        let supported = || any(&|support| counts(support));
        match self {
            Self::All => true,
            Self::Supported => supported(),
            Self::Unsupported => !supported(),
            Self::Sealed => any(&|support| *support == Support::Sealed),
            Self::Developer => {
                any(&|support| matches!(support, Support::Sealed | Support::Developer))
            }
            Self::Attested(wanted) => any(&|support| match support {
                Support::Attested { identity, .. } => identity == wanted,
                _ => false,
            }),
            Self::Copies(least) => any(&|support| match support {
                Support::Copies { count } => count >= least,
                _ => false,
            }),
        }
    }
}

/// Whether a support speaks for itself.
pub(crate) fn counts(support: &Support) -> bool {
    match support {
        Support::Sealed | Support::Developer => true,
        Support::Attested { known, .. } => *known,
        Support::Copies { .. } => false,
    }
}

/// Whether a change can be kept at all: what no honest index does cannot be published again.
fn can_stay(change: &Change) -> bool {
    change.signed == Signer::Project
        || !matches!(change.what, What::Changed | What::Vanished | What::Target)
}

/// What is decided about a change without being asked.
fn usual(change: &Change, has_claim: bool) -> Option<Decision> {
    if !can_stay(change) {
        return Some(Decision::Drop);
    }
    // The keys of before have signed it, and go on to sign.
    let is_sealed = change.supports.contains(&Support::Sealed) && !has_claim;
    is_sealed.then_some(Decision::Keep)
}

/// The same about a claim.
fn usual_of_claim(claim: &ClaimChange) -> Option<Decision> {
    (claim.what == ClaimWhat::Added).then_some(Decision::Drop)
}

impl Plan {
    /// Decides about everything that the rule is about and that nobody has decided yet. Says how many changes
    /// that were.
    ///
    /// What goes together is decided together: what a project's own keys have signed, and its claim, only
    /// where the rule is about all of it.
    pub fn decide(&mut self, rule: &Rule, decision: Decision) -> usize {
        let mut pieces: BTreeMap<ProjectName, bool> = BTreeMap::new();
        for piece in self.pieces() {
            let covered = piece.covered_by(rule);
            pieces.insert(piece.project.clone(), covered);
        }
        let mut decided = 0;
        let mut put = |place: &mut Option<Decision>, decision| {
            if place.is_none() {
                *place = Some(decision);
                decided += 1;
            }
        };
        for claim in &mut self.claims {
            if pieces.get(&claim.project) == Some(&true) {
                put(&mut claim.decision, of_claim(claim.what, decision));
            }
        }
        let claimed = self.claimed();
        for ProjectOf { project, changes } in projects(&mut self.projects) {
            let what = claimed.get(project).copied();
            for change in changes {
                let covered = match belongs(change, what.is_some()) {
                    true => pieces.get(project) == Some(&true),
                    false => rule.covers(&change.supports),
                };
                if covered {
                    let decision = of_change(change, what, decision);
                    put(&mut change.decision, decision);
                }
            }
        }
        decided
    }

    /// Which claims changed, and how.
    fn claimed(&self) -> BTreeMap<ProjectName, ClaimWhat> {
        let claims = self.claims.iter();
        claims
            .map(|claim| (claim.project.clone(), claim.what))
            .collect()
    }

    /// Decides about everything of one project, whatever was decided before. None where nothing of it changed.
    pub fn decide_project(&mut self, name: &ProjectName, decision: Decision) -> Option<usize> {
        let mut decided = 0;
        let mut what = None;
        for claim in self
            .claims
            .iter_mut()
            .filter(|claim| claim.project == *name)
        {
            claim.decision = Some(of_claim(claim.what, decision));
            what = Some(claim.what);
            decided += 1;
        }
        for ProjectOf { project, changes } in projects(&mut self.projects) {
            for change in changes.iter_mut().filter(|_| project == name) {
                change.decision = Some(of_change(change, what, decision));
                decided += 1;
            }
        }
        (decided > 0).then_some(decided)
    }

    /// Takes back every decision.
    pub fn undecide(&mut self) {
        for claim in &mut self.claims {
            claim.decision = None;
        }
        let changes = self.projects.iter_mut();
        for change in changes.flat_map(|project| &mut project.changes) {
            change.decision = None;
        }
    }

    /// Decides what nobody has to be asked about, where it is not decided yet: what the keys of sealed
    /// projects have signed is kept, and what can not be kept is dropped.
    pub fn decide_the_usual(&mut self) {
        let claimed = self.claimed();
        for claim in &mut self.claims {
            claim.decision = claim.decision.or(usual_of_claim(claim));
        }
        for ProjectOf { project, changes } in projects(&mut self.projects) {
            for change in changes {
                let usual = usual(change, claimed.contains_key(project));
                change.decision = change.decision.or(usual);
            }
        }
    }

    /// Takes over what was decided in an earlier plan about the very same changes. That something is kept is
    /// taken over only where the project's page and what is taken away from it are the same as well: of a file,
    /// a change says the bytes alone. Says how many decisions these were.
    pub fn take_over(&mut self, earlier: &Plan) -> usize {
        let mut taken = 0;
        let same_now: BTreeSet<ProjectName> = self
            .projects
            .iter()
            .filter(|project| {
                let known = earlier.project(&project.project);
                known.is_some_and(|known| (known.page, known.list) == (project.page, project.list))
            })
            .map(|project| project.project.clone())
            .collect();
        let changed: BTreeSet<ProjectName> = self
            .projects
            .iter()
            .map(|one| one.project.clone())
            .collect();
        let holds = |project: &ProjectName, decision: Decision| {
            let is_same = same_now.contains(project) || !changed.contains(project);
            decision == Decision::Drop || is_same
        };
        for claim in &mut self.claims {
            let same = earlier.claims.iter().find(|known| {
                let same = (&known.project, known.what, &known.then, &known.now);
                same == (&claim.project, claim.what, &claim.then, &claim.now)
            });
            let decision = same.and_then(|known| known.decision);
            if let Some(decision) = decision.filter(|decision| holds(&claim.project, *decision)) {
                claim.decision = Some(decision);
                taken += 1;
            }
        }
        let mut known = BTreeMap::new();
        for project in &earlier.projects {
            for change in &project.changes {
                known.insert((&project.project, named(change)), change.decision);
            }
        }
        for ProjectOf { project, changes } in projects(&mut self.projects) {
            for change in changes {
                let decision = known.get(&(project, named(change))).copied().flatten();
                if let Some(decision) = decision.filter(|decision| holds(project, *decision)) {
                    change.decision = Some(decision);
                    taken += 1;
                }
            }
        }
        taken
    }

    /// Decisions that do not go together. A plan with one can not be carried out.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let mut told = |project: &ProjectName, why| {
            let project = project.clone();
            conflicts.push(Conflict { project, why });
        };
        for piece in self.pieces() {
            let mut decided = piece.changes.iter().map(|change| change.decision);
            let first = decided.next();
            if decided.any(|decision| Some(decision) != first) {
                told(piece.project, IN_TWO);
            }
            let Some(claim) = piece.claim else { continue };
            let keeps = |decision: Option<Decision>| decision == Some(Decision::Keep);
            let keeps_any = piece.changes.iter().any(|change| keeps(change.decision));
            match claim.what {
                ClaimWhat::Added if keeps(claim.decision) => told(piece.project, NEW_KEYS),
                ClaimWhat::Keys if keeps(claim.decision) || keeps_any => {
                    told(piece.project, NEW_KEYS)
                }
                ClaimWhat::Removed if claim.decision == Some(Decision::Drop) && keeps_any => {
                    told(piece.project, GOES_ON);
                }
                _ => {}
            }
        }
        for project in &self.projects {
            let mut of_files: BTreeMap<&str, Option<Decision>> = BTreeMap::new();
            for change in project
                .changes
                .iter()
                .filter(|one| one.signed == Signer::Index)
            {
                if !can_stay(change) && change.decision == Some(Decision::Keep) {
                    told(&project.project, NOT_AGAIN);
                }
                let Some(file) = change.file.as_deref().filter(|_| can_stay(change)) else {
                    continue;
                };
                if *of_files.entry(file).or_insert(change.decision) != change.decision {
                    told(&project.project, ONE_FILE);
                }
            }
        }
        conflicts
    }

    /// What of each project is kept or dropped as a whole.
    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut pieces: BTreeMap<&ProjectName, Piece<'_>> = BTreeMap::new();
        fn new(project: &ProjectName) -> Piece<'_> {
            Piece {
                project,
                claim: None,
                changes: Vec::new(),
            }
        }
        for claim in &self.claims {
            let piece = pieces.entry(&claim.project);
            piece.or_insert_with(|| new(&claim.project)).claim = Some(claim);
        }
        for one in &self.projects {
            let project = &one.project;
            let has_claim = pieces.contains_key(project);
            for change in one
                .changes
                .iter()
                .filter(|change| belongs(change, has_claim))
            {
                let piece = pieces.entry(project).or_insert_with(|| new(project));
                piece.changes.push(change);
            }
        }
        pieces.into_values()
    }
}

/// What of a project is kept or dropped as a whole.
struct Piece<'a> {
    project: &'a ProjectName,
    claim: Option<&'a ClaimChange>,
    changes: Vec<&'a Change>,
}

impl Piece<'_> {
    fn covered_by(&self, rule: &Rule) -> bool {
        let covered = |supports: &[Support]| rule.covers(supports);
        if matches!(rule, Rule::Attested(_) | Rule::Copies(_)) {
            // That is said of files: of no claim, and of nothing that comes with it.
            let files = self.changes.iter().filter(|change| change.file.is_some());
            let mut files = files.peekable();
            return self.claim.is_none()
                && files.peek().is_some()
                && files.all(|change| covered(&change.supports));
        }
        let mut changes = self.changes.iter();
        self.claim.is_none_or(|claim| covered(&claim.supports))
            && changes.all(|change| covered(&change.supports))
    }
}

/// What a decision comes to for a claim: one that is new, or has other keys, goes.
fn of_claim(what: ClaimWhat, decision: Decision) -> Decision {
    match what {
        ClaimWhat::Added | ClaimWhat::Keys => Decision::Drop,
        ClaimWhat::Removed => decision,
    }
}

/// What it comes to for a change of a project, whose claim may have changed.
fn of_change(change: &Change, claim: Option<ClaimWhat>, decision: Decision) -> Decision {
    let is_of_other_keys = claim == Some(ClaimWhat::Keys) && belongs(change, true);
    match can_stay(change) && !is_of_other_keys {
        true => decision,
        false => Decision::Drop,
    }
}

/// What a change is, as it is found again in another plan.
fn named(change: &Change) -> impl Ord + use<> {
    let Change {
        what,
        signed,
        file,
        then,
        now,
        ..
    } = change;
    (*what, *signed, file.clone(), *then, *now)
}

/// Whether a change is part of what is kept or dropped as a whole: what the project's own keys have signed; and
/// where a claim changed, the whole page.
fn belongs(change: &Change, has_claim: bool) -> bool {
    let of_list = matches!(change.what, What::TakenAway | What::GivenBack | What::List);
    change.signed == Signer::Project || (has_claim && !of_list)
}

struct ProjectOf<'a> {
    project: &'a ProjectName,
    changes: &'a mut Vec<Change>,
}

fn projects(all: &mut [crate::plan::ProjectChanges]) -> impl Iterator<Item = ProjectOf<'_>> {
    all.iter_mut().map(|one| ProjectOf {
        project: &one.project,
        changes: &mut one.changes,
    })
}

#[cfg(test)]
mod tests;
