//! In what order recorded snapshots follow on one another, and which of them are published.
//!
//! Several can stand recorded: published ones are kept until their files are on the disk, and after
//! a power failure the timestamp on the disk may be that of any of them, or that before the first,
//! or what is left of one. Each says on which timestamp it follows, under the seal.

use wheelmark_store::{Intent, IntentId, RecordedIntent};
use wheelmark_tuf::{Key, RoleName, Sha256};

use crate::intent::After;
use crate::record;
use crate::signing_log::Entry;

/// A recorded snapshot that this index sealed.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: IntentId,
    pub(crate) completed: bool,
    pub(crate) intent: Intent,
    pub(crate) after: After,
    /// The digest of its timestamp.
    timestamp: Sha256,
}

/// What stands recorded, beside what is published.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Those up to the one whose timestamp is published, the oldest first.
    pub(crate) landed: Vec<Link>,
    /// Those that follow, in their order.
    pub(crate) next: Vec<Link>,
    /// Those that are to be dropped, with the reason: this index did not record them, or has moved
    /// on since.
    pub(crate) foreign: Vec<(IntentId, &'static str)>,
    /// The versions of those that this index has recorded nevertheless: clients may have seen them.
    pub(crate) passed: Vec<(RoleName, u64)>,
    /// What the signing log says of all that this index has recorded.
    pub(crate) log: Vec<String>,
}

impl Chain {
    /// Arranges what is recorded, where the bytes `published` are found as the timestamp.
    ///
    /// The seal says that this index recorded a snapshot, and on which timestamp it follows; the
    /// published one says where to go on. A record from earlier days is genuine, too, and must not
    /// come back, whatever versions it has.
    pub(crate) fn of(
        recorded: Vec<RecordedIntent>,
        published: Option<&[u8]>,
        sealers: &[&Key],
    ) -> Self {
        let mut chain = Self::default();
        let mut links = Vec::with_capacity(recorded.len());
        for recorded in recorded {
            match Link::of(recorded, sealers) {
                Ok(link) => links.push(link),
                Err(foreign) => chain.foreign.push(foreign),
            }
        }
        if is_remains(published.unwrap_or_default(), &links) {
            // The newest of all was being published, and what it followed on is gone with the power.
            if let Some(newest) = newest(&links, |_| true) {
                chain.next = back_from(links[newest].timestamp, &mut links);
            }
        } else {
            let mut at = Sha256::of(published.unwrap_or_default());
            chain.landed = back_from(at, &mut links);
            while let Some(next) = newest(&links, |link| link.after.follows == Some(at)) {
                let link = links.remove(next);
                at = link.timestamp;
                chain.next.push(link);
            }
        }
        let all = chain.landed.iter().chain(&chain.next).chain(&links);
        let mut log: Vec<(u64, String)> = all
            .flat_map(|link| link.after.log.iter().cloned())
            .filter_map(|line| Some((Entry::parse(line.as_bytes())?.number, line)))
            .collect();
        log.sort();
        chain.log = log.into_iter().map(|(_, line)| line).collect();
        let why = "it does not follow on what is published";
        for link in &links {
            chain.passed.extend(record::versions(&link.intent));
        }
        chain
            .foreign
            .extend(links.into_iter().map(|link| (link.id, why)));
        chain
    }
}

impl Link {
    fn of(recorded: RecordedIntent, sealers: &[&Key]) -> Result<Self, (IntentId, &'static str)> {
        let RecordedIntent {
            id,
            completed,
            intent,
        } = recorded;
        let intent = intent.map_err(|_| (id, "it cannot be read"))?;
        let after = record::open(&intent, sealers);
        let after = after.ok_or((id, "it is not sealed with this index's key"))?;
        Ok(Self {
            id,
            completed,
            timestamp: Sha256::of(&intent.timestamp),
            intent,
            after,
        })
    }
}

/// Takes the record with this timestamp out of `links`, and those that it follows on, the oldest
/// first.
fn back_from(timestamp: Sha256, links: &mut Vec<Link>) -> Vec<Link> {
    let mut taken = Vec::new();
    let mut wanted = Some(timestamp);
    while let Some(place) = links.iter().position(|link| Some(link.timestamp) == wanted) {
        let link = links.remove(place);
        wanted = link.after.follows;
        taken.push(link);
    }
    taken.reverse();
    taken
}

/// The place of the record with the highest version among those that `fits` takes.
fn newest(links: &[Link], fits: impl Fn(&Link) -> bool) -> Option<usize> {
    let places = (0..links.len()).filter(|place| fits(&links[*place]));
    places.max_by_key(|place| links[*place].intent.timestamp_version)
}

/// Whether the timestamp is gone, or what a power failure left of one of these: shorter than it,
/// or with zeros in it.
fn is_remains(found: &[u8], links: &[Link]) -> bool {
    links.iter().any(|link| {
        let whole = &link.intent.timestamp;
        let mut pairs = found.iter().zip(whole);
        found != whole
            && found.len() <= whole.len()
            && pairs.all(|(found, whole)| found == whole || *found == 0)
    })
}
