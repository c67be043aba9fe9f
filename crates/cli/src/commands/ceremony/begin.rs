//! `wheelmark ceremony begin`: a new ceremony, on the ground of what is published.

pub(crate) mod claims;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::json;
use wheelmark_ceremony::{
    Ceremony, CeremonyError, HolderChange, HolderKeys, OnlineKey, Plan, PlanError, Standing,
};
use wheelmark_tuf::RoleName;

use super::folder::Folder;
use super::{policy, review};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::published::{self, read_bounded};

/// The longest file of public keys, in bytes.
pub(super) const MAX_PUBLIC_LEN: u64 = 64 * 1024;

/// Begin a ceremony, in a directory that can travel
///
/// Reads what the index has published, and needs none of its keys. Every role that offline keys
/// sign gets its next version, with a year of life, and `claimed` with 90 days, but for those that
/// were signed within the hour; name roles to renew these alone. Nothing is published, and a ceremony
/// that is not finished changes nothing.
///
///   wheelmark ceremony begin --data /srv/index --out march
///   wheelmark ceremony begin --data /srv/index --out march --replace 1=alice.json --replace 2=bob.json
///   wheelmark ceremony begin --data /srv/index --out march --add carol.json --threshold 2
///   wheelmark ceremony begin --data /srv/index --out march --online-key next-online-key.json
///   wheelmark ceremony begin --data /srv/index --out march --bins 16384
///   wheelmark ceremony begin --data /srv/index --out march --claim-pending
///
/// `--claim-pending` seals claims: `claimed`, which an offline key signs, says from then on whose keys
/// sign for these projects, and whoever steals the online key can put no others there. Those alone are
/// sealed whose keys have stood unchanged for two weeks, or as long as `--older-than` says. Where the
/// people of a sealed project have handed over to other keys, `claimed` names these from then on.
///
/// Holders are numbered by the position of their keys in the metadata; `wheelmark index keys` shows
/// them. The files with their public keys come from `wheelmark ceremony keygen`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// The published tree itself, or a copy of it, in place of a data directory
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    tree: Option<PathBuf>,

    /// Where the ceremony is to be: a directory that is not there, or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Sign this role anew, and others that are named [default: all that offline keys sign]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<RoleName>,

    #[command(flatten)]
    holders: HolderArgs,

    /// Let the index go over to another online key: the file of its public half, which `wheelmark
    /// index rotate-online-key` writes
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// How many bins each of `simple` and `packages` has from then on: 2 to 16384, a power of two;
    /// `wheelmark index rebin` says what that comes to
    #[arg(long, value_name = "N")]
    bins: Option<u32>,

    #[command(flatten)]
    claims: claims::ClaimArgs,

    /// What the ceremony has to keep to [default: ceremony-policy.toml in the data directory, if it
    /// is there; `wheelmark ceremony policy` prints one]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// Who comes and who goes.
#[derive(Debug, clap::Args)]
pub(super) struct HolderArgs {
    /// Put somebody's keys in the place of those of a holder
    #[arg(long, value_name = "N=FILE")]
    replace: Vec<String>,

    /// Let somebody join
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,

    /// Let a holder go, without anybody in their place
    #[arg(long, value_name = "N")]
    remove: Vec<usize>,

    /// How many holders have to sign from then on [default: as many as now]
    #[arg(long, value_name = "N")]
    pub(super) threshold: Option<u32>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let data = match &args.tree {
        Some(_) => None,
        None => Some(Data::open_existing(&args.data)?),
    };
    let tree = match (&args.tree, &data) {
        (None, Some(data)) => data.tree(),
        (tree, _) => tree.clone().unwrap_or_default(),
    };
    let policy = policy::of(args.policy.as_deref(), data.as_ref())?;
    let (mut published, online) = published::read_for_ceremony(&tree)?;
    let now = context.clock.now();
    let began = Timestamp::from_second(now.as_second())?;
    let claims = args.claims.choose(&tree, &mut published, &online, began)?;
    let standing = Standing::verify(published)
        .with_context(|| format!("{} is no ground for a ceremony", tree.display()))
        .hint("a project's own role that is damaged can be left out with --except NAME; anything else has to be restored from a backup or a mirror")?;
    let known = standing.roles();
    if let Some(unknown) = args.roles.iter().find(|role| !known.contains(role)) {
        let known: Vec<&str> = known.iter().map(RoleName::as_str).collect();
        return Err(anyhow!("{unknown} is no role that offline keys sign"))
            .hint(format!("these are: {}", known.join(", ")));
    }
    let mut plan = Plan::renewal(&standing, &args.roles, &policy, now);
    plan.holders = args.holders.changes()?;
    plan.threshold = args.holders.threshold;
    plan.online = args.online_key.as_deref().map(online_key).transpose()?;
    plan.bins = args.bins;
    plan.claims = claims.changes.clone();
    if args.roles.is_empty() {
        let all = plan.roles.clone();
        plan.without_what_stays(&standing);
        // Where nothing gains, that is told of the first of them.
        if plan.roles.is_empty() {
            plan.roles = all;
        }
    }
    let ceremony = match Ceremony::new(standing, plan, &policy, now) {
        Err(error) => {
            let about = about(&error);
            return Err(anyhow::Error::from(error).context("no ceremony can be held so"))
                .hint(about);
        }
        Ok(ceremony) => ceremony,
    };
    let folder = Folder::create(&args.out, &ceremony)?;
    if args.json {
        let told = json!({
            "ceremony": ceremony.id().to_string(),
            "words": ceremony.words().to_string(),
            "directory": folder.directory(),
            "cautions": ceremony.cautions(),
            "roles": review::as_json(&ceremony),
            "claims": claims.to_json(&ceremony),
        });
        print_line(&told.to_string())?;
    } else {
        print_line(&review::text(&ceremony))?;
        for line in claims.lines() {
            print_line(&line)?;
        }
        print_line(&review::words(&ceremony))?;
        print_line(&format!(
            "\n{} is ready to travel. Each holder signs it, trusting the newest root that they know:\n  \
             wheelmark ceremony sign {} --trust ROOT --signer file:KEYS.age",
            folder.directory().display(),
            folder.directory().display(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do where no ceremony can be held.
pub(super) fn about(error: &CeremonyError) -> &'static str {
    match error {
        CeremonyError::NothingNew { .. } => {
            "nothing ends sooner for waiting; to sign other roles meanwhile, name them with --role"
        }
        CeremonyError::Shorter { .. } => {
            "look at this machine's clock; where a policy has so few days, name another one with --policy for this ceremony, or leave the role out by naming others with --role"
        }
        CeremonyError::FewSign { .. } | CeremonyError::FewHolders { .. } => {
            "let somebody join in the same ceremony, or ask for more signatures: --add FILE, --threshold N"
        }
        CeremonyError::Stranger { .. } => {
            "who may join stands in the policy: ceremony-policy.toml in the data directory, or the file that --policy names"
        }
        CeremonyError::Plan(PlanError::Claims(_)) => {
            "a claim that cannot be sealed as it is can be left out with --except NAME; find out how it came to be so"
        }
        CeremonyError::Plan(PlanError::Recovery(_)) => {
            "make the folder of the recovery anew with `wheelmark recover plan`, and look through what it says"
        }
        CeremonyError::Plan(_) => "`wheelmark index keys` shows who holds which keys now",
        _ => {
            "look at this machine's clock and at what the index has published: `wheelmark index keys`"
        }
    }
}

impl HolderArgs {
    /// The same, with the files of public keys read.
    pub(super) fn changes(&self) -> anyhow::Result<Vec<HolderChange>> {
        let mut changes = Vec::new();
        for replace in &self.replace {
            let parts = replace.split_once('=');
            let parts = parts.and_then(|(seat, file)| Some((seat.parse().ok()?, file)));
            let (seat, file) = parts
            .ok_or_else(|| anyhow!("`{replace}` does not say whom to replace"))
            .hint(
                "name the number of the holder and a file of public keys: --replace 1=alice.json",
            )?;
            let by = holder(Path::new(file))?;
            changes.push(HolderChange::Replace { seat, by });
        }
        for seat in &self.remove {
            changes.push(HolderChange::Remove { seat: *seat });
        }
        for file in &self.add {
            changes.push(HolderChange::Add(holder(file)?));
        }
        Ok(changes)
    }
}

fn online_key(file: &Path) -> anyhow::Result<OnlineKey> {
    let bytes = read_bounded(file, MAX_PUBLIC_LEN)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    OnlineKey::read(&bytes)
        .with_context(|| format!("{} is refused", file.display()))
        .hint("`wheelmark index rotate-online-key` makes the next key and writes its public half")
}

fn holder(file: &Path) -> anyhow::Result<HolderKeys> {
    let bytes = read_bounded(file, MAX_PUBLIC_LEN)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    HolderKeys::read(&bytes)
        .with_context(|| format!("{} is refused", file.display()))
        .hint("a new holder makes it with `wheelmark ceremony keygen`")
}
