//! `wheelmark ceremony policy`: what ceremonies of an index have to keep to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use wheelmark_ceremony::Policy;
use wheelmark_repository::Lifetimes;
use wheelmark_tuf::RoleName;

use crate::commands::up::print_line;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// The policy of an index, in its data directory.
pub(crate) const FILE: &str = "ceremony-policy.toml";

/// The longest policy, in bytes.
const MAX_POLICY_LEN: u64 = 64 * 1024;

/// What holds where nobody says anything, to begin with.
const DEFAULT: &str = include_str!("policy.toml");

/// Print the policy that holds where none is named, or check one
///
///   wheelmark ceremony policy > /srv/index/ceremony-policy.toml
///   wheelmark ceremony policy strict.toml
///
/// A policy says for how long each role holds, how long before its end a ceremony is due, how many
/// holders there have to be and sign, and who may join. It can ask for more than the default, and for
/// nothing less. `begin` and `wheelmark index status` go by ceremony-policy.toml in the data directory,
/// where no other is named with --policy; a holder can have `sign` go by their own.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The policy to check [default: print the default]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.file {
        None => print_line(DEFAULT.trim_end())?,
        Some(file) => {
            read(file)?;
            print_line(&format!("{} is a policy", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A key that is not known is an error: it may be a misspelt safeguard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    days: BTreeMap<OfflineRole, u32>,
    #[serde(default)]
    due: BTreeMap<OfflineRole, u32>,
    holders: Option<Holders>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum OfflineRole {
    Root,
    Targets,
    Claimed,
    Simple,
    Packages,
}

impl OfflineRole {
    fn name(self) -> RoleName {
        let name = match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Claimed => "claimed",
            Self::Simple => "simple",
            Self::Packages => "packages",
        };
        name.parse().expect("the name of a role")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holders {
    #[serde(default = "two")]
    fewest: usize,
    #[serde(default = "two_sign")]
    sign: u32,
    names: Option<Vec<String>>,
}

fn two() -> usize {
    2
}

fn two_sign() -> u32 {
    2
}

/// What holds where no policy is named.
pub(crate) fn default() -> Policy {
    let Lifetimes {
        offline, claimed, ..
    } = Lifetimes::default();
    Policy::new(offline, claimed)
}

/// The policy that is named, or that of the index, or the default.
pub(crate) fn of(named: Option<&Path>, data: Option<&Data>) -> anyhow::Result<Policy> {
    let own = data.map(|data| data.directory().join(FILE));
    match named.map(Path::to_owned).or(own.filter(|own| own.exists())) {
        Some(file) => read(&file),
        None => Ok(default()),
    }
}

/// Reads a policy.
pub(crate) fn read(file: &Path) -> anyhow::Result<Policy> {
    let about = "`wheelmark ceremony policy` prints one to begin with";
    let bytes = read_bounded(file, MAX_POLICY_LEN)
        .with_context(|| format!("{} cannot be read", file.display()))
        .hint(about)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow!("{} is not text", file.display()))
        .hint(about)?;
    parse(&text)
        .with_context(|| format!("{} is no policy", file.display()))
        .hint(about)
}

fn parse(text: &str) -> anyhow::Result<Policy> {
    let form: Form = toml::from_str(text)?;
    let mut policy = default();
    for (role, days) in form.days {
        policy = policy.with_life(role.name(), days)?;
    }
    for (role, days) in form.due {
        policy = policy.with_period(role.name(), days)?;
    }
    if let Some(holders) = form.holders {
        policy = policy.with_holders(holders.fewest, holders.sign)?;
        if let Some(names) = holders.names {
            policy = policy.with_names(names);
        }
    }
    Ok(policy)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_default_that_is_printed_says_what_holds() {
        let printed = parse(DEFAULT).unwrap();
        for role in ["root", "targets", "claimed", "simple", "packages"] {
            let role: RoleName = role.parse().unwrap();
            assert_eq!(printed.life(&role), default().life(&role), "{role}");
            assert_eq!(printed.period(&role), default().period(&role), "{role}");
        }
    }

    #[test]
    fn what_is_misspelt_or_weaker_is_refused() {
        for (text, says) in [
            ("[days]\nroto = 365\n", "roto"),
            ("[day]\nroot = 365\n", "day"),
            ("[days]\nroot = 366\n", "1 to 365"),
            ("[days]\nclaimed = 91\n", "1 to 90"),
            ("[days]\nroot = 0\n", "not for 0"),
            ("[days]\nroot = -3\n", "-3"),
            ("[days]\nroot = \"a year\"\n", "a year"),
            ("[days]\nroot = 100\n[due]\nroot = 100\n", "1 to 99"),
            ("[holders]\nfewest = 2\nsign = 3\n", "3 have to sign"),
            ("[holders]\nname = []\n", "name"),
            ("days = 365", "365"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
