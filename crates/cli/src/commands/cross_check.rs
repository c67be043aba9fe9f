//! `wheelmark cross-check`: do an index and its mirrors say the same to everybody?

mod evidence;
mod words;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use wheelmark_client::{TrustedIndex, Upstream};
use wheelmark_mirror::{CrossCheck, CrossCheckOptions, Depth, Source, WebPlace, cross_check};

use crate::anchor::{AnchorArgs, Copy, anchor, copy_at};
use crate::commands::trust::open_store;
use crate::context::Context;
use crate::homes::choose;
use crate::logging::Hinted;
use crate::remote::remote;

/// A source is behind, or ahead, by more than is tolerated.
const DELAYED: u8 = 3;
/// A source is expired, refused or unreachable, or differs from another without a proof.
const FAILED: u8 = 4;
/// One version of a role exists twice, and that is proved.
const EQUIVOCATING: u8 = 5;
/// Nothing to compare was named.
const USAGE: u8 = 2;

/// Compare an index with its mirrors, and catch whoever tells two people two things
///
/// Every source is asked by itself and verified from the same trusted root: none of them is
/// believed for another. A URL is an index's simple URL or the base of a copy. With --index, or
/// without any URL, they are the trusted index and its mirrors. What this machine accepted from
/// the index before is compared with them as well.
///
/// A mirror that is behind has not copied the newest state yet. But where one version of a role
/// has two contents, and both are signed, whoever has the index's keys has signed two things for
/// two audiences: it equivocates. The proof is written to a file that anybody who has the index's
/// root can verify, on any machine and without a network:
///
///   wheelmark cross-check --evidence FILE --root root.json
///
/// Exit code, for a cron job: 0 all say the same, 3 one is behind or ahead by more than
/// --max-behind, or by a time that cannot be told, 4 one is expired, refused or unreachable, or
/// two differ and that cannot be proved, 5 the index equivocates; the highest that applies. 1 if nothing could be compared, 2 for a usage error. Of a file: 0 if it proves what
/// it says, 1 if not.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What to compare: an index, its mirrors, any copy of it
    #[arg(value_name = "URL")]
    sources: Vec<String>,

    #[command(flatten)]
    anchor: AnchorArgs,

    /// Where to write the proof if the index equivocates [default: wheelmark-evidence-…, here].
    /// Without anything to compare and with --root: the file to verify
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,

    /// A delay that is no reason for exit code 3, such as 2h or 30m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    max_behind: SignedDuration,

    /// Compare the top-level roles alone, not each of those that list pages and files
    #[arg(long)]
    quick: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "a time is a number with a unit, such as 2h or 30m".to_owned())?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|error| error.to_string())
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let (Some(file), Some(root), true) =
        (&args.evidence, &args.anchor.root, args.sources.is_empty())
    {
        return evidence::verify(file, root, args.json);
    }
    let store = open_store(context)?;
    let mut copies: Vec<Copy> = Vec::new();
    let mut reference = None;
    if args.sources.is_empty() || args.anchor.index.is_some() {
        let index = choose(&store, args.anchor.index.as_deref())?;
        reference = Some(0);
        copies.push(Copy::own(&index));
        let mirrors = index.urls().mirrors().iter();
        copies.extend(mirrors.filter_map(|mirror| Copy::mirror(&index, mirror)));
    }
    for url in &args.sources {
        let copy = copy_at(url, Some(&store))?;
        if !copies.iter().any(|known| known.metadata == copy.metadata) {
            copies.push(copy);
        }
    }
    if copies.len() < 2 {
        let hint =
            "name several URLs, or add the index's mirrors with `wheelmark trust mirror add`";
        crate::logging::report(
            &anyhow!("there is nothing to compare it with").context(Hinted {
                hint: hint.to_owned(),
            }),
        );
        return Ok(ExitCode::from(USAGE));
    }
    let (compared, names) = compare(copies, reference, &args, context).await?;
    let saved = evidence::save(&compared, args.evidence.as_deref())?;
    let code = code_of(&compared, args.max_behind);
    let text = if args.json {
        format!("{:#}\n", words::to_json(&compared, &saved, &names, code))
    } else {
        words::text(&compared, &saved, &names)
    };
    print(&text)?;
    Ok(ExitCode::from(code))
}

/// Asks all of them; gives back what was compared, and why the root is trusted.
async fn compare(
    copies: Vec<Copy>,
    reference: Option<usize>,
    args: &Args,
    context: &Context,
) -> anyhow::Result<(CrossCheck, String)> {
    let remote = remote(context)?;
    let index = copies.iter().find_map(|copy| copy.index.clone());
    let kept = match &index {
        Some(index) => Upstream::new(index.clone(), remote.clone()).chain_files()?,
        None => None,
    };
    let sources: Vec<Source<WebPlace>> = copies
        .into_iter()
        .map(|copy| Source {
            place: WebPlace::new(copy.metadata, None, remote.clone(), Depth::Lengths),
            name: copy.name,
        })
        .collect();
    let named = begin_with(&args.anchor, index);
    let options = CrossCheckOptions {
        now: context.clock.now(),
        quick: args.quick,
        reference,
    };
    let world = context.clone();
    let bar = turning();
    let shown = bar.clone();
    let compared = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let mut failed = None;
        let mut begun = None;
        for source in &sources {
            match anchor(&named, &source.place, &world) {
                Ok(anchor) => {
                    begun = Some(anchor);
                    break;
                }
                // Another one may have the root.
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        let anchor = match (begun, failed) {
            (Some(anchor), _) => anchor,
            (None, Some(error)) => return Err(error),
            (None, None) => bail!("there is nothing to compare"),
        };
        let count = AtomicU64::new(0);
        let asked = |more: u64| {
            let roles = count.fetch_add(more, Relaxed) + more;
            shown.set_message(format!("{roles} roles asked for"));
        };
        let compared = cross_check(&sources, &anchor.root, kept.as_ref(), &options, &asked);
        Ok((compared, anchor.because))
    });
    let compared = compared.await?;
    bar.finish_and_clear();
    compared
}

/// The root of the index that they are copies of, unless another one is named.
fn begin_with(args: &AnchorArgs, index: Option<TrustedIndex>) -> AnchorArgs {
    let named = args.index.is_some() || args.root.is_some() || args.fingerprint.is_some();
    AnchorArgs {
        index: match index {
            Some(index) if !named => Some(index.urls().simple().to_string()),
            _ => args.index.clone(),
        },
        root: args.root.clone(),
        fingerprint: args.fingerprint,
    }
}

fn code_of(compared: &CrossCheck, tolerated: SignedDuration) -> u8 {
    if compared.is_proved() {
        return EQUIVOCATING;
    }
    if compared.has_failures() || !compared.contradictions.is_empty() {
        return FAILED;
    }
    // Where nothing is tolerated, two states of the same end are two states.
    match compared.longest_delay() {
        Some(delay) if delay > tolerated || tolerated.is_zero() => DELAYED,
        _ => 0,
    }
}

fn turning() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
