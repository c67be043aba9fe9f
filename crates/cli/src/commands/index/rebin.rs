//! `wheelmark index rebin`: what another number of bins comes to.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use wheelmark_ceremony::Standing;
use wheelmark_tuf::limits::MOST_SNAPSHOT_LENGTH;
use wheelmark_tuf::{Bins, Role as _, RoleName, Snapshot, Targets, verify};

use crate::commands::up::print_line;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::published;

/// Say what another number of bins comes to, and how to get there
///
/// Each project that a client installs costs it the bins that the project and its files lie in:
/// few bins are long ones, and many make the snapshot long, which every client fetches. 64 do up to
/// about 3,000 projects; PyPI's 700,000 need 16,384. This counts what is published and signs nothing:
/// the number changes by a ceremony, in one snapshot, while the index goes on.
///
///   wheelmark index rebin --bins 1024
///   wheelmark ceremony begin --bins 1024 --out rebin
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// How many bins each of `simple` and `packages` is to have: 2 to 16384, a power of two
    #[arg(long, value_name = "N")]
    bins: u32,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// One family as it is, and as it would be.
struct Family {
    role: &'static str,
    now: Bins,
    targets: usize,
    /// The most targets of a bin, now and then.
    most: [usize; 2],
}

pub(super) fn run(args: &Args, data: &Data) -> anyhow::Result<ExitCode> {
    let (published, online) = published::read(&data.tree())?;
    let standing = Standing::verify(published).context("what is published is damaged")?;
    let mut families = Vec::new();
    for role in ["simple", "packages"] {
        families.push(count(args.bins, role, &standing, &online.snapshot, data)?);
    }
    let listed = listed_then(args.bins, &families, &online.snapshot);
    // What it has now, and `"packages-0000.json":{"version":1000000},` for each new one, as long as it gets in years.
    let new = listed.saturating_sub(online.snapshot.meta.len());
    let new = new * r#""packages-0000.json":{"version":1000000},"#.len();
    let snapshot = (online.snapshot.to_canonical().len() + new) as u64;
    if snapshot > MOST_SNAPSHOT_LENGTH {
        return Err(anyhow!(
            "the snapshot could come to {snapshot} bytes, and none is made longer than {MOST_SNAPSHOT_LENGTH}"
        ))
        .hint("choose fewer bins");
    }
    if args.json {
        let families = families.iter().map(|family| {
            json!({
                "role": family.role,
                "bins": family.now.count(),
                "targets": family.targets,
                "most_in_a_bin": family.most[0],
                "most_in_a_bin_then": family.most[1],
            })
        });
        let told = json!({
            "bins": args.bins,
            "families": families.collect::<Vec<_>>(),
            "listed_in_snapshot": listed,
        });
        print_line(&told.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    for family in &families {
        print_line(&format!(
            "{}: {} targets in {} bins, {} in the fullest; in {} bins it would be {}",
            family.role,
            family.targets,
            family.now.count(),
            family.most[0],
            args.bins,
            family.most[1],
        ))?;
    }
    print_line(&format!(
        "the snapshot would list {listed} roles: names that fall out of use stay in it\n\
         next, a ceremony; the index writes all bins anew in one snapshot, and uploads wait for it\n  \
         wheelmark ceremony begin --data {} --bins {} --out rebin",
        data.directory().display(),
        args.bins
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn count(
    bins: u32,
    role: &'static str,
    standing: &Standing,
    snapshot: &Snapshot,
    data: &Data,
) -> anyhow::Result<Family> {
    let name: RoleName = role.parse()?;
    let foreign = || anyhow!("{role} does not delegate to bins as an index does");
    let below = standing
        .role(&name)
        .and_then(|role| role.delegations.as_ref());
    let below = below.ok_or_else(foreign)?;
    let now = Bins::of(below).ok_or_else(foreign)?;
    let then = Bins::new(bins, now.form())?;
    if then == now {
        return Err(anyhow!("{role} has {bins} bins already"));
    }
    let (mut targets, mut most) = (0, 0);
    let mut later = std::collections::BTreeMap::<RoleName, usize>::new();
    for bin in now.names(role) {
        let keys = below.role_keys(&bin).ok_or_else(foreign)?;
        let listed = snapshot.role(&bin);
        let version = listed.ok_or_else(|| anyhow!("the snapshot does not list {bin}"))?;
        let file = bin.versioned_file_name(version.version);
        let bytes = published::metadata(&data.tree(), &file)?;
        let bytes = bytes.ok_or_else(|| anyhow!("{file} is missing from the tree"))?;
        let content = verify::<Targets>(&bytes, &below.keys, keys)
            .with_context(|| format!("{file} is not as this index signed it"))?;
        targets += content.targets.len();
        most = most.max(content.targets.len());
        for path in content.targets.keys() {
            *later.entry(then.bin_for(role, path)).or_default() += 1;
        }
    }
    let most = [most, later.into_values().max().unwrap_or(0)];
    Ok(Family {
        role,
        now,
        targets,
        most,
    })
}

/// How many roles the snapshot lists then: the names of bins stay, in use or not.
fn listed_then(bins: u32, families: &[Family], snapshot: &Snapshot) -> usize {
    let new = families.iter().flat_map(|family| {
        let then = Bins::new(bins, family.now.form()).ok();
        then.into_iter().flat_map(|then| then.names(family.role))
    });
    let new = new.filter(|bin| snapshot.role(bin).is_none());
    snapshot.meta.len() + new.count()
}
