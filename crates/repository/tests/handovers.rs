//! A claimed project's keys hand over to others (PEP 480, *Key compromise* and *Uploading*).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;

use index::TestIndex;
use releasing::{Draft, claim, draft, key};
use wheelmark_repository::{BinForm, Engine, JournalWriter, project_role};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{
    Admission, Bearer, ClaimedKey, NewKeys, Outcome, ReleaseDenied, ReleaseError,
};
use wheelmark_tuf::{
    Clock as _, Delegations, Handover, Handovers, KeySet, OWN_MEMBER, RoleName, Targets, Verified,
    assemble_handing, canonical, verify,
};

const FIRST: &str = "demo-1.0-py3-none-any.whl";
const SECOND: &str = "demo-2.0-py3-none-any.whl";

/// An index where alice has claimed `demo`.
struct World {
    index: TestIndex,
    engine: Engine,
    alice: Bearer,
    version: u64,
    handovers: Handovers,
}

fn role() -> RoleName {
    project_role(&"demo".parse().unwrap())
}

fn set(keys: &[&FileKey], threshold: u32) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.key().clone()), threshold).unwrap()
}

/// Which keys come in, and which go.
fn stated(from: &KeySet, to: &KeySet) -> NewKeys {
    let added = to.beyond(from).into_iter();
    let removed = from.beyond(to).into_iter();
    NewKeys {
        added: added
            .map(|key| ClaimedKey {
                keyid: key.keyid().as_str().to_owned(),
                key: key.to_value(),
                maintainer: "alice".to_owned(),
            })
            .collect(),
        removed: removed.map(|key| key.keyid().as_str().to_owned()).collect(),
    }
}

impl World {
    /// `demo` has one file, and nobody's keys sign for it; these are there.
    async fn unclaimed(names: &[&str]) -> (Self, Vec<FileKey>) {
        let index = TestIndex::new(16, BinForm::Succinct).await;
        let mut engine = index.engine_of(JournalWriter::WebProcess).await.unwrap();
        engine.take_claims(true);
        let alice = index.bearer().await;
        let file = index.place(FIRST, b"first").await;
        let admitted = index.store.admit_from(file, &alice, None).await;
        assert!(matches!(admitted.unwrap(), Admission::Recorded(_)));
        engine.turn().await.unwrap();
        let keys: Vec<FileKey> = names.iter().map(|name| key(&index, name)).collect();
        let world = Self {
            index,
            engine,
            alice,
            version: 0,
            handovers: Handovers::default(),
        };
        (world, keys)
    }

    /// The same, claimed with these keys.
    async fn claimed(names: &[&str], threshold: u32) -> (Self, Vec<FileKey>) {
        let (mut world, keys) = Self::unclaimed(names).await;
        let all: Vec<&FileKey> = keys.iter().collect();
        let mut first = world.next(&[]).await;
        first.claim = Some(claim(&all, threshold));
        world.hand_in(first, &all).await.unwrap();
        (world, keys)
    }

    /// The next release, with the handovers there are.
    async fn next(&self, new: &[(&str, &[u8])]) -> Draft {
        let mut next = draft(&self.index, "demo", self.version + 1, new).await;
        next.role.state_handovers(&self.handovers);
        next
    }

    /// The same with one handover more, signed by these.
    fn handed(&self, from: &KeySet, to: &KeySet, by: &[&FileKey]) -> Handovers {
        let handover = Handover {
            role: role(),
            number: self.handovers.next_number(),
            version: self.version + 1,
            made_at: jiff::Timestamp::from_second(self.index.clock.now().as_second()).unwrap(),
            from: from.clone(),
            to: to.clone(),
        };
        let by: Vec<&dyn Signer> = by.iter().map(|key| *key as &dyn Signer).collect();
        let file = sign_role(&handover.to_canonical(), &by).unwrap();
        self.handovers.and(&file, &role()).unwrap()
    }

    /// The release that brings one handover more.
    async fn handing(&self, from: &KeySet, to: &KeySet, by: &[&FileKey]) -> Draft {
        let mut next = self.next(&[]).await;
        next.role.state_handovers(&self.handed(from, to, by));
        next.keys = Some(stated(from, to));
        next
    }

    async fn hand_in(&mut self, draft: Draft, keys: &[&FileKey]) -> Result<(), String> {
        let handovers = draft.role.handovers(&role());
        let seq = draft.hand_in(&self.index, &self.alice, keys).await.unwrap();
        self.engine.turn().await.unwrap();
        match self.index.store.outcome(seq).await.unwrap() {
            Some(Outcome::Published { .. }) => {
                self.version += 1;
                self.handovers = handovers.unwrap();
                Ok(())
            }
            Some(Outcome::Refused { reason }) => Err(reason),
            None => panic!("{seq} is pending"),
        }
    }

    /// What the index delegates to now.
    fn delegations(&self) -> Delegations {
        let metadata = self.index.folder.path().join("repository/metadata");
        let mut newest = (0, None);
        for entry in std::fs::read_dir(metadata).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some(version) = name.strip_suffix(".recently-claimed.json") {
                let version: u64 = version.parse().unwrap();
                newest = newest.max((version, Some(path)));
            }
        }
        let bytes = std::fs::read(newest.1.unwrap()).unwrap();
        let online = FileKey::open(&self.index.folder.path().join("online")).unwrap();
        let keys = set(&[&online], 1);
        let read = verify::<Targets>(&bytes, keys.keys(), &keys.role_keys());
        read.unwrap().into_inner().delegations.unwrap()
    }

    /// Whose the registered keys are.
    async fn registered(&self, keyid: &str) -> u64 {
        let statement = format!("UPDATE developer_key SET person = person WHERE keyid = '{keyid}'");
        self.index.sql(&statement).await
    }
}

fn id(key: &FileKey) -> String {
    key.key().keyid().as_str().to_owned()
}

#[tokio::test]
async fn keys_come_and_go_and_the_page_stays_as_it_is() {
    let (mut world, keys) = World::claimed(&["one"], 1).await;
    let one = &keys[0];
    let (two, three) = (key(&world.index, "two"), key(&world.index, "three"));
    let page = world.index.page("demo").unwrap().to_json();
    let first = set(&[one], 1);
    let both = set(&[one, &two], 1);
    let before = world.engine.snapshot_version();
    let handing = world.handing(&first, &both, &[one, &two]).await;
    world.hand_in(handing, &[one, &two]).await.unwrap();
    assert_eq!(world.engine.snapshot_version(), before + 1);
    assert_eq!(world.index.page("demo").unwrap().to_json(), page);
    assert_eq!(
        KeySet::delegated(&world.delegations(), &role()),
        Some(both.clone())
    );
    let own = world.delegations().role_keys(&role()).unwrap().extra[OWN_MEMBER].clone();
    assert_eq!(own["maintainers"][id(&two)], "alice");
    assert!(
        own["claimed-at"].is_string() && own["keys-since"].is_string(),
        "{own}"
    );
    // The new key publishes alone.
    let release = world.next(&[(SECOND, b"x")]).await;
    world.hand_in(release, &[&two]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
    // And removes the first one, raises the threshold with another, and is not enough any more.
    let (alone, pair) = (set(&[&two], 1), set(&[&two, &three], 2));
    let handing = world.handing(&both, &alone, &[&two]).await;
    world.hand_in(handing, &[&two]).await.unwrap();
    let delegations = world.delegations();
    assert!(
        !delegations.keys.contains_key(one.key().keyid()),
        "nobody names it any more"
    );
    assert_eq!(world.registered(&id(one)).await, 0, "it is free again");
    let handing = world.handing(&alone, &pair, &[&two, &three]).await;
    world.hand_in(handing, &[&two, &three]).await.unwrap();
    assert_eq!(world.handovers.iter().len(), 3);
    let release = world.next(&[("demo-3.0.tar.gz", b"x")]).await;
    let refused = world.hand_in(release, &[&two]).await.unwrap_err();
    assert!(refused.contains("signed by 1 of the 2"), "{refused}");
    let release = world.next(&[("demo-3.0.tar.gz", b"x")]).await;
    world.hand_in(release, &[&two, &three]).await.unwrap();
    // Another engine takes up the same state.
    drop(world.engine);
    world.engine = world
        .index
        .engine_of(JournalWriter::WebProcess)
        .await
        .unwrap();
    let release = world.next(&[("demo-4.0.tar.gz", b"x")]).await;
    world.hand_in(release, &[&two, &three]).await.unwrap();
}

#[tokio::test]
async fn a_handover_that_is_not_the_projects_own_is_refused_whole() {
    let (mut world, keys) = World::claimed(&["one", "spare"], 2).await;
    let (one, spare) = (&keys[0], &keys[1]);
    let (new, stranger) = (key(&world.index, "new"), key(&world.index, "stranger"));
    let online = FileKey::open(&world.index.folder.path().join("online")).unwrap();
    let first = set(&[one, spare], 2);
    let next = set(&[one, &new], 1);
    let all = [one, spare, &new];
    let good = world.handed(&first, &next, &all);
    let known = good.iter().next().unwrap().clone();

    type Spoil<'a> = Box<dyn Fn(&mut Draft) + 'a>;
    let raw = |by: &[&FileKey], handover: &Handover| {
        let by: Vec<&dyn Signer> = by.iter().map(|key| *key as &dyn Signer).collect();
        let file = sign_role(&handover.to_canonical(), &by).unwrap();
        canonical::parse(&file).unwrap()
    };
    let put = |draft: &mut Draft, list: Vec<serde_json::Value>| {
        let own = draft.role.extra.get_mut(OWN_MEMBER).unwrap();
        own["handovers"] = list.into();
    };
    let few = raw(&[one, &new], &known);
    let unproven = raw(&[one, spare], &known);
    let from_elsewhere = raw(
        &[&stranger, &new, one],
        &Handover {
            from: set(&[&stranger], 1),
            ..known.clone()
        },
    );
    let second = raw(
        &all,
        &Handover {
            number: 2,
            ..known.clone()
        },
    );
    let to_index = raw(
        &[one, spare, &online],
        &Handover {
            to: set(&[one, &online], 1),
            ..known.clone()
        },
    );
    let cases: Vec<(&str, &str, Vec<&FileKey>, Spoil<'_>)> = vec![
        (
            "by too few of those before",
            "signed by 1 of the 2",
            all.to_vec(),
            Box::new(|d| put(d, vec![few.clone()])),
        ),
        (
            "a key that has not signed it",
            "every key that comes in",
            all.to_vec(),
            Box::new(|d| put(d, vec![unproven.clone()])),
        ),
        (
            "from keys that never signed",
            "not from the keys that sign",
            vec![one, spare, &new, &stranger],
            Box::new(|d| put(d, vec![from_elsewhere.clone()])),
        ),
        (
            "a number that skips",
            "number 2, where 1 is next",
            all.to_vec(),
            Box::new(|d| put(d, vec![second.clone()])),
        ),
        (
            "metadata by the new keys alone",
            "signed by 1 of the 2",
            vec![one, &new],
            Box::new(|_| ()),
        ),
        (
            "metadata by the old keys alone",
            "signed by",
            vec![one, spare],
            Box::new(|_| ()),
        ),
        (
            "to a key of the index",
            "one of the index's own",
            vec![one, spare, &online],
            Box::new(|d| {
                put(d, vec![to_index.clone()]);
                d.keys = Some(stated(&first, &set(&[one, &online], 1)));
            }),
        ),
        (
            "keys that are not registered",
            "are not those that a handover",
            all.to_vec(),
            Box::new(|d| d.keys = None),
        ),
        (
            "other keys registered",
            "are not those that a handover",
            all.to_vec(),
            Box::new(|d| d.keys.as_mut().unwrap().removed.clear()),
        ),
        (
            "registered without a handover",
            "are not those that a handover",
            all.to_vec(),
            Box::new(|d| d.role.state_handovers(&Handovers::default())),
        ),
        (
            "more than handovers",
            "more than that it is this role",
            all.to_vec(),
            Box::new(|d| {
                d.role.extra.get_mut(OWN_MEMBER).unwrap()["more"] = 1.into();
            }),
        ),
    ];
    for (what, words, by, spoil) in cases {
        let mut spoilt = world.handing(&first, &next, &all).await;
        spoil(&mut spoilt);
        let refused = world.hand_in(spoilt, &by).await.expect_err(what);
        assert!(refused.contains(words), "{what}: {refused}");
        assert_eq!(
            KeySet::delegated(&world.delegations(), &role()),
            Some(first.clone()),
            "{what}"
        );
    }
    // With new files it waits for the next release.
    let mut with_files = world.next(&[(SECOND, b"x")]).await;
    with_files.role.state_handovers(&good);
    with_files.keys = Some(stated(&first, &next));
    let refused = world.hand_in(with_files, &all).await.unwrap_err();
    assert!(refused.contains("one after the other"), "{refused}");
    let handing = world.handing(&first, &next, &all).await;
    world.hand_in(handing, &all).await.unwrap();
    // What was published stays: neither left out nor told otherwise.
    let mut without = world.next(&[]).await;
    without.role.state_handovers(&Handovers::default());
    let refused = world.hand_in(without, &[one, &new]).await.unwrap_err();
    assert!(
        refused.contains("not those that were published"),
        "{refused}"
    );
    let mut otherwise = world.next(&[]).await;
    put(
        &mut otherwise,
        vec![raw(&[one, spare, &new, &stranger], &known)],
    );
    let refused = world.hand_in(otherwise, &[one, &new]).await.unwrap_err();
    assert!(
        refused.contains("not those that were published"),
        "{refused}"
    );
    let release = world.next(&[(SECOND, b"x")]).await;
    world.hand_in(release, &[&new]).await.unwrap();
}

#[tokio::test]
async fn a_claim_begins_without_handovers() {
    let (mut world, keys) = World::claimed(&["one"], 1).await;
    let (one, two) = (&keys[0], key(&world.index, "two"));
    let (first, next) = (set(&[one], 1), set(&[&two], 1));
    let handing = world.handing(&first, &next, &[one, &two]).await;
    world.hand_in(handing, &[one, &two]).await.unwrap();
    world.index.sql("DELETE FROM claim").await;
    let mut again = world.next(&[]).await;
    again.claim = Some(claim(&[&two], 1));
    let refused = world.hand_in(again, &[&two]).await.unwrap_err();
    assert!(refused.contains("claimed already"), "{refused}");
}

/// A key belongs to one user, who is a member of the project.
#[tokio::test]
async fn a_key_is_registered_for_a_member_alone() {
    let (mut world, keys) = World::claimed(&["one"], 1).await;
    let (one, two) = (&keys[0], key(&world.index, "two"));
    let (first, next) = (set(&[one], 1), set(&[one, &two], 1));
    let mut handing = world.handing(&first, &next, &[one, &two]).await;
    handing.keys.as_mut().unwrap().added[0].maintainer = "mallory".to_owned();
    let denied = handing
        .hand_in(&world.index, &world.alice, &[one, &two])
        .await;
    let Err(ReleaseError::Release(denied)) = denied else {
        panic!("{denied:?}");
    };
    assert!(
        matches!(denied, ReleaseDenied::NotMember { .. }),
        "{denied}"
    );
    world
        .index
        .sql(&format!(
            "INSERT INTO developer_key VALUES ('{}', 'other', 'mallory', 1)",
            id(&two)
        ))
        .await;
    let handing = world.handing(&first, &next, &[one, &two]).await;
    let denied = handing
        .hand_in(&world.index, &world.alice, &[one, &two])
        .await;
    let Err(ReleaseError::Release(denied)) = denied else {
        panic!("{denied:?}");
    };
    assert!(
        matches!(denied, ReleaseDenied::KeyOfAnother { .. }),
        "{denied}"
    );
    // A refused change leaves its keys free for others.
    world
        .index
        .sql("DELETE FROM developer_key WHERE person = 'mallory'")
        .await;
    let mut handing = world.handing(&first, &next, &[one, &two]).await;
    handing.role.version += 1;
    world.hand_in(handing, &[one, &two]).await.unwrap_err();
    assert_eq!(world.registered(&id(&two)).await, 0);
    let handing = world.handing(&first, &next, &[one, &two]).await;
    world.hand_in(handing, &[one, &two]).await.unwrap();
    assert_eq!(world.registered(&id(&two)).await, 1);
}

/// A change of keys whose signers were not at one place: the signatures of its handover stand beside
/// the metadata, in that one version.
#[tokio::test]
async fn a_change_that_waited_brings_its_signatures_beside() {
    let (mut world, keys) = World::claimed(&["one", "spare"], 2).await;
    let (one, spare) = (&keys[0], &keys[1]);
    let new = key(&world.index, "new");
    let (first, next) = (set(&[one, spare], 2), set(&[spare, &new], 2));
    let now = world.index.clock.now();
    let made = |hours: i64, version: u64| Handover {
        role: role(),
        number: 1,
        version,
        made_at: jiff::Timestamp::from_second(now.as_second() - hours * 3600).unwrap(),
        from: first.clone(),
        to: next.clone(),
    };
    let all = [one, spare, &new];
    let sign = |canonical: &[u8], by: &[&FileKey]| -> Vec<wheelmark_tuf::Signature> {
        by.iter().map(|key| key.sign(canonical).unwrap()).collect()
    };
    let version = world.version + 1;
    let earlier = made(24 * 5, version);
    let cases: [(&str, Handover, &[&FileKey], &[&FileKey]); 5] = [
        ("signed by 1 of the 2", earlier.clone(), &all, &[one, &new]),
        (
            "every key that comes in",
            earlier.clone(),
            &all,
            &[one, spare],
        ),
        ("signed by 1 of the 2", earlier.clone(), &[one, &new], &all),
        ("sign it anew", made(24 * 5 + 1, version), &all, &all),
        // One that was made for another version is of no use in this one.
        ("handover", made(1, version - 1), &all, &all),
    ];
    for (said, handover, by, over) in cases {
        let mut draft = world.next(&[]).await;
        draft.role.state_waiting(&world.handovers, &handover);
        draft.keys = Some(stated(&first, &next));
        let file = |canonical: &[u8]| {
            let over = sign(&handover.to_canonical(), over);
            assemble_handing(canonical, &sign(canonical, by), &over)
        };
        let seq = draft.hand_in_as(&world.index, &world.alice, file).await;
        world.engine.turn().await.unwrap();
        let outcome = world.index.store.outcome(seq.unwrap()).await.unwrap();
        let Some(Outcome::Refused { reason }) = outcome else {
            panic!("{said}: {outcome:?}");
        };
        assert!(reason.contains(said), "{said}: {reason}");
    }

    // Nobody puts into the file what nobody signs, for every reader to fetch.
    for (more, value) in [("more", "x"), (OWN_MEMBER, r#"{"more":"x"}"#)] {
        let draft = world.next(&[]).await;
        let file = |canonical: &[u8]| {
            let by: Vec<&dyn Signer> = vec![one, spare];
            let mut file = canonical::parse(&sign_role(canonical, &by).unwrap()).unwrap();
            file[more] = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            serde_json::to_vec(&file).unwrap()
        };
        let seq = draft.hand_in_as(&world.index, &world.alice, file).await;
        world.engine.turn().await.unwrap();
        let outcome = world.index.store.outcome(seq.unwrap()).await.unwrap();
        let Some(Outcome::Refused { reason }) = outcome else {
            panic!("{more}: {outcome:?}");
        };
        assert!(reason.contains("more beside what is signed"), "{reason}");
    }

    let mut draft = world.next(&[]).await;
    draft.role.state_waiting(&world.handovers, &earlier);
    draft.keys = Some(stated(&first, &next));
    let mut published = Vec::new();
    let file = |canonical: &[u8]| {
        let over = sign(&earlier.to_canonical(), &all);
        published = assemble_handing(canonical, &sign(canonical, &all), &over);
        published.clone()
    };
    let seq = draft.hand_in_as(&world.index, &world.alice, file).await;
    world.engine.turn().await.unwrap();
    let outcome = world.index.store.outcome(seq.unwrap()).await.unwrap();
    assert!(
        matches!(outcome, Some(Outcome::Published { .. })),
        "{outcome:?}"
    );
    let delegated = KeySet::delegated(&world.delegations(), &role());
    assert_eq!(delegated, Some(next.clone()));

    // Another engine reads it back, and the next version has the signatures inside.
    world.version += 1;
    let read: Verified<Targets> = verify(&published, next.keys(), &next.role_keys()).unwrap();
    world.handovers = read.handovers(&role()).unwrap();
    drop(world.engine);
    world.engine = world
        .index
        .engine_of(JournalWriter::WebProcess)
        .await
        .unwrap();
    let mut without = world.next(&[(SECOND, b"x")]).await;
    without.role.restate_handovers(&world.handovers);
    let refused = world.hand_in(without, &[spare, &new]).await.unwrap_err();
    assert!(refused.contains("handover"), "{refused}");
    let release = world.next(&[("demo-3.0.tar.gz", b"x")]).await;
    world.hand_in(release, &[spare, &new]).await.unwrap();
}

/// Signatures that were given for a claim are good for no other one: with fewer keys, another threshold, or
/// for a release.
#[tokio::test]
async fn a_claim_that_says_of_which_keys_it_is_one_is_good_for_those_alone() {
    let (mut world, keys) = World::unclaimed(&["one", "two"]).await;
    let all = [&keys[0], &keys[1]];
    let meant = set(&all, 2);
    for other in [claim(&all, 1), claim(&all[..1], 1)] {
        let mut first = world.next(&[]).await;
        first.role.state_claim(&meant);
        first.claim = Some(other);
        let refused = world.hand_in(first, &all).await.unwrap_err();
        assert!(
            refused.contains("more than that it is this role"),
            "{refused}"
        );
    }
    let mut first = world.next(&[]).await;
    first.role.state_claim(&meant);
    first.claim = Some(claim(&all, 2));
    world.hand_in(first, &all).await.unwrap();
    assert_eq!(
        KeySet::delegated(&world.delegations(), &role()),
        Some(meant.clone())
    );
    let mut release = world.next(&[(SECOND, b"x")]).await;
    release.role.state_claim(&meant);
    let refused = world.hand_in(release, &all).await.unwrap_err();
    assert!(
        refused.contains("more than that it is this role"),
        "{refused}"
    );
    let release = world.next(&[("demo-3.0.tar.gz", b"x")]).await;
    world.hand_in(release, &all).await.unwrap();
}
