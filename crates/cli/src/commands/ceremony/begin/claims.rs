//! Which claims a ceremony seals, which it leaves out and why, and which seals it takes off.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wheelmark_ceremony::{Ceremony, Claim, ClaimChanges, MOST_SEALED, Published, Standing};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::RoleName;

use crate::commands::mirror::duration;
use crate::logging::WithHint as _;
use crate::published::{self, Online};

/// For how long the keys of a claim have to have stood unchanged, unless it is said otherwise: time for
/// the project's people to see a claim that is not theirs.
pub(crate) const USUAL_AGE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The most bytes of projects' roles that travel with one ceremony: half of what is read of one.
const MAX_ROLES_LEN: usize = 32 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct ClaimArgs {
    /// Seal the claims that wait: the offline key says from then on whose keys sign for these projects;
    /// of projects that are sealed already, take over the keys to which their people have handed over
    #[arg(long)]
    claim_pending: bool,

    /// Those alone whose keys have stood unchanged for so long [default: 14d]
    #[arg(long, value_name = "TIME", requires = "claim_pending", value_parser = duration)]
    older_than: Option<SignedDuration>,

    /// This project alone, and others that are named
    #[arg(long = "project", value_name = "NAME", requires = "claim_pending")]
    projects: Vec<ProjectName>,

    /// Leave this project out
    #[arg(long, value_name = "NAME", requires = "claim_pending")]
    except: Vec<ProjectName>,

    /// Take the seal off a project's claim: it is as before it was sealed then, and can be ended with
    /// `wheelmark index project unclaim`
    #[arg(long, value_name = "NAME")]
    unseal: Vec<ProjectName>,
}

/// What becomes of claims, and what is told of the others.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) changes: ClaimChanges,
    left_out: Vec<(Claim, Why)>,
}

/// Why a claim is left out.
enum Why {
    /// Its keys do not stand for long enough: from when on they do.
    TooYoung(Timestamp),
    /// Nothing says since when they stand.
    NoAge,
    /// It was named with `--except`.
    Excepted,
    /// There are more than one ceremony takes.
    TooMany,
}

/// What the offline key can take over: a claim that waits, or the changed keys of a sealed project.
struct Candidate {
    /// Since when its keys stand.
    since: Option<Timestamp>,
    claim: Claim,
    is_sealed: bool,
}

impl Why {
    fn word(&self) -> &'static str {
        match self {
            Self::TooYoung(_) => "too-young",
            Self::NoAge => "no-age",
            Self::Excepted => "excepted",
            Self::TooMany => "too-many",
        }
    }
}

impl ClaimArgs {
    /// Looks through the claims of what is published in `tree`, and adds to `published` what holders need
    /// to see that it is so.
    pub(super) fn choose(
        &self,
        tree: &Path,
        published: &mut Published,
        online: &Online,
        now: Timestamp,
    ) -> anyhow::Result<Chosen> {
        let mut chosen = Chosen::default();
        let unseal = self.unseal.iter().map(role_of);
        chosen.changes.unseal = unseal.collect::<Result<_, _>>()?;
        if !self.claim_pending {
            show_claims(tree, published, online);
            return Ok(chosen);
        }
        let older_than = self.older_than.unwrap_or(USUAL_AGE);
        chosen.changes.older_than = older_than;
        published::add_claims(tree, published, online)?;
        let standing = Standing::verify(published.clone())
            .with_context(|| format!("{} is no ground for a ceremony", tree.display()))?;
        let pending = standing.pending().into_iter().map(|claim| Candidate {
            since: claim.marks.unchanged_since(),
            claim,
            is_sealed: false,
        });
        let mut candidates: Vec<Candidate> = pending.collect();
        candidates.extend(handed_over(&standing, tree, online, now));
        self.demand_pending(&candidates)?;
        // The oldest first, if there are more than one ceremony takes.
        candidates.sort_by_key(|candidate| candidate.since);
        let (named, except) = (roles_of(&self.projects)?, roles_of(&self.except)?);
        let (mut length, mut is_full) = (0, false);
        for Candidate {
            since,
            claim,
            is_sealed,
        } in candidates
        {
            if !named.is_empty() && !named.contains(&claim.role) {
                continue;
            }
            // Whose seal is taken off keeps the keys that it has.
            if chosen.changes.unseal.contains(&claim.role) {
                continue;
            }
            let old_enough = since.map(|since| since.saturating_add(older_than));
            let why = match old_enough {
                _ if except.contains(&claim.role) => Some(Why::Excepted),
                None => Some(Why::NoAge),
                Some(from) => {
                    let from = from.unwrap_or(Timestamp::MAX);
                    (from > now).then_some(Why::TooYoung(from))
                }
            };
            let count = chosen.changes.seal.len() + chosen.changes.take_over.len();
            is_full |= count >= MOST_SEALED || length > MAX_ROLES_LEN;
            let why = why.or(is_full.then_some(Why::TooMany));
            if let Some(why) = why {
                chosen.left_out.push((claim, why));
                continue;
            }
            length += published::add(tree, published, online, &claim.role)?;
            match is_sealed {
                true => chosen.changes.take_over.insert(claim.role),
                false => chosen.changes.seal.insert(claim.role),
            };
        }
        chosen
            .left_out
            .sort_by(|(one, _), (other, _)| one.role.cmp(&other.role));
        Ok(chosen)
    }

    /// What is named waits: a name that is mistyped must not seal what it was to leave out.
    fn demand_pending(&self, candidates: &[Candidate]) -> anyhow::Result<()> {
        let waits = |project: &&ProjectName| {
            let mut candidates = candidates.iter();
            candidates.any(|candidate| candidate.claim.project() == project.as_str())
        };
        let mut named = self.projects.iter().chain(&self.except);
        match named.find(|project| !waits(project)) {
            None => Ok(()),
            Some(project) => Err(anyhow!(
                "{project} does not wait to be sealed, and its people have not handed over to other keys"
            ))
            .hint(
                "`wheelmark index keys` says how many claims wait; `wheelmark explain PROJECT` whether one is sealed already",
            ),
        }
    }
}

impl Chosen {
    /// The claims that are left out, in lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.left_out.iter().map(|(claim, why)| {
            let project = claim.project();
            match why {
                Why::TooYoung(from) => format!(
                    "left out: {project}, whose keys do not stand unchanged for long enough: from {from} on they do"
                ),
                Why::NoAge => format!("left out: {project}, since nothing says how old its claim is"),
                Why::Excepted => format!("left out: {project}, as you said"),
                Why::TooMany => format!("left out: {project}, which waits for the next ceremony, since this one is full"),
            }
        });
        lines.collect()
    }

    /// What becomes of claims, for scripts.
    pub(super) fn to_json(&self, ceremony: &Ceremony) -> Value {
        let sealed = ceremony.newly_sealed();
        let sealed = sealed.iter().map(|claim| {
            let mut told = as_json(claim);
            told["floor"] = claim.marks.floor.into();
            told
        });
        let taken_over = ceremony.handed_over();
        let taken_over = taken_over.iter().map(|handed| {
            let mut told = as_json(&handed.after);
            told["floor"] = handed.after.marks.floor.into();
            told["before"] = as_json(&handed.before);
            told
        });
        let left_out = self.left_out.iter().map(|(claim, why)| {
            let mut told = as_json(claim);
            told["why"] = why.word().into();
            if let Why::TooYoung(from) = why {
                told["from"] = from.to_string().into();
            }
            told
        });
        let unsealed = self.changes.unseal.iter().filter_map(RoleName::project);
        json!({
            "sealed": sealed.collect::<Vec<_>>(),
            "taken_over": taken_over.collect::<Vec<_>>(),
            "left_out": left_out.collect::<Vec<_>>(),
            "unsealed": unsealed.collect::<Vec<_>>(),
        })
    }
}

/// The sealed projects whose people have handed over to keys that the offline key does not know. One whose
/// role is damaged keeps nobody from sealing others.
fn handed_over(
    standing: &Standing,
    tree: &Path,
    online: &Online,
    now: Timestamp,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for sealed in standing.sealed() {
        let role = &sealed.role;
        let handed = published::role_file(tree, online, role)
            .and_then(|bytes| Ok(standing.handed_over(role, &bytes, now)?));
        match handed {
            Ok(Some(handed)) => candidates.push(Candidate {
                since: Some(handed.since),
                claim: handed.after,
                is_sealed: true,
            }),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "whether {} has other keys than the sealed ones cannot be seen",
                sealed.project()
            ),
        }
    }
    candidates
}

/// Lets the list of claims come along all the same: holders remember it, and hold against it what the
/// next one says of their age. A list that is damaged keeps nobody from renewing a root.
fn show_claims(tree: &Path, published: &mut Published, online: &Online) {
    let mut with = published.clone();
    let added = published::add_claims(tree, &mut with, online);
    let read = added.and_then(|()| Ok(Standing::verify(with.clone())?));
    match read {
        Ok(_) => *published = with,
        Err(error) => tracing::warn!(
            error = format!("{error:#}"),
            "holders do not see the list of claims in this ceremony"
        ),
    }
}

fn as_json(claim: &Claim) -> Value {
    let keys: serde_json::Map<String, Value> = claim
        .keys
        .iter()
        .map(|(id, user)| (id.as_str().to_owned(), user.clone().into()))
        .collect();
    json!({
        "project": claim.project(),
        "keys": keys,
        "threshold": claim.threshold,
        "claimed_at": claim.marks.claimed_at.map(|at| at.to_string()),
        "unchanged_since": claim.marks.unchanged_since().map(|at| at.to_string()),
    })
}

fn role_of(project: &ProjectName) -> anyhow::Result<RoleName> {
    RoleName::of_project(project.as_str()).with_context(|| format!("{project} has no role"))
}

fn roles_of(projects: &[ProjectName]) -> anyhow::Result<BTreeSet<RoleName>> {
    projects.iter().map(role_of).collect()
}
