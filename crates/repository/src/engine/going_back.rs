//! The engine goes back to the last good state: one snapshot, by the road of every other.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_signing::Signer;
use wheelmark_store::{Change, Seq};
use wheelmark_tuf::{RECOVERY_RAISE, RoleKeys, RoleName, TimestampMetadata, Verified, verify};

use super::{Engine, MOST_MOVED, Phase, VERSIONS_TO_TRY};
use crate::as_clients;
use crate::channel::{Channel, Followed, Place};
use crate::gather::{Gathered, gather};
use crate::going_back::{
    Differences, GoBackError, GoingBack, Merged, Outlook, Side, WentBack, differences, merge,
    put_back,
};
use crate::handed::{Raised, examine_raised, said};
use crate::keeping::weight;
use crate::plan::{Decision, Plan, Skipped, plan};
use crate::publish::{self, PublishError, Signed};
use crate::reach::within_reach;
use crate::roles;
use crate::signing_log::Logging;
use crate::state::{OWN_METADATA_LIMIT, State};

/// Why a change is refused that was pending when the index went back.
const CAME_AFTER: &str = "the index has gone back to an earlier state since this was sent: send it again, \
                          if it is yours (docs/recovery.md)";

/// How many versions are passed over at once because other files stand under them.
const MOST_TAKEN: u64 = 10_000;

/// How many changes are read at a time.
const AT_ONCE: u32 = 1_000;

/// The last position of the operator's journal behind which there is room for all orders that people will ever
/// give: positions have 63 bits.
const LAST_POSITION: u64 = 1 << 62;

/// What was prepared: all that is to be, before it is signed.
struct Prepared {
    good: State,
    raised: Raised,
    merged: Merged,
    differences: Differences,
    /// How far the journals go, and what becomes of what is pending.
    through: Followed,
    refused: Vec<Place>,
}

impl Engine {
    pub(super) async fn go_back(
        &mut self,
        back: &GoingBack,
        by: &str,
    ) -> Result<WentBack, GoBackError> {
        self.settle_what_is_open().await?;
        if let Some(there) = self.is_there(back).await? {
            return Ok(there);
        }
        self.demand_room_for_root()?;
        let mut last = None;
        for _ in 0..VERSIONS_TO_TRY {
            match self.try_to_go_back(back, by).await {
                Err(GoBackError::Publish(PublishError::Objects(ObjectError::Different {
                    path,
                }))) => {
                    self.skip(path.as_str()).await?;
                    last = Some(path.as_str().to_owned());
                }
                done => return done,
            }
        }
        Err(GoBackError::Occupied {
            path: last.unwrap_or_default(),
        })
    }

    pub(super) async fn look_back(
        &mut self,
        back: &GoingBack,
    ) -> Result<Option<(Outlook, usize)>, GoBackError> {
        self.settle_what_is_open().await?;
        if self.is_there(back).await?.is_some() {
            return Ok(None);
        }
        self.demand_room_for_root()?;
        let now = self.clock.now();
        let prepared = self.prepare(back, now).await?;
        let good = Side {
            tree: &back.last_good,
            state: &prepared.good,
        };
        let count = put_back(&self.writing, None, good, &prepared.merged).await?;
        let mut outlook = prepared.differences.outlook;
        outlook.refused_changes = prepared.refused.len();
        Ok(Some((outlook, count)))
    }

    /// Nothing lies in the place of the next root: until that is out, the stolen key counts.
    fn demand_room_for_root(&self) -> Result<(), GoBackError> {
        match &self.state.stray_root {
            None => Ok(()),
            Some(problem) => Err(GoBackError::StrayRoot {
                problem: problem.clone(),
            }),
        }
    }

    /// Whether the root of this recovery's ceremony is the one that stands.
    async fn is_there(&self, back: &GoingBack) -> Result<Option<WentBack>, GoBackError> {
        let root = RoleName::root();
        let version = self.state.root.version;
        let name = root.versioned_file_name(version);
        let Some((_, bytes)) = back.ceremony.iter().find(|(file, _)| *file == name) else {
            return Ok(None);
        };
        let path = ObjectPath::metadata(&root, version);
        let there = self.tree.read(&path, OWN_METADATA_LIMIT).await?;
        let snapshot_version = self.state.snapshot.version();
        let is_there = there.is_some_and(|there| *there == **bytes);
        Ok(is_there.then_some(WentBack::There { snapshot_version }))
    }

    /// Whether what is published is what was decided about.
    fn demand_present(&self, back: &GoingBack) -> Result<(), GoBackError> {
        let (state, seen) = (&self.state, &back.present);
        let changed = |what: String| Err(GoBackError::Changed { what });
        if state.root.version != seen.root {
            return changed(format!("version {} of root", state.root.version));
        }
        let (version, sha256) = (state.snapshot.version(), state.snapshot_file.sha256);
        if state.root.version != back.root {
            return Err(GoBackError::RootSince {
                good: back.root,
                present: state.root.version,
            });
        }
        if !state.is_readable {
            return match back.kept.is_empty() {
                true => Ok(()),
                false => Err(GoBackError::Unreadable),
            };
        }
        if (version, sha256) != (seen.snapshot.version, seen.snapshot.sha256) {
            return changed(format!("version {version} of the snapshot"));
        }
        Ok(())
    }

    /// Whether the operator's journal has positions left. The timestamp says how far it was followed, so one that
    /// somebody has used up could not be begun anew once that is signed.
    async fn demand_room_for_orders(&self) -> Result<(), GoBackError> {
        let Some(orders) = &self.orders else {
            return Ok(());
        };
        match orders.end().await?.0 <= LAST_POSITION {
            true => Ok(()),
            false => Err(GoBackError::OrdersUsedUp),
        }
    }

    /// Whether the next key has signed nothing that is published now. That an id stands there says nothing: a
    /// thief can write any.
    async fn demand_unused(&self, raised: &Raised) -> Result<(), GoBackError> {
        let transition = raised.handed().transition.as_ref();
        let next = transition.and_then(|next| self.online.signer(&next.signs));
        let Some(next) = next.map(Signer::key) else {
            return Ok(());
        };
        let bytes = self
            .tree
            .read(&ObjectPath::timestamp(), OWN_METADATA_LIMIT)
            .await?
            .unwrap_or_default();
        let keys = BTreeMap::from([(next.keyid().clone(), next.clone())]);
        let alone = RoleKeys::new([next], 1);
        let signed: Result<Verified<TimestampMetadata>, _> = verify(&bytes, &keys, &alone);
        match signed {
            Ok(_) => Err(GoBackError::NextKeyUsed),
            Err(_) => Ok(()),
        }
    }

    async fn prepare(&mut self, back: &GoingBack, now: Timestamp) -> Result<Prepared, GoBackError> {
        self.demand_present(back)?;
        self.demand_room_for_orders().await?;
        let last_good: &Directory = &back.last_good;
        let named = (back.snapshot.version, back.snapshot.sha256);
        let good = State::load_snapshot(last_good, named, self.state.stamped(), &self.online).await;
        let good = good.map_err(GoBackError::LastGood)?;
        if good.root.version != back.root {
            return Err(GoBackError::LastGoodRoot {
                expected: back.root,
                found: good.root.version,
            });
        }
        let newest = ObjectPath::metadata(&RoleName::root(), back.root);
        let theirs = last_good.read(&newest, OWN_METADATA_LIMIT).await?;
        if self.tree.read(&newest, OWN_METADATA_LIMIT).await? != theirs {
            return Err(GoBackError::AnotherIndex { version: back.root });
        }
        let (tree, online) = (&self.tree, &self.online);
        let raised = examine_raised(tree, last_good, &good, &back.ceremony, online, now).await?;
        let raised = raised.map_err(GoBackError::Ceremony)?;
        self.demand_unused(&raised).await?;
        let mut due: Vec<RoleName> = good.schedule.keys().cloned().collect();
        let wanted = due.len();
        let (rows, parts, none) = (Vec::new(), HashMap::new(), Skipped::new());
        let gathered = gather(&good, last_good, rows, parts, &none, now, &mut due).await;
        let gathered = gathered.map_err(GoBackError::LastGood)?;
        if due.len() < wanted {
            return Err(GoBackError::Role);
        }
        let (good_side, present) = (
            Side {
                tree: last_good,
                state: &good,
            },
            Side {
                tree: &self.tree,
                state: &self.state,
            },
        );
        let merged = merge(good_side, present, gathered.roles, &raised, &back.kept).await?;
        let differences = differences(good_side, present, &merged, &raised).await?;
        let (through, refused) = self.ends().await?;
        Ok(Prepared {
            good,
            raised,
            merged,
            differences,
            through,
            refused,
        })
    }

    /// The present ends of the journals, and the places of all that is pending.
    async fn ends(&mut self) -> Result<(Followed, Vec<Place>), GoBackError> {
        let (mut through, mut pending) = (self.state.followed, Vec::new());
        loop {
            let rows = self.uploads_after(through.journal, AT_ONCE).await?;
            let (rows, stray) = within_reach(through.journal, rows);
            self.tell_of_stray(stray);
            let Some(last) = rows.last() else {
                break;
            };
            let last = last.seq;
            pending.extend(rows.into_iter().map(|row| Place {
                channel: Channel::Journal,
                seq: row.seq,
            }));
            through.journal = last;
        }
        while let Some(orders) = &self.orders {
            let rows = orders.after(through.orders, AT_ONCE).await?;
            let Some(last) = rows.last() else {
                break;
            };
            let last = last.seq;
            pending.extend(rows.into_iter().map(|row| Place {
                channel: Channel::Orders,
                seq: row.seq,
            }));
            through.orders = last;
        }
        Ok((through, pending))
    }

    async fn try_to_go_back(
        &mut self,
        back: &GoingBack,
        by: &str,
    ) -> Result<WentBack, GoBackError> {
        self.phase(Phase::Plan);
        let now = self.clock.now();
        let mut prepared = self.prepare(back, now).await?;
        // It stands in the journal of whoever runs the index, and so the catalogue's changes have a serial
        // number of their own, above all before it.
        let mut own = None;
        if let Some(orders) = &self.orders {
            match orders.ask_all(&[Change::Renewal], now, by).await {
                Ok(asked) => own = asked.last().copied(),
                // One in which a thief has used up the positions takes no more of them.
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the recovery cannot be written into the operator's journal; it goes on without that"
                ),
            }
            prepared.through.orders = own.unwrap_or(prepared.through.orders);
        }
        let good = Side {
            tree: &back.last_good,
            state: &prepared.good,
        };
        let lock = Some(&self.lock);
        let put_back = put_back(&self.writing, lock, good, &prepared.merged).await?;
        let lost = prepared.differences.lost(Side {
            tree: &self.tree,
            state: &self.state,
        });
        if let Some(path) = lost.await? {
            let path = path.as_str().to_owned();
            return Err(GoBackError::Lost { path });
        }
        let refused_changes = prepared.refused.len();
        let (good, base, plan, mut outlook) = self.plan_back(prepared, own, now).await?;
        outlook.refused_changes = refused_changes;

        self.phase(Phase::Sign);
        self.flush_log()?;
        let (log, keys) = (self.log.as_ref(), self.online.ids());
        let log = log.map(|log| Logging::behind(log.head(), keys, now));
        let Signed { intent, after, .. } = publish::sign(plan, &base, &self.online, log)?;
        if let Some(log) = &mut self.log
            && let Err(error) = log.append(&after.log)
        {
            self.unsettled.get_or_insert_default();
            return Err(PublishError::from(error).into());
        }
        let bytes = weight(&intent);
        if bytes > MOST_MOVED {
            let most = MOST_MOVED;
            return Err(GoBackError::TooMuch { bytes, most });
        }
        let then = (&*back.last_good, &good);
        let robbed = Some(&self.state).filter(|robbed| robbed.is_readable);
        let tried = as_clients::try_out_going_back(&self.tree, then, robbed, &intent, now).await?;
        if let Err(refused) = tried {
            return Err(GoBackError::Clients(said(&refused)));
        }

        let snapshot_version = intent.snapshot_version;
        let id = self.record_and_write(intent, &after).await?;
        let state = State::load(&self.tree, &self.online).await;
        let state = state.map_err(PublishError::from)?;
        let version = back.root.saturating_add(1);
        if state.stray_root.is_some() && state.root.version != version {
            // It is recorded, and written when that is gone.
            return Err(GoBackError::RootNotPublished { version });
        }
        self.state = state;
        publish::restore_names(&self.writing, &self.lock, &after).await?;
        self.finish(&after, id, snapshot_version).await?;
        self.keeping.keep(id, bytes);
        self.unsettled = None;
        self.phase(Phase::Done);
        if self.state.root.version != version {
            return Err(GoBackError::RootNotPublished { version });
        }
        tracing::warn!(
            snapshot = snapshot_version,
            root = self.state.root.version,
            back_to = back.snapshot.version,
            "went back to the last good state"
        );
        Ok(WentBack::Published {
            snapshot_version,
            put_back,
            outlook,
        })
    }

    /// Plans the snapshot; the last good state, and the state that it is planned on.
    async fn plan_back(
        &self,
        prepared: Prepared,
        own: Option<Seq>,
        now: Timestamp,
    ) -> Result<(State, State, Plan, Outlook), GoBackError> {
        let Prepared {
            good,
            raised,
            merged,
            differences,
            through,
            refused,
        } = prepared;
        let Merged {
            state: mut base,
            roles,
            pages,
            lists,
            ..
        } = merged;
        base.followed = through;
        let skipped = self.raised_versions(&mut base, &raised).await?;
        let mut due: Vec<RoleName> = roles.keys().cloned().collect();
        due.sort();
        let gathered = Gathered {
            roles,
            split_above: Some(self.split_claims_above),
            handed: Some(raised.handed().clone()),
            ..Gathered::default()
        };
        let mut plan = plan(
            &base,
            gathered,
            &due,
            false,
            &skipped,
            &self.lifetimes,
            self.writer,
            now,
        );
        (plan.pages, plan.lists) = (pages, lists);
        let outlook = differences.name_in(&mut plan);
        let refusals = refused.into_iter().map(|place| {
            let why = Decision::Refused(CAME_AFTER.to_owned());
            (place, why)
        });
        plan.outcomes = refusals.collect();
        plan.outcomes.extend(own.map(|seq| {
            let channel = Channel::Orders;
            let done = Decision::Published(Box::new(Change::Renewal));
            (Place { channel, seq }, done)
        }));
        Ok((good, base, plan, outlook))
    }

    /// The versions behind which each role is signed: raised, and above those under which other files stand
    /// in the tree.
    async fn raised_versions(
        &self,
        base: &mut State,
        raised: &Raised,
    ) -> Result<Skipped, GoBackError> {
        let mut floors = Skipped::new();
        let transition = raised.handed().transition.as_ref();
        let families = transition
            .into_iter()
            .flat_map(|next| next.families.values());
        let bins = families.flat_map(roles::bins_of);
        let signed = base.schedule.keys().cloned().chain(bins);
        for role in signed.chain([RoleName::snapshot()]) {
            if floors.contains_key(&role) {
                continue;
            }
            let then = match role == RoleName::snapshot() {
                true => base.snapshot.version(),
                false => base.snapshot.role_version(&role).unwrap_or(0),
            };
            let raised = then.saturating_add(RECOVERY_RAISE - 1);
            let mut floor = raised.max(self.skipped_within_reach(&role, raised));
            let mut passed = 0;
            loop {
                let path = ObjectPath::metadata(&role, floor.saturating_add(1));
                if !is_taken(&self.tree, &path).await? {
                    break;
                }
                passed += 1;
                floor += 1;
                if passed > MOST_TAKEN {
                    let path = path.as_str().to_owned();
                    return Err(GoBackError::Occupied { path });
                }
            }
            floors.insert(role, floor);
        }
        // A timestamp has no versions in the tree, and the last good state need not have one. It goes on
        // behind the present one, unless that was driven up.
        let raised = base.snapshot.version().saturating_add(RECOVERY_RAISE);
        let driven_up = base.timestamp_version >= raised.saturating_add(RECOVERY_RAISE);
        if driven_up {
            base.timestamp_version = base.snapshot.version();
        }
        let timestamp = RoleName::timestamp();
        let skipped = self.skipped_within_reach(&timestamp, raised);
        let floor = (raised - 1).max(base.timestamp_version).max(skipped);
        floors.insert(timestamp, floor);
        Ok(floors)
    }

    /// The version of a role that was given up, if it is one that this engine can have signed: the records
    /// that say so are sealed by the key that was stolen.
    fn skipped_within_reach(&self, role: &RoleName, raised: u64) -> u64 {
        let skipped = self.skipped.get(role).copied();
        let most = raised.saturating_add(RECOVERY_RAISE);
        skipped.filter(|skipped| *skipped <= most).unwrap_or(0)
    }
}

/// Whether anything stands under a name. What cannot be read does.
async fn is_taken(tree: &Directory, path: &ObjectPath) -> Result<bool, GoBackError> {
    match tree.exists(path).await {
        Ok(there) => Ok(there),
        Err(error) if publish::is_lasting(&error) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
