//! `wheelmark index signing-log verify`: whether the log is what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::{Value, json};
use wheelmark_repository::{Covered, Entry, Head, Lifetimes, SignedRole, Survey, project_of_role};
use wheelmark_tuf::{RoleName, Sha256, root_fingerprint};

use crate::commands::up::print_line;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::published::{self, version_and_expiry};

/// Verify that the log is whole, and that nothing was rewritten since heads left this machine
///
///   wheelmark index signing-log verify
///   wheelmark index signing-log verify --from 5f0c… --from 91aa…
///   wheelmark index signing-log verify --sent /mnt/elsewhere/signing.log
///
/// Says whether each entry follows on the one before, whether the published timestamp's head is
/// there, whether every role that is published and signed online stands in the log as it was
/// signed, and up to which of the heads that are given nothing was rewritten. Without a head from
/// elsewhere a log on the machine that signs proves nothing: whoever took it over can write another.
///
/// What could not be looked at, since nothing from elsewhere was given, is marked with `--`.
///
/// Exit code: 0 when all of it holds that was looked at, 1 otherwise.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The SHA-256 of an entry's line, as it left this machine; can be given many times
    #[arg(long, value_name = "HEAD")]
    from: Vec<Sha256>,

    /// The first entry that is here, where files before it were moved elsewhere
    #[arg(long, value_name = "N", default_value = "1")]
    begins_with: u64,

    /// An entry that says that others were lost before it, of which you know; can be given many times
    #[arg(long, value_name = "N")]
    accept_loss: Vec<u64>,

    /// A file with lines of the log as they were sent elsewhere, or with syslog's messages of them
    #[arg(long, value_name = "FILE")]
    sent: Vec<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// Something that was looked at.
struct Finding {
    /// Whether it holds; none where nothing was there to look at it with.
    holds: Option<bool>,
    says: String,
}

impl Finding {
    fn of(holds: bool, says: String) -> Self {
        let holds = Some(holds);
        Self { holds, says }
    }

    fn not_checked(says: String) -> Self {
        let holds = None;
        Self { holds, says }
    }
}

pub(super) fn run(args: &Args, data: &Data) -> anyhow::Result<ExitCode> {
    let mut given: BTreeSet<Sha256> = args.from.iter().copied().collect();
    for path in &args.sent {
        given.extend(heads_in(path)?);
    }
    let (published, carried) = signed_online(&data.tree())?;
    let roles = published
        .iter()
        .map(|(role, (signed, _))| (role.clone(), *signed))
        .collect();
    let heads = given
        .iter()
        .copied()
        .chain(carried.map(|head| head.sha256))
        .collect();
    let survey = Survey::of(&data.signing_log(), &heads, &roles, args.begins_with)
        .with_context(|| format!("{} cannot be read", data.signing_log().display()))?;
    let (Some(first), Some(last)) = (survey.first, survey.last) else {
        return Err(anyhow!(
            "there is no signing log in {}",
            data.signing_log().display()
        ))
        .hint("it begins with the next start of the index; if there was one, it was taken away");
    };

    let mut findings = vec![about_the_chain(&survey)];
    findings.extend(about_losses(&survey, &args.accept_loss));
    findings.push(about_the_timestamp(carried, &survey));
    findings.push(about_the_published(&published, &survey));
    findings.push(about_heads(&given, &survey));
    let holds = findings.iter().all(|finding| finding.holds != Some(false));
    let unchecked = findings.iter().filter(|finding| finding.holds.is_none());
    let unchecked = unchecked.count();
    if args.json {
        let unchanged = unchanged(&given, &survey);
        let told = json!({
            "holds": holds,
            "unchecked": unchecked,
            "first": first.0,
            "last": last.0.number,
            "head": last.0.sha256,
            "unchanged": unchanged.map(|entries| json!({ "from": entries.from, "to": entries.to })),
            "unfinished": survey.is_unfinished,
            "flaws": survey.flaws.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "findings": findings.iter().map(|finding| {
                json!({ "holds": finding.holds, "says": finding.says })
            }).collect::<Vec<_>>(),
        });
        print_line(&told.to_string())?;
    } else {
        print_line(&format!(
            "entries {} to {}, from {:.0} to {:.0}",
            first.0, last.0.number, first.1, last.1
        ))?;
        for finding in &findings {
            let word = match finding.holds {
                Some(true) => "ok ".if_supports_color(Stdout, |t| t.green()).to_string(),
                Some(false) => "NOT".if_supports_color(Stdout, |t| t.red()).to_string(),
                None => "-- ".if_supports_color(Stdout, |t| t.yellow()).to_string(),
            };
            print_line(&format!("{word}  {}", finding.says))?;
        }
        if survey.is_unfinished {
            print_line(
                "a line behind the last entry has no end: it is being written, or was cut off by a crash",
            )?;
        }
        print_line(&format!("head: entry {}, {}", last.0.number, last.0.sha256))?;
        if unchecked > 0 && holds {
            print_line(
                "what was looked at holds, and what is marked with -- was not looked at: it takes something from elsewhere",
            )?;
        }
    }
    Ok(match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn about_the_chain(survey: &Survey) -> Finding {
    let flaws: Vec<String> = survey.flaws.iter().map(ToString::to_string).collect();
    Finding::of(
        flaws.is_empty(),
        match flaws.is_empty() {
            true => "each entry follows on the one before it".to_owned(),
            false => flaws.join("; "),
        },
    )
}

/// Where entries were lost: the log says so itself.
fn about_losses(survey: &Survey, accepted: &[u64]) -> Vec<Finding> {
    let losses = survey.follows.iter().filter_map(|(number, time, follows)| {
        let lost = follows.lost?;
        let holds = accepted.contains(number);
        let known = match holds {
            true => ", as you know".to_owned(),
            false => format!("; if you know of that, say --accept-loss {number}"),
        };
        Some(Finding::of(
            holds,
            format!(
                "entry {} of timestamp {} was lost or taken away before {time:.0}, when entry \
                 {number} was written{known}",
                lost.number, follows.version
            ),
        ))
    });
    losses.collect()
}

/// The entries of which the heads that were given show that they are what they were.
fn unchanged(given: &BTreeSet<Sha256>, survey: &Survey) -> Option<Covered> {
    let found = given.iter().filter_map(|head| survey.found.get(head));
    found.copied().max_by_key(|covered| covered.to)
}

fn about_the_timestamp(carried: Option<Head>, survey: &Survey) -> Finding {
    let (holds, says) = match carried {
        None => {
            return Finding::not_checked(
                "the published timestamp carries no head yet: nothing was signed since the log is there"
                    .to_owned(),
            );
        }
        Some(head) if survey.found.get(&head.sha256).map(|found| found.to) == Some(head.number) => {
            (
                true,
                format!("the published timestamp carries entry {}", head.number),
            )
        }
        Some(head) => (
            false,
            format!(
                "the published timestamp carries entry {}, {}, which is not in the log",
                head.number, head.sha256
            ),
        ),
    };
    Finding::of(holds, says)
}

/// What is published and signed online is in the log, unless it can be older than the log is.
fn about_the_published(
    published: &BTreeMap<RoleName, (SignedRole, Timestamp)>,
    survey: &Survey,
) -> Finding {
    let begins = survey.follows.last().map(|(_, time, _)| *time);
    let begins = begins.or(survey.first.map(|(_, time)| time));
    let life = Lifetimes::default().online + SignedDuration::from_mins(1);
    let can_be_older =
        |expires: Timestamp| begins.is_some_and(|begins| expires.duration_since(begins) <= life);
    let missing: Vec<_> = published
        .iter()
        .filter(|(role, _)| !survey.signed.contains(role))
        .collect();
    let (older, wrong): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|(_, (_, expires))| can_be_older(*expires));
    if wrong.is_empty() {
        let known = published.len() - older.len();
        let mut says = format!("{known} published roles stand in it as they were signed");
        if !older.is_empty() {
            says.push_str(&format!("; {} can be older than the log", older.len()));
        }
        return Finding::of(true, says);
    }
    let named = wrong.iter().take(5);
    let named: Vec<String> = named
        .map(|(role, (signed, _))| format!("{role} {}", signed.version))
        .collect();
    Finding::of(
        false,
        format!(
            "{} published roles were signed and not written down: {}",
            wrong.len(),
            named.join(", ")
        ),
    )
}

fn about_heads(given: &BTreeSet<Sha256>, survey: &Survey) -> Finding {
    if given.is_empty() {
        return Finding::not_checked(
            "whether anything was rewritten: no head from elsewhere was given (--from, --sent), and \
             what this machine says of itself is all that was looked at"
                .to_owned(),
        );
    }
    let is_gone = |head: &&Sha256| !survey.found.contains_key(*head);
    let gone: Vec<&Sha256> = given.iter().filter(is_gone).collect();
    let held = match unchanged(given, survey) {
        Some(entries) => format!(
            "entries {} to {} are what they were when the head of the last of them left this machine",
            entries.from, entries.to
        ),
        None => "no head that was given is in the log".to_owned(),
    };
    let says = match gone.first() {
        None => held,
        Some(head) => format!(
            "{held}; {} of {} heads are not in it, such as {head}: what led to them was rewritten or \
             taken away",
            gone.len(),
            given.len()
        ),
    };
    Finding::of(gone.is_empty(), says)
}

/// The heads that stand in a file: of lines of the log, and of messages to a syslog daemon.
fn heads_in(path: &Path) -> anyhow::Result<Vec<Sha256>> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut heads = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if Entry::parse(line).is_some() {
            heads.push(Sha256::of(line));
            continue;
        }
        let words = String::from_utf8_lossy(line);
        if let Some((_, message)) = words.split_once("wheelmark-signing-log: ") {
            let head = message
                .split(' ')
                .find_map(|word| word.strip_prefix("sha256="));
            heads.extend(head.and_then(|head| head.parse::<Sha256>().ok()));
        }
    }
    match heads.is_empty() {
        true => Err(anyhow!("no line of a signing log is in {}", path.display())),
        false => Ok(heads),
    }
}

/// What is published and signed online, as it was signed, with its end; and the head that the
/// timestamp carries.
type SignedOnline = (BTreeMap<RoleName, (SignedRole, Timestamp)>, Option<Head>);

fn signed_online(tree: &Path) -> anyhow::Result<SignedOnline> {
    let (offline, online) = published::read(tree)?;
    let mut roles = BTreeMap::new();
    let mut add = |role: RoleName, name: &str, version: u64, expires: Option<Timestamp>| {
        let bytes = published::metadata(tree, name)?
            .ok_or_else(|| anyhow!("{name} is missing from the tree"))?;
        let sha256 = root_fingerprint(&bytes).with_context(|| format!("{name} is damaged"))?;
        let expires = match expires {
            Some(expires) => expires,
            // Its digest is what counts: this only says whether it can be older than the log.
            None => serde_json::from_slice::<Value>(&bytes)?["signed"]["expires"]
                .as_str()
                .and_then(|expires| expires.parse().ok())
                .ok_or_else(|| anyhow!("{name} does not say when it expires"))?,
        };
        roles.insert(role, (SignedRole { version, sha256 }, expires));
        anyhow::Ok(())
    };
    let (version, expires) = version_and_expiry(&*online.timestamp);
    let role = RoleName::timestamp();
    add(role.clone(), &role.file_name(), version, Some(expires))?;
    let (version, expires) = version_and_expiry(&*online.snapshot);
    let role = RoleName::snapshot();
    add(
        role.clone(),
        &role.versioned_file_name(version),
        version,
        Some(expires),
    )?;
    for (name, meta) in &online.snapshot.meta {
        let Some(role) = name.strip_suffix(".json") else {
            continue;
        };
        let Ok(role) = role.parse::<RoleName>() else {
            continue;
        };
        // What projects sign themselves, the log of the index's key does not have.
        let is_own = project_of_role(&role).is_none();
        if is_own && !offline.roles.contains_key(&role) {
            let name = role.versioned_file_name(meta.version);
            add(role, &name, meta.version, None)?;
        }
    }
    Ok((roles, Head::carried_by(&online.timestamp)))
}
