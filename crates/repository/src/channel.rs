//! Where a pending change comes from, and so what it can ask for.
//!
//! An index with a web process follows two journals: that of the uploads, which the web process
//! writes, and that of whoever runs the index, which it cannot write. What is asked for in the
//! first is done before what is asked for in the second, so that an order holds for everything
//! that was there when it was given.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use wheelmark_store::{Change, JournalRow, Seq};
use wheelmark_tuf::{OWN_MEMBER, TimestampMetadata};

use crate::journal_writer::JournalWriter;

/// The journal that a change stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    /// That of the uploads.
    Journal,
    /// That of whoever runs the index.
    Orders,
}

/// Where a pending change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) channel: Channel,
    pub(crate) seq: Seq,
}

/// A change that is asked for.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) place: Place,
    pub(crate) change: Change,
}

/// How far the journals have been followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) journal: Seq,
    pub(crate) orders: Seq,
}

impl Channel {
    pub(crate) fn pending(self, rows: Vec<JournalRow>) -> impl Iterator<Item = Pending> {
        rows.into_iter().map(move |row| Pending {
            place: Place {
                channel: self,
                seq: row.seq,
            },
            change: row.change,
        })
    }

    /// Who writes here, where `journal` says who writes the journal of the uploads.
    pub(crate) fn writer(self, journal: JournalWriter) -> JournalWriter {
        match self {
            Self::Journal => journal,
            Self::Orders => JournalWriter::Operator,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.channel {
            Channel::Journal => write!(f, "{}", self.seq),
            Channel::Orders => write!(f, "order {}", self.seq),
        }
    }
}

impl Followed {
    /// Goes on to a place.
    pub(crate) fn reach(&mut self, place: Place) {
        let at = match place.channel {
            Channel::Journal => &mut self.journal,
            Channel::Orders => &mut self.orders,
        };
        *at = place.seq.max(*at);
    }

    /// How far the journals had been followed when this timestamp was signed.
    pub(crate) fn of(timestamp: &TimestampMetadata) -> Self {
        let own = timestamp.extra.get(OWN_MEMBER);
        let position = |journal: &str| {
            let position = own.and_then(|own| own.get(journal)).and_then(Value::as_u64);
            Seq(position.unwrap_or(0))
        };
        Self {
            journal: position("journal"),
            orders: position("orders"),
        }
    }

    /// The serial number of what the snapshot changes that comes this far. It is higher than that
    /// of every snapshot before it, wherever the changes come from; it follows from what is signed
    /// alone, so that it is the same when the snapshot is recorded once more; and it is not below
    /// the positions of the uploads' journal, which were the serial numbers once.
    pub(crate) fn serial(self) -> Seq {
        Seq(self.journal.0.saturating_add(self.orders.0))
    }

    /// The timestamp's own words for it.
    pub(crate) fn member(self) -> BTreeMap<String, Value> {
        let mut own = json!({ "journal": self.journal.0 });
        if self.orders > Seq::default() {
            own["orders"] = self.orders.0.into();
        }
        BTreeMap::from([(OWN_MEMBER.to_owned(), own)])
    }
}
