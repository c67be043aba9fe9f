//! What a comparison comes to, for people and for scripts.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wheelmark_mirror::{Checked, Contradiction, CrossCheck, Position};
use wheelmark_tuf::{RoleName, without_controls};

/// How many expired roles of projects are named.
const ENDED_SHOWN: usize = 5;

pub(super) fn text(compared: &CrossCheck, saved: &Option<PathBuf>, because: &str) -> String {
    let mut text = format!("verified from the root of: {because}\n");
    for source in &compared.sources {
        text.push_str(&format!("\n{}\n  {}\n", source.name, standing(source)));
        if let Some(heads) = &source.heads {
            let until = heads.timestamp_expires.strftime("%Y-%m-%d %H:%M UTC");
            text.push_str(&format!(
                "  timestamp {}, until {until}; snapshot {}, root {}; {} roles compared\n",
                heads.timestamp, heads.snapshot, heads.root, source.roles
            ));
        }
        if !source.ended.is_empty() {
            text.push_str(&format!("  {}\n", ended(&source.ended)));
        }
    }
    for contradiction in &compared.contradictions {
        text.push_str(&told(contradiction));
    }
    if let Some(path) = saved {
        let shown = path.display();
        text.push_str(&format!(
            "\nThe proof is in {shown}. Whoever has a root of this index can verify it:\n  wheelmark cross-check --evidence {shown} --root root.json\n"
        ));
    }
    text
}

/// Projects whose own people have let their signature expire.
fn ended(roles: &[RoleName]) -> String {
    let shown = roles.iter().take(ENDED_SHOWN);
    let names: Vec<&str> = shown.map(RoleName::as_str).collect();
    let dots = if roles.len() > ENDED_SHOWN {
        ", …"
    } else {
        ""
    };
    without_controls(&format!(
        "expired, of projects that sign for themselves: {}{dots}; readers refuse those projects",
        names.join(", ")
    ))
}

fn told(contradiction: &Contradiction) -> String {
    let [one, other] = &contradiction.sources;
    let what = match &contradiction.proof {
        Ok(_) => "EQUIVOCATION",
        Err(_) => "DIFFERENT, not proved",
    };
    let signed = match &contradiction.proof {
        Ok(_) => ", and both are signed",
        Err(_) => "",
    };
    let mut text = format!(
        "\n{what}: version {} of {} has two contents{signed}\n  one    {one}\n  other  {other}\n",
        contradiction.version, contradiction.role
    );
    match &contradiction.proof {
        Ok(proof) => {
            for signed in proof.found.signed() {
                text.push_str(&format!("  sha256 of what is signed  {signed}\n"));
            }
        }
        Err(why) => {
            let why = without_controls(why);
            text.push_str(&format!("  no proof for others: {why}\n"));
        }
    }
    text
}

fn standing(source: &Checked) -> String {
    match &source.position {
        Position::Equal => "equal".to_owned(),
        Position::Behind { versions, time } => {
            format!("behind by {}, {}", count(*versions), about(time))
        }
        Position::Ahead { versions, time } => {
            format!("ahead by {}, {}", count(*versions), about(time))
        }
        Position::Expired { why } => format!("EXPIRED: {}", without_controls(why)),
        Position::Refused { why } => format!("REFUSED: {}", without_controls(why)),
        Position::Unreachable { why } => format!("UNREACHABLE: {}", without_controls(why)),
    }
}

fn count(versions: u64) -> String {
    let noun = if versions == 1 { "version" } else { "versions" };
    format!("{versions} {noun}")
}

fn about(time: &Option<SignedDuration>) -> String {
    let Some(time) = time else {
        return "for a time that cannot be told: the older one ends later".to_owned();
    };
    let seconds = time.as_secs();
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn to_json(
    compared: &CrossCheck,
    saved: &Option<PathBuf>,
    because: &str,
    code: u8,
) -> Value {
    let sources = compared.sources.iter().map(|source| {
        let (word, versions, time, why) = match &source.position {
            Position::Equal => ("equal", None, None, None),
            Position::Behind { versions, time } => ("behind", Some(*versions), *time, None),
            Position::Ahead { versions, time } => ("ahead", Some(*versions), *time, None),
            Position::Expired { why } => ("expired", None, None, Some(why)),
            Position::Refused { why } => ("refused", None, None, Some(why)),
            Position::Unreachable { why } => ("unreachable", None, None, Some(why)),
        };
        json!({
            "source": source.name,
            "position": word,
            "versions": versions,
            "seconds": time.map(|time| time.as_secs()),
            "why": why,
            "heads": source.heads,
            "roles": source.roles,
            "ended": source.ended.iter().map(RoleName::as_str).collect::<Vec<_>>(),
        })
    });
    let contradictions = compared.contradictions.iter().map(|contradiction| {
        json!({
            "role": contradiction.role.as_str(),
            "version": contradiction.version,
            "sources": contradiction.sources,
            "proved": contradiction.proof.is_ok(),
            "why_not": contradiction.proof.as_ref().err(),
            "signed_sha256": contradiction.proof.as_ref().ok().map(|proof| {
                proof.found.signed().each_ref().map(ToString::to_string)
            }),
        })
    });
    json!({
        "exit_code": code,
        "trust": because,
        "sources": sources.collect::<Value>(),
        "equivocations": contradictions.collect::<Value>(),
        "evidence": saved.as_ref().map(|path| path.display().to_string()),
    })
}
