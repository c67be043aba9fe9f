//! The last recovery of an index after a break-in, as `wheelmark trust show` has it.

use serde_json::{Value, json};
use wheelmark_client::TrustedIndex;

use crate::commands::exec::recoveries::quoted;

/// For people; nothing where there was none.
pub(super) fn lines(index: &TrustedIndex) -> anyhow::Result<String> {
    let Some(known) = index.recovered()? else {
        return Ok(String::new());
    };
    let bulletin = quoted(&known.bulletin);
    Ok(format!(
        "recovered    on {} after a break-in; good until {}\n{bulletin}  forgotten here: who signs for {} projects, who attests to {}\n",
        known.at.strftime("%Y-%m-%d %H:%M UTC"),
        known.since.strftime("%Y-%m-%d %H:%M UTC"),
        known.claims.len(),
        known.identities.len(),
    ))
}

/// For scripts; null where there was none.
pub(super) fn to_json(index: &TrustedIndex) -> anyhow::Result<Value> {
    Ok(match index.recovered()? {
        None => Value::Null,
        Some(known) => json!({
            "at": known.at.to_string(),
            "since": known.since.to_string(),
            "bulletin": known.bulletin,
            "noticed": known.noticed.to_string(),
            "forgotten_claims": known.claims,
            "forgotten_identities": known.identities,
        }),
    })
}
