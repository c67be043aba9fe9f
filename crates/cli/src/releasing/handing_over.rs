//! Handing a project over from the keys that sign for it to others.
//!
//! ```text
//! the keys of today, verified ─▶ what changes, shown ─▶ handover, signed ─▶ metadata, signed ─▶ send
//! ```
//!
//! The handover is signed by those who sign now and by every key that comes in; it stands in the
//! metadata, which is signed once more by all of them. Nothing of the page changes. Where not all of
//! them are here, it waits at the index for the others, as a release does.

mod shown;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::json;
use wheelmark_client::Claim;
use wheelmark_packaging::ProjectName;
use wheelmark_repository::project_role;
use wheelmark_signing::{HeldKey, Signer, sign_role};
use wheelmark_tuf::{Handover, Key, KeyId, KeySet};

pub(crate) use self::shown::{Shown, shown, warnings};
pub(crate) use self::waiting::{Both, sign_both};
use super::known::lacking;
use super::{
    Desk, Next, Outcome, Sending, StatedChange, claimed, confirm, demand_known, distinct,
    handovers, of_user, public_file, read_public, signing, to_claim, to_sign,
};
use crate::commands::ceremony::signer::Passphrase;
use crate::commands::release::waits;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;

/// What every command is told that changes a project's keys.
#[derive(Debug, clap::Args)]
pub(crate) struct HandOver {
    /// The project
    pub(crate) project: ProjectName,

    /// Where a key is that signs for the project now: file:PATH, pkcs11:…, ssh: or command:PATH (see
    /// docs/signers.md). With fewer than have to sign it waits at the index for the others; without
    /// one, a key that comes in has to be at hand
    #[arg(long = "signer", value_name = "URI")]
    signers: Vec<String>,

    /// The trusted index [default: the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// A file with your upload token [default: what `wheelmark login` keeps]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The id of a key that signs for the project; all of them, the first time on this machine
    #[arg(long = "key", value_name = "KEYID")]
    keys: Vec<String>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Sign what is shown without asking
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What is to change about a project's keys.
pub(crate) struct Wanted<'a> {
    /// Where keys are that come in, each with whose it is, if somebody else's: `[USER=]URI`.
    pub(crate) added: &'a [String],
    /// Whose all of them are, where that is not said of each.
    pub(crate) of: Option<&'a str>,
    /// The ids of keys that go, or their beginnings; all of those of today where it is nothing.
    pub(crate) removed: Option<&'a [String]>,
    /// How many keys have to sign from now on, where that changes.
    pub(crate) threshold: Option<u32>,
}

/// A change of keys that is about to be signed.
pub(crate) struct Change {
    pub(crate) from: KeySet,
    pub(crate) to: KeySet,
    pub(crate) number: u64,
    /// Whose the keys are that come in, by their ids, where it was said.
    pub(crate) named: BTreeMap<String, String>,
    /// Those that are at hand, of both sets.
    pub(crate) held: Vec<HeldKey>,
}

impl HandOver {
    /// Makes the change, asks, signs, and sends it.
    pub(crate) async fn run(
        &self,
        wanted: &Wanted<'_>,
        context: &Context,
    ) -> anyhow::Result<ExitCode> {
        let project = &self.project;
        let desk = Desk::open(self.index.as_deref(), self.token_file.as_deref(), context)?;
        let (page, claim) = claimed(&desk, project).await?;
        demand_known(&desk, project, &claim, &self.keys).await?;
        let published = handovers(&claim)?;
        let change = self.change(&claim, wanted)?;
        let told = shown(&desk, project, &claim, &change);
        match self.json {
            true => told
                .warnings
                .iter()
                .for_each(|line| tracing::warn!("{line}")),
            false => print_line(&told.to_string())?,
        }
        if change.held.is_empty() {
            return Err(anyhow!("none of the keys is here that have to sign it"))
                .hint("name one with --signer, or be at the machine of one that comes in");
        }
        confirm("hand over to these keys?", self.yes)?;

        let role = project_role(project);
        let version = desk.next_version(project, None).await?;
        let handover = Handover {
            role: role.clone(),
            number: change.number,
            version,
            made_at: Timestamp::from_second(desk.now.as_second())?,
            from: change.from.clone(),
            to: change.to.clone(),
        };
        let keys = StatedChange {
            added: change
                .added()
                .map(|(key, whose)| (key, whose.cloned()))
                .collect(),
            removed: change
                .from
                .beyond(&change.to)
                .into_iter()
                .map(|key| key.keyid().as_str().to_owned())
                .collect(),
        };
        let files = page.as_signed().files.clone();
        let mut next = Next::of(project, Some(page.as_signed()), files, version, desk.now)?;
        if !is_enough(&claim, &change) {
            next.role.state_waiting(published, &handover);
            let sending = Sending {
                project,
                metadata: waiting::begun(&next, &handover, &change.held)?,
                next: &next,
                claim: None,
                keys: Some(keys),
                files: &[],
            };
            return self.stage(&desk, &claim, sending).await;
        }
        let signers: Vec<&dyn Signer> = change.held.iter().map(|key| &*key.signer).collect();
        let file = sign_role(&handover.to_canonical(), &signers)
            .context("nothing was signed, and nothing was sent")?;
        let handed = published
            .and(&file, &role)
            .context("nothing was sent")
            .hint("docs/claims.md says how often keys can change, and who has to sign")?;
        let next = next.carrying(&handed);
        let sending = Sending {
            project,
            metadata: next.sign(&change.held)?,
            next: &next,
            claim: None,
            keys: Some(keys),
            files: &[],
        };
        let Outcome::Published(page) = sending.send(&desk).await? else {
            return Err(anyhow!(
                "somebody else has published to {project} meanwhile"
            ))
            .hint("nothing was changed; give the same command once more");
        };
        let claim = page.claim().context("the project is not claimed")?;
        if claim.present() != Some(&change.to) {
            return Err(anyhow!("the index names other keys for {project}"))
                .hint("tell whoever runs the index, with this message");
        }
        self.tell(claim, &change)
    }

    /// Has it wait at the index for the signatures of others.
    async fn stage(
        &self,
        desk: &Desk,
        claim: &Claim,
        sending: Sending<'_>,
    ) -> anyhow::Result<ExitCode> {
        let (project, next) = (&self.project, sending.next);
        let Outcome::Waiting(entry) = sending.stage(desk).await? else {
            return Err(anyhow!(
                "somebody else has published to {project} meanwhile"
            ))
            .hint("nothing was changed; give the same command once more");
        };
        // Whoever has put it together has seen what is in it.
        let index = desk.index();
        index
            .remember_review(project, &next.id(), next.role.version, desk.now)
            .await?;
        print_line(&waits(self.json, &entry, &claim.maintainers)?)?;
        if claim.sealed {
            tracing::warn!(
                "{project} is sealed: a change of its keys is taken within an hour after it was made, so all have to sign by then"
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What changes, with the keys at hand.
    fn change(&self, claim: &Claim, wanted: &Wanted<'_>) -> anyhow::Result<Change> {
        let from = claim.present().cloned();
        let from = from
            .ok_or_else(|| anyhow!("the keys of {} cannot hand over", self.project))
            .hint("the index delegates to keys that are not in the plain form of TUF")?;
        let mut named = BTreeMap::new();
        let (mut held, mut come) = (Vec::new(), Vec::new());
        for text in wanted.added {
            let (user, uri) = of_user(text);
            let new = match public_file(uri) {
                Some(file) => vec![read_public(file)?],
                None => {
                    let new = to_claim(&[uri.to_owned()], &self.passphrase)?;
                    let keys = new.iter().map(|key| key.signer.key().clone()).collect();
                    held.extend(new);
                    keys
                }
            };
            for key in new {
                let id = key.keyid().clone();
                if from.keys().contains_key(&id) {
                    return Err(anyhow!("the key {} signs for it already", id.as_str()))
                        .hint("a key is for one machine: make another one");
                }
                if let Some(user) = user.or(wanted.of) {
                    named.insert(id.as_str().to_owned(), user.to_owned());
                }
                come.push(key);
            }
        }
        let gone: BTreeSet<KeyId> = match wanted.removed {
            None => from.keys().keys().cloned().collect(),
            Some(ids) => ids
                .iter()
                .map(|id| the_one(&from, id))
                .collect::<anyhow::Result<_>>()?,
        };
        let stay = from.keys().iter().filter(|(id, _)| !gone.contains(*id));
        let stay = stay.map(|(_, key)| key.clone());
        let threshold = wanted.threshold.unwrap_or(from.threshold());
        let to = KeySet::new(stay.chain(come), threshold)
            .with_context(|| format!("{} cannot have such keys", self.project))
            .hint("say with --threshold how many keys are to sign from now on")?;
        if to == from {
            return Err(anyhow!("nothing changes: these keys sign for it already"))
                .hint(format!("wheelmark project keys list {}", self.project));
        }
        if !self.signers.is_empty() {
            held.extend(to_sign(&self.signers, &self.passphrase, &signing(claim))?);
        }
        let number = handovers(claim)?.next_number();
        Ok(Change {
            from,
            to,
            number,
            named,
            held: distinct(held),
        })
    }

    fn tell(&self, claim: &Claim, change: &Change) -> anyhow::Result<ExitCode> {
        let ids = |keys: Vec<&Key>| -> Vec<String> {
            let keys = keys.into_iter();
            keys.map(|key| key.keyid().as_str().to_owned()).collect()
        };
        if self.json {
            let told = json!({
                "project": self.project.as_str(),
                "keys": change.to.keys().keys().map(KeyId::as_str).collect::<Vec<_>>(),
                "threshold": change.to.threshold(),
                "added": ids(change.to.beyond(&change.from)),
                "removed": ids(change.from.beyond(&change.to)),
                "handover": change.number,
                "role_version": claim.version,
                "sealed": claim.sealed,
            });
            print_line(&told.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        let next = match claim.sealed {
            true => {
                "\nit is sealed: the offline key goes on naming the keys of before, and they sign each release, too, until the next ceremony takes these over"
            }
            false => "",
        };
        print_line(&format!(
            "{} of {} keys sign for {} from now on; clients that know it follow by themselves{next}",
            change.to.threshold(),
            change.to.keys().len(),
            self.project,
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Change {
    /// The keys that come in, with whose they are, where that was said.
    fn added(&self) -> impl Iterator<Item = (&Key, Option<&String>)> {
        let added = self.to.beyond(&self.from).into_iter();
        added.map(|key| (key, self.named.get(key.keyid().as_str())))
    }
}

/// The one key of a set whose id begins like this.
fn the_one(set: &KeySet, begin: &str) -> anyhow::Result<KeyId> {
    let ids = set.keys().keys();
    let found: Vec<&KeyId> = ids.filter(|id| id.as_str().starts_with(begin)).collect();
    match found.as_slice() {
        [id] if begin.len() >= 8 => Ok((*id).clone()),
        _ => Err(anyhow!(
            "{} is not the id of one key that signs for it",
            begin.escape_debug()
        ))
        .hint("`wheelmark project keys list PROJECT` shows them; the first eight characters are enough"),
    }
}

/// Whether all are here who have to sign: those of today, those from now on, and those whom an offline
/// key has delegated to, where they are others.
fn is_enough(claim: &Claim, change: &Change) -> bool {
    let held = change.held.iter();
    let held: BTreeSet<&KeyId> = held.map(|key| key.signer.key().keyid()).collect();
    let is_whole = |set: &KeySet| lacking(set, &held).1 >= set.threshold() as usize;
    let mut added = change.to.beyond(&change.from).into_iter();
    claim
        .set
        .iter()
        .chain([&change.from, &change.to])
        .all(is_whole)
        && added.all(|key| held.contains(key.keyid()))
}
