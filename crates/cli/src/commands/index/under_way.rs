//! What has begun and is not over: another online key that takes over, another hash that is listed
//! beside the one of before, and ceremonies that were handed in.
//!
//! Which keys sign is read from what is published: the timestamp has the signatures of both while
//! one takes over, and root says which of them counts.

use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_ceremony::Standing;
use wheelmark_repository::Lifetimes;
use wheelmark_tuf::{IndexRecovery, KeyId, OWN_MEMBER, RoleName, without_controls};

use super::table::minute;
use crate::data::Data;
use crate::published;

/// How many digits of a key's id are shown.
const SHOWN_KEYID: usize = 16;

/// How far another online key has come.
enum Rotation {
    /// It is made, and signs nothing.
    Made,
    /// Both sign, and root names the one of before.
    Prepared { next: KeyId },
    /// Both sign, and root names the next one; when the other can go.
    Named { before: KeyId, retire: Retire },
}

/// All that has begun and is not over.
pub(super) struct UnderWay {
    rotation: Option<Rotation>,
    /// The hashes that are to be listed, where these are two.
    hashes: Option<Vec<String>>,
    /// Ceremonies that were handed in, and when.
    ceremonies: Vec<(String, Timestamp)>,
}

impl UnderWay {
    /// Looks; nothing here is needed to publish, so what cannot be read is left out.
    pub(super) async fn of(data: &Data, standing: &Standing) -> anyhow::Result<Self> {
        let timestamp = published::metadata(&data.tree(), &RoleName::timestamp().file_name())?;
        let timestamp: Value = serde_json::from_slice(&timestamp.unwrap_or_default())?;
        Ok(Self {
            rotation: rotation(data, standing, &timestamp).await?,
            hashes: two_hashes(&timestamp),
            ceremonies: match data.has_orders() {
                true => waiting(data).await.unwrap_or_default(),
                false => Vec::new(),
            },
        })
    }

    /// In words, a line each, with what is next.
    pub(super) fn lines(&self) -> Vec<String> {
        let rotation = self.rotation.iter().map(|rotation| match rotation {
            Rotation::Made => "another online key is made, and does not sign yet: the index takes it up when it runs, or is started anew".to_owned(),
            Rotation::Prepared { next } => format!(
                "another online key, {}, signs along: a ceremony has to name it next (wheelmark ceremony begin --online-key next-online-key.json), or `wheelmark index rotate-online-key --abandon` lets it go",
                short(next)
            ),
            Rotation::Named { before, retire } => match retire.stolen {
                true => format!(
                    "a recovery has put another online key in the place of {}, which signs along as long as it is here: let it go now (wheelmark index rotate-online-key --retire)",
                    short(before)
                ),
                false => format!(
                    "root names another online key, and the one of before, {}, signs along: from {} on it can go (wheelmark index rotate-online-key --retire)",
                    short(before),
                    minute(retire.from)
                ),
            },
        });
        let ceremonies = self.ceremonies.iter().map(|(name, at)| {
            format!(
                "the ceremony {} was handed in at {} and is not published yet: the index does it when it runs",
                without_controls(name),
                minute(*at)
            )
        });
        let hashes = self.hashes.iter().map(|hashes| {
            format!(
                "two hashes are listed, {}: `wheelmark index hashes show` says whether all pages do; then `drop` can end it",
                without_controls(&hashes.join(" and "))
            )
        });
        rotation.chain(hashes).chain(ceremonies).collect()
    }

    /// The same, for scripts.
    pub(super) fn to_json(&self) -> Value {
        let rotation = self.rotation.iter().map(|rotation| match rotation {
            Rotation::Made => json!({ "kind": "online-key", "state": "made" }),
            Rotation::Prepared { next } => {
                json!({ "kind": "online-key", "state": "prepared", "next": next.as_str() })
            }
            Rotation::Named { before, retire } => json!({
                "kind": "online-key",
                "state": "named",
                "before": before.as_str(),
                "retire_from": retire.from.to_string(),
                "recovered": retire.stolen,
            }),
        });
        let ceremonies = self.ceremonies.iter().map(|(name, at)| {
            json!({ "kind": "ceremony", "ceremony": name, "handed_in": at.to_string() })
        });
        let hashes = self.hashes.iter();
        let hashes = hashes.map(|hashes| json!({ "kind": "hashes", "listed": hashes }));
        rotation.chain(hashes).chain(ceremonies).collect()
    }
}

/// The hashes that the timestamp says are to be listed, where these are two.
fn two_hashes(timestamp: &Value) -> Option<Vec<String>> {
    let listed = timestamp["signed"][OWN_MEMBER]["hashes"].as_array()?;
    let listed = listed.iter().filter_map(Value::as_str);
    let listed: Vec<String> = listed.map(str::to_owned).collect();
    (listed.len() > 1).then_some(listed)
}

fn short(id: &KeyId) -> String {
    let short: String = id.as_str().chars().take(SHOWN_KEYID).collect();
    without_controls(&short)
}

async fn waiting(data: &Data) -> anyhow::Result<Vec<(String, Timestamp)>> {
    let orders = data.orders().await?;
    let waiting = orders.waiting_ceremonies().await;
    orders.close().await;
    Ok(waiting?)
}

async fn rotation(
    data: &Data,
    standing: &Standing,
    timestamp: &Value,
) -> anyhow::Result<Option<Rotation>> {
    let named = &standing.root().roles.timestamp.keyids;
    let signatures = timestamp["signatures"].as_array();
    let signers = signatures
        .into_iter()
        .flatten()
        .filter_map(|signature| Some(KeyId::from(signature["keyid"].as_str()?.to_owned())));
    let other = signers.into_iter().find(|id| !named.contains(id));
    Ok(match other {
        Some(other) if was_named(standing, &other) => Some(Rotation::Named {
            before: other,
            retire: retire_from(data, standing).await?,
        }),
        Some(next) => Some(Rotation::Prepared { next }),
        None => {
            let [_, next] = data.online_key_files(None);
            next.exists().then_some(Rotation::Made)
        }
    })
}

/// The roots of before that named a key for the timestamp.
fn was_named(standing: &Standing, key: &KeyId) -> bool {
    let names = |root: &wheelmark_tuf::Root| root.roles.timestamp.keyids.contains(key);
    roots(standing).any(|root| names(&root))
}

fn roots(standing: &Standing) -> impl Iterator<Item = wheelmark_tuf::Root> {
    let roots = standing.published().roots.iter();
    roots.filter_map(|root| {
        wheelmark_tuf::verify_trusted_root(root)
            .ok()
            .map(|root| (*root).clone())
    })
}

/// When an online key of before can go.
pub(super) struct Retire {
    /// From when on.
    pub(super) from: Timestamp,
    /// Whether it was replaced because it was stolen.
    pub(super) stolen: bool,
}

/// From when on no copy that clients accept can be from before the ceremony that named the online
/// key: its timestamp would have ended. At once where that was the ceremony of a recovery: copies of before
/// it are none that anybody should go by.
///
/// When that ceremony was published is written down by the index. Where it is not, as after a
/// rebuild, the time counts at which the newest root was written here.
pub(super) async fn retire_from(data: &Data, standing: &Standing) -> anyhow::Result<Retire> {
    let keys = &standing.root().roles.timestamp.keyids;
    let first = roots(standing).find(|root| root.roles.timestamp.keyids == *keys);
    let first = first.map_or(standing.root().version, |root| root.version);
    let name = RoleName::root().versioned_file_name(first);
    let written_down = match data.has_orders() {
        true => {
            let orders = data.orders().await?;
            let at = orders.published_at(&name).await;
            orders.close().await;
            at?
        }
        false => None,
    };
    let stolen = written_down.is_none() && is_just_recovered(data, standing)?;
    let published = match written_down {
        Some(at) => at,
        None => written(data, standing)?,
    };
    let from = match stolen {
        true => published,
        false => published.checked_add(Lifetimes::default().online)?,
    };
    Ok(Retire { from, stolen })
}

/// Whether `targets` is that of a recovery, and of no ceremony behind it: it says what the recovery was, and
/// has skipped the versions before it.
fn is_just_recovered(data: &Data, standing: &Standing) -> anyhow::Result<bool> {
    let targets = standing.targets();
    if !matches!(IndexRecovery::of(targets), Ok(Some(_))) {
        return Ok(false);
    }
    let before = targets.version.saturating_sub(1);
    let before = RoleName::targets().versioned_file_name(before);
    Ok(published::metadata(&data.tree(), &before)?.is_none())
}

/// When the newest root was written here.
fn written(data: &Data, standing: &Standing) -> anyhow::Result<Timestamp> {
    use anyhow::Context as _;
    let root = RoleName::root().versioned_file_name(standing.root().version);
    let file = data.tree().join("metadata").join(root);
    let written = std::fs::metadata(&file).and_then(|file| file.modified());
    let written = written.with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Timestamp::try_from(written)?)
}
