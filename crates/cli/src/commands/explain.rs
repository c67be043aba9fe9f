//! `wheelmark explain`: who vouches for a project's files, role by role.

mod counts;
mod dates;
mod json;
mod policy;
mod taken;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::bail;
use jiff::Timestamp;
use wheelmark_client::{
    Answer, Began, Break, Chain, Claim, Evidence, Explanation, Freshness, Home, IndexRecord,
    Reader, Refusal, VerifiedPage,
};
use wheelmark_packaging::simple::{PageFile, Removed, Signed, Yanked};
use wheelmark_packaging::{DistributionFilename, ProjectName, Version};
use wheelmark_provenance::policy::{Policy, SignedBy};

use super::exec::configured::where_none_is_trusted;
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes_or};
use crate::policy::{guard, policy_here};

use self::policy::Judged;

/// Show who vouches for a project's files, and since when
///
/// Brings the signed state up to date and follows it from the root to the project's page and
/// the files of one version: every role with its version, its end and its keys. If something
/// does not verify, the tree ends there, with the reason.
///
/// The bytes of the files are not fetched: they are verified when they are installed.
///
/// Exit code: 0 if it was shown; 1 if the index has no such project or version, if it could not
/// be verified, or if one of the files would be refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project, with the version if it is not the newest: NAME or NAME==VERSION
    #[arg(value_name = "PROJECT[==VERSION]")]
    project: Asked,

    /// The trusted index to ask [default: what the map says, or the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// Tell line by line what your policy says of the files, and with FILE what that asks for, too
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    policy: Option<Option<PathBuf>>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What is asked for.
#[derive(Clone, Debug)]
struct Asked {
    project: ProjectName,
    version: Option<Version>,
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once("==") {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let project = name.trim().parse().map_err(|error| format!("{error}"))?;
        let version = version
            .map(|version| version.trim().parse().map_err(|error| format!("{error}")))
            .transpose()?;
        Ok(Self { project, version })
    }
}

/// An explanation with everything that is shown beside it.
struct Shown<'a> {
    record: &'a IndexRecord,
    explanation: &'a Explanation,
    version: Option<&'a Version>,
    files: Vec<&'a PageFile>,
    /// What would be refused of them, by name: several indexes have to agree on each.
    refused: BTreeMap<String, Arc<Refusal>>,
    /// What installers get: the page, or what several indexes agree on.
    page: Option<&'a VerifiedPage>,
    /// What the policy says of the files, where that was asked for.
    judged: Option<Judged<'a>>,
    now: Timestamp,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let policy = match &args.policy {
        Some(named) => policy_here(context, named.as_deref())?,
        None => Policy::default(),
    };
    let guard = guard(policy, context)?;
    let configured = match &args.index {
        Some(_) => None,
        // Either installer's: this is about what an installation would get.
        None => where_none_is_trusted(&[], context).await?,
    };
    let homes = open_homes_or(
        configured.map(|found| found.index),
        context,
        HomesOptions {
            index: args.index.as_deref(),
            freshness: Freshness::Once,
            strict: false,
            readers: Readers::Person,
            // What is told of it, is told here, and the files are shown all the same.
            policy: None,
        },
    )?;
    let project = &args.project.project;
    let (reader, home, refusal) = match homes.home_of(project, None).await {
        Ok(Some(home)) => (home.reader().clone(), Some(home), None),
        Ok(None) => bail!(homes.absence(project)),
        // What was refused is explained where it was asked for.
        Err(refusal) => {
            let asked = |reader: &&Arc<Reader>| {
                Some(reader.index().urls().simple()) == refusal.index.as_ref()
            };
            let reader = homes.readers().iter().find(asked);
            (reader.unwrap_or(homes.first()).clone(), None, Some(refusal))
        }
    };
    let mut explanation = reader.explain(project).await;
    if let Some(refusal) = refusal
        && !matches!(explanation.answer, Answer::Broken(_))
    {
        // This index's own chain holds, and it is not enough.
        let at = refusal.subject.to_string();
        explanation.answer = Answer::Broken(Break { at, refusal });
    }
    let weighed = match home.as_ref().filter(|home| home.is_weighed()) {
        Some(home) => home.page(project).await.ok().flatten(),
        None => None,
    };
    let page = weighed.as_deref().or(match &explanation.answer {
        Answer::Page { page, .. } => Some(&**page),
        Answer::Absent | Answer::Broken(_) => None,
    });
    let version = args.project.version.as_ref().or(page.and_then(newest));
    let files = files_of(page, version);
    let mut evidence = Vec::new();
    for file in files.iter().filter(|_| args.policy.is_some()) {
        let Some(page) = page else { continue };
        let looked = guard.look(&reader, page, file).await;
        let looked = looked.unwrap_or_else(|failure| Evidence::Refused(failure.with_causes()));
        let signed_by = guard.look_at_signature(&reader, page, file).await;
        let signed_by = signed_by.unwrap_or_else(|failure| SignedBy::Nobody(failure.with_causes()));
        evidence.push((looked, signed_by));
    }
    let judged = page.filter(|_| args.policy.is_some()).map(|page| {
        let offered = newest_of(page, |file| guard.is_old_enough(page, file));
        let files = files.iter().copied().zip(&evidence);
        Judged::of(&guard, page, files, offered)
    });
    let mut refused = BTreeMap::new();
    if let Some(home) = home.filter(Home::is_weighed) {
        for file in &files {
            let name = file.filename.as_str();
            if let Err(refusal) = home.signed_file(project, name).await {
                refused.insert(name.to_owned(), refusal);
            }
        }
    }
    let shown = Shown {
        record: reader.index().record(),
        explanation: &explanation,
        now: context.clock.now(),
        page,
        files,
        refused,
        version,
        judged,
    };
    let text = if args.json {
        format!("{:#}\n", json::render(&shown))
    } else {
        tree::render(&shown)
    };
    print(&text)?;
    let judged_well = shown.judged.as_ref().is_none_or(Judged::holds);
    Ok(
        if shown.files.is_empty() || !shown.refused.is_empty() || !judged_well {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        },
    )
}

/// The version that an installer would take first: the highest final one that is not yanked;
/// failing that, the highest.
fn newest(page: &VerifiedPage) -> Option<&Version> {
    newest_of(page, |_| true)
}

/// The same among the files that `counts` counts.
fn newest_of(page: &VerifiedPage, counts: impl Fn(&PageFile) -> bool) -> Option<&Version> {
    let files = || page.page().files.iter().filter(|file| counts(file));
    let good = files()
        .filter(|file| file.yanked == Yanked::No)
        .map(|file| file.filename.version())
        .filter(|version| !version.any_prerelease())
        .max();
    good.or_else(|| files().map(|file| file.filename.version()).max())
}

fn files_of<'a>(page: Option<&'a VerifiedPage>, version: Option<&Version>) -> Vec<&'a PageFile> {
    let files = page.into_iter().flat_map(|page| &page.page().files);
    files
        .filter(|file| Some(file.filename.version()) == version)
        .collect()
}

impl Shown<'_> {
    /// Who signs for the page, where there is one.
    fn chain(&self) -> Option<Chain> {
        match &self.explanation.answer {
            Answer::Page { page, .. } => Some(page.chain()),
            Answer::Absent | Answer::Broken(_) => None,
        }
    }

    /// The versions that the page lists, the lowest first.
    fn versions(&self) -> BTreeSet<&Version> {
        let files = self.page.into_iter().flat_map(|page| &page.page().files);
        files.map(|file| file.filename.version()).collect()
    }

    /// The files of the version that is shown that were taken away, with the time.
    fn removed(&self) -> Vec<(&str, &Removed)> {
        let Some(page) = self.page.map(VerifiedPage::page) else {
            return Vec::new();
        };
        let of_version = |filename: &str| {
            let parsed = DistributionFilename::parse_for(&page.name, filename).ok();
            parsed.is_some_and(|parsed| Some(parsed.version()) == self.version)
        };
        let removed = page.wheelmark.removed.iter();
        removed
            .filter(|(filename, _)| of_version(filename))
            .map(|(filename, removed)| (filename.as_str(), removed))
            .collect()
    }

    /// Whose keys sign for the project, where its own people do.
    fn claim(&self) -> Option<&Claim> {
        match &self.explanation.answer {
            Answer::Page { page, .. } => page.claim(),
            Answer::Absent | Answer::Broken(_) => None,
        }
    }

    /// What the chain does not prove, as far as it concerns this project and this index.
    fn said_plainly(&self) -> Vec<&'static str> {
        let mut said = Vec::new();
        match self.chain() {
            None => {}
            Some(Chain::Unsigned) => said.push(
                "Nobody signs what this index says: whoever controls it, or the way to it, decides what the files are, and when they say that they came.",
            ),
            Some(Chain::IndexSigned) => {
                said.push(
                    "Whoever steals the index's online keys can publish to this project until the keys are replaced in root: its own developers have not signed for it.",
                );
                said.push(
                    "They can also choose the upload times and the marks that are shown here.",
                );
            }
            Some(Chain::DeveloperSignedProvisional) => said.push(
                "Which keys are the developers' is said by an online key so far: whoever steals it can name others.",
            ),
            Some(_) => said.push(
                "Whoever steals the index's online keys can keep a client that begins fresh on a list of claims up to 90 days old.",
            ),
        }
        if matches!(
            self.record.began,
            Began::FirstUse | Began::FirstUseOverLoopbackHttp
        ) {
            said.push("Trust in this index began by believing its first answer.");
        }
        if self.files.iter().any(|file| file.is_adopted()) {
            said.push(
                "A file marked `adopted` was there when the project was claimed, and nobody compared it: the index signed it, and its developers did not.",
            );
        }
        let back = |file: &&PageFile| {
            let marks = file.wheelmark.as_ref();
            marks.is_some_and(|marks| marks.signed == Signed::Back)
        };
        if self.files.iter().any(back) {
            said.push(
                "A file marked `back` was there before the index was first signed: what happened to it until then, nobody signed.",
            );
        }
        if !self.files.is_empty() {
            said.push(
                match self.chain() {
                    Some(Chain::Unsigned) => "What is held against the page is that a file has the sha256 that stands there, and what your policy asks for.",
                    _ => "A verified file can be malicious: what is proved is that the index published it and that nobody has changed it since.",
                },
            );
        }
        said
    }
}

/// Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
