//! `wheelmark release review`: what others have signed, looked through.

use std::process::ExitCode;

use serde_json::json;
use wheelmark_tuf::without_controls;

use super::At;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::releasing::{
    Desk, Differences, Entry, Member, Named, ReviewedFile, compare, demand_known, look, look_claim,
    short,
};

/// Look through a release that waits for signatures
///
/// Everything is fetched and verified on this machine: that what is to be signed adds files to the
/// page that your project's keys have signed, and does nothing else; that each file is the one that
/// is meant. Then it shows in what they differ from the last release: files inside of the archives,
/// core metadata, entry points, provenance. `wheelmark release approve` signs what was looked through
/// here, and nothing else.
///
///   wheelmark release review acme-tools==2.0
///   wheelmark release review acme-tools==2.0 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// PROJECT==VERSION, or an id (`wheelmark release list`)
    #[arg(value_name = "RELEASE")]
    named: Named,

    #[command(flatten)]
    at: At,

    /// The id of a key that signs for the project; all of them, the first time on this machine. Of each key
    /// that comes in with a change or a claim, too
    #[arg(long = "key", value_name = "KEYID")]
    keys: Vec<String>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = args.at.desk(context)?;
    let entry = desk.release_as(&args.named).await?;
    let (told, version) = reviewed(&desk, &entry, &args.keys, args.json).await?;
    print_line(&told)?;
    let index = desk.index();
    index
        .remember_review(&entry.project, &entry.id, version, desk.now)
        .await?;
    if !args.json {
        print_line(&format!(
            "if all of this is as it should be: wheelmark release approve {} --signer URI",
            entry.call()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks a release through; what there is to see, and the version of the role that it is.
pub(super) async fn reviewed(
    desk: &Desk,
    entry: &Entry,
    keys: &[String],
    is_json: bool,
) -> anyhow::Result<(String, u64)> {
    if entry.claim {
        let review = look_claim(desk, entry).await?;
        review.demand_named(keys)?;
        let told = match is_json {
            true => review.value(entry).to_string(),
            false => review.told(desk, entry),
        };
        return Ok((told, review.next.role.version));
    }
    let review = look(desk, entry).await?;
    let version = review.next.role.version;
    let entry = &entry.clone().verified(&review);
    let keys = &review.demand_added(keys)?;
    demand_known(desk, &entry.project, &review.claim, keys).await?;
    let folder = tempfile::tempdir()?;
    let files = compare(desk, entry, &review, folder.path()).await?;
    let change = review.change(desk, entry);
    if is_json {
        let told = json!({
            "project": entry.project,
            "id": entry.id,
            "version": review.next.role.version,
            "signed": entry.signed,
            "threshold": entry.threshold,
            "expires": review.next.role.expires.to_string(),
            "keeps": review.base.as_signed().files.len(),
            "files": files,
            "change": entry.change,
            "warnings": change.map(|change| change.warnings),
        });
        return Ok((told.to_string(), version));
    }
    let mut lines = vec![format!(
        "{} on {}, version {} of the project's role, signed by {} of {}",
        entry.what(),
        desk.urls().simple(),
        review.next.role.version,
        entry.signed.len(),
        entry.threshold
    )];
    let added = review.added();
    for id in &entry.signed {
        let whose = review.claim.maintainers.get(id);
        let whose = whose.map(|user| format!(" ({})", without_controls(user)));
        let comes = match added.contains(&id.as_str()) {
            true => ", a key that comes in",
            false => "",
        };
        lines.push(format!(
            "  signed by {}…{}{comes}",
            short(id),
            whose.unwrap_or_default()
        ));
    }
    if entry.signed.iter().all(|id| added.contains(&id.as_str())) {
        lines.push("  none of the keys of today has signed it yet".to_owned());
    }
    lines.push(format!(
        "  keeps {} files as they are, and removes none; holds until {}",
        review.base.as_signed().files.len(),
        review.next.role.expires
    ));
    if let Some(change) = change {
        lines.push(change.to_string());
        lines.push("whose the keys are is what the index says: compare the ids of those that come in with whoever has them, by another way".to_owned());
    } else if files.is_empty() {
        lines.push("  adds nothing: it holds for longer, and that is all".to_owned());
    }
    for file in &files {
        shown(file, &mut lines);
    }
    Ok((lines.join("\n"), version))
}

/// In what a file differs from the one before it.
pub(super) fn shown(file: &ReviewedFile, lines: &mut Vec<String>) {
    let Differences {
        compared_with,
        added,
        removed,
        changed,
        fields,
        entry_points_added,
        entry_points_removed,
        provenance_lost,
    } = &file.differences;
    lines.push(format!("  adds {}  {} bytes", file.filename, file.size));
    lines.push(format!("    sha256 {}", file.sha256));
    lines.push(match compared_with {
        Some(name) => format!("    against {}:", without_controls(name)),
        None => "    there is no file of its kind to hold it against; all of it is new:".to_owned(),
    });
    let mut member = |sign: &str, member: &Member| {
        let path = without_controls(&member.path);
        lines.push(format!("    {sign} {path}  {} bytes", member.size));
    };
    for one in added {
        member("+", one);
    }
    for one in removed {
        member("-", one);
    }
    for one in changed {
        let path = without_controls(&one.path);
        lines.push(format!(
            "    ~ {path}  {} bytes, were {}",
            one.after, one.before
        ));
    }
    for field in fields {
        let values = |values: &[String]| match values {
            [] => "nothing".to_owned(),
            values => without_controls(&values.join("; ")),
        };
        lines.push(format!(
            "    {}: {}, was {}",
            without_controls(&field.field),
            values(&field.after),
            values(&field.before)
        ));
    }
    for point in entry_points_added {
        lines.push(format!("    + entry point {}", without_controls(point)));
    }
    for point in entry_points_removed {
        lines.push(format!("    - entry point {}", without_controls(point)));
    }
    if *provenance_lost {
        lines.push("    the file before has provenance, and this one has none".to_owned());
    }
    let is_same = added.is_empty() && removed.is_empty() && changed.is_empty();
    if is_same && fields.is_empty() {
        lines.push("    nothing differs inside".to_owned());
    }
}
