//! A distribution file.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use wheelmark_client::Freshness;
use wheelmark_mirror::{Distribution, SignedAs, Verdict, check_distribution};
use wheelmark_packaging::simple::{Signed, Yanked};

use super::withdrawn::{self, ADVICE};
use super::{Args, Outcome};
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes};

pub(super) async fn verify(path: &Path, args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    let homes = open_homes(
        context,
        HomesOptions {
            index: args.anchor.index.as_deref(),
            freshness: Freshness::Once,
            strict: args.strict,
            readers: Readers::Person,
            policy: None,
        },
    )?;
    let found = check_distribution(path, &homes)
        .await
        .with_context(|| format!("could not read {}", path.display()))?;
    Ok(Outcome {
        holds: matches!(found.verdict, Verdict::Signed(_)),
        text: text(path, &found),
        json: to_json(&found),
    })
}

fn text(path: &Path, found: &Distribution) -> String {
    let shown = path.display();
    let bytes = format!("sha256 {}, {} bytes", found.sha256, found.size);
    match &found.verdict {
        Verdict::Signed(signed) => format!("{shown}: signed\n{}  {bytes}\n", details(signed)),
        Verdict::OtherBytes {
            index,
            sha256,
            size,
            known_as,
        } => {
            let known = known_as.as_ref().map_or(String::new(), |name| {
                format!("  these bytes are signed there as {name}\n")
            });
            format!(
                "{shown}: NOT what was signed\n  {index} signed other bytes under this name\n  expected   sha256 {sha256}, {size} bytes\n  found      {bytes}\n{known}  do         do not install it; download it again through `wheelmark exec`\n"
            )
        }
        Verdict::Withdrawn(withdrawn) => format!(
            "{shown}: WITHDRAWN after a break-in\n  {withdrawn}\n  found      {bytes}\n  do         {ADVICE}\n"
        ),
        Verdict::Unknown { why, known_as } => {
            let known = known_as.as_ref().map_or(String::new(), |name| {
                format!("  these bytes are signed there as {name}\n")
            });
            format!(
                "{shown}: unknown\n  {why}\n{known}  nobody who is trusted speaks for it, and nobody against it\n  found      {bytes}\n"
            )
        }
        Verdict::Refused(refusal) => format!(
            "{shown}: cannot be told\n  {refusal}\n  {}\n  do         {}\n",
            refusal.meaning(),
            refusal.next()
        ),
        Verdict::NoName(error) => format!(
            "{shown}: unknown\n  {error}\n  give it back the name that it was published under\n  found      {bytes}\n"
        ),
    }
}

fn details(signed: &SignedAs) -> String {
    let (role, version) = &signed.page_role;
    let mut text = format!(
        "  index      {}\n  signed by  role {role}, version {version}: {}\n",
        signed.index, signed.chain
    );
    if let Some((role, version)) = &signed.own_role {
        text.push_str(&format!("  own target role {role}, version {version}\n"));
    }
    if let Some(marks) = &signed.entry.wheelmark {
        let at = marks.signed_at.strftime("%Y-%m-%d %H:%M UTC");
        text.push_str(&match marks.signed {
            Signed::AtUpload => format!("  mark       signed at upload, {at}\n"),
            Signed::Back => format!(
                "  mark       back-signed {at}: it was there before the index was first signed, and what happened to it until then, nobody signed\n"
            ),
        });
    }
    match &signed.entry.yanked {
        Yanked::No => {}
        Yanked::Yes => text.push_str("  yanked     yes, without a reason\n"),
        Yanked::Because(why) => {
            let why = wheelmark_tuf::without_controls(why);
            text.push_str(&format!("  yanked     {why}\n"));
        }
    }
    text
}

fn to_json(found: &Distribution) -> Value {
    let mut json = json!({
        "kind": "file",
        "filename": found.filename,
        "sha256": found.sha256.to_string(),
        "size": found.size,
    });
    let verdict = match &found.verdict {
        Verdict::Signed(signed) => {
            json["signed"] = signed_json(signed);
            "signed"
        }
        Verdict::OtherBytes {
            index,
            sha256,
            size,
            known_as,
        } => {
            json["expected"] = json!({
                "index": index, "sha256": sha256.to_string(), "size": size, "known_as": known_as
            });
            "other-bytes"
        }
        Verdict::Withdrawn(withdrawn) => {
            json["withdrawn"] = withdrawn::to_json(withdrawn);
            "withdrawn"
        }
        Verdict::Unknown { why, known_as } => {
            json["why"] = why.as_str().into();
            json["known_as"] = known_as.clone().into();
            "unknown"
        }
        Verdict::Refused(refusal) => {
            json["why"] = refusal.to_string().into();
            json["next"] = refusal.next().into();
            "refused"
        }
        Verdict::NoName(error) => {
            json["why"] = error.to_string().into();
            "unknown"
        }
    };
    json["verdict"] = verdict.into();
    json
}

fn signed_json(signed: &SignedAs) -> Value {
    let marks = signed.entry.wheelmark.as_ref();
    json!({
        "index": signed.index,
        "project": signed.project.as_str(),
        "version": signed.entry.filename.version().to_string(),
        "role": signed.page_role.0.as_str(),
        "role_version": signed.page_role.1,
        "own_role": signed.own_role.as_ref().map(|(role, _)| role.as_str()),
        "own_role_version": signed.own_role.as_ref().map(|(_, version)| version),
        "chain": signed.chain.to_string(),
        "mark": marks.map(|marks| match marks.signed {
            Signed::AtUpload => "at-upload",
            Signed::Back => "back",
        }),
        "signed_at": marks.map(|marks| marks.signed_at.to_string()),
        "upload_time": signed.entry.upload_time.map(|time| time.to_string()),
        "yanked": match &signed.entry.yanked {
            Yanked::No => Value::Bool(false),
            Yanked::Yes => Value::Bool(true),
            Yanked::Because(why) => why.as_str().into(),
        },
    })
}
