//! Keys to which the people of a sealed project have handed over, on their way into `claimed`.

use serde_json::{Value, json};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{ClaimedKey, NewKeys};
use wheelmark_tuf::{Clock as _, Handover, Handovers, KeySet, RoleName, canonical};

use crate::holding::{Files, days, offline, pair};
use crate::releasing::{Draft, draft, key};
use crate::{SECOND, World, both, current, role, seal, sealing, unseal};

/// A sealed project whose people have handed over from alice's key to another one.
struct HandedOver {
    world: World,
    next: FileKey,
    handovers: Handovers,
}

fn demo() -> RoleName {
    "project-demo".parse().unwrap()
}

fn set(key: &FileKey) -> KeySet {
    KeySet::new([key.key().clone()], 1).unwrap()
}

impl HandedOver {
    /// Twenty days ago.
    async fn new() -> Self {
        let mut world = World::new().await;
        let files = seal(&world.index);
        world.ceremony(&files).await.unwrap();
        let next = key(&world.index, "next");
        let mut handed = Self {
            world,
            next,
            handovers: Handovers::default(),
        };
        let (from, to) = (set(&handed.world.key), set(&handed.next));
        let by = [&handed.world.key, &handed.next];
        let handing = handed.handing(2, [&from, &to], &by).await;
        handed.handovers = handing.role.handovers(&demo()).unwrap();
        handed.release(handing, true).await.unwrap();
        handed.world.index.clock.forward(days(20));
        handed.world.turn().await;
        handed
    }

    /// The release that brings one handover more.
    async fn handing(&self, version: u64, [from, to]: [&KeySet; 2], by: &[&FileKey]) -> Draft {
        let mut draft = draft(&self.world.index, "demo", version, &[]).await;
        let now = self.world.index.clock.now();
        let handover = Handover {
            role: demo(),
            number: self.handovers.next_number(),
            version,
            made_at: jiff::Timestamp::from_second(now.as_second()).unwrap(),
            from: from.clone(),
            to: to.clone(),
        };
        let by: Vec<&dyn Signer> = by.iter().map(|key| *key as &dyn Signer).collect();
        let file = sign_role(&handover.to_canonical(), &by).unwrap();
        draft
            .role
            .state_handovers(&self.handovers.and(&file, &demo()).unwrap());
        let added = to.beyond(from).into_iter().map(|key| ClaimedKey {
            keyid: key.keyid().as_str().to_owned(),
            key: key.to_value(),
            maintainer: "alice".to_owned(),
        });
        let removed = from.beyond(to).into_iter();
        draft.keys = Some(NewKeys {
            added: added.collect(),
            removed: removed.map(|key| key.keyid().as_str().to_owned()).collect(),
        });
        draft
    }

    /// Signed by the key of today and, if it is to be, by that of before.
    async fn release(&mut self, draft: Draft, with_old: bool) -> Result<(), String> {
        let mut keys = vec![&self.next];
        keys.extend(with_old.then_some(&self.world.key));
        let (index, alice) = (&self.world.index, &self.world.alice);
        let seq = draft.hand_in(index, alice, &keys).await.unwrap();
        self.world.outcome(seq).await
    }

    async fn next(&self, version: u64, filename: &str) -> Draft {
        let mut next = self.world.next(version, filename).await;
        next.role.state_handovers(&self.handovers);
        next
    }

    fn ceremony(&self) -> Files {
        sealing(&self.world.index, |plan| {
            plan.claims.take_over.insert(demo());
        })
    }
}

#[tokio::test]
async fn changed_keys_of_a_sealed_project_are_taken_over() {
    let mut handed = HandedOver::new().await;
    let next = handed.next(3, SECOND).await;
    let refused = handed.release(next, false).await.unwrap_err();
    assert!(refused.contains("signed by 0 of the 1"), "{refused}");
    let files = handed.ceremony();
    // What comes in between the beginning and the end is in nobody's way.
    let next = handed.next(3, SECOND).await;
    handed.release(next, true).await.unwrap();
    handed.world.ceremony(&files).await.unwrap();
    assert_eq!(handed.world.lists(), both(&["project-demo"], &[]));
    let role = current(&handed.world.index, "claimed")["delegations"]["roles"][0].clone();
    assert_eq!(role["keyids"], json!([handed.next.key().keyid().as_str()]));
    assert_eq!(role["_wheelmark"]["floor"], 2);

    // From now on the key that came in signs alone, also after another start, and the one that went not at
    // all.
    let next = handed.next(4, "demo-3.0-py3-none-any.whl").await;
    handed.release(next, false).await.unwrap();
    handed.world = handed.world.again().await;
    let old = handed.next(5, "demo-4.0-py3-none-any.whl").await;
    let refused = handed.world.release(old).await.unwrap_err();
    assert!(refused.contains("signed by 0 of the 1"), "{refused}");
    let next = handed.next(5, "demo-4.0-py3-none-any.whl").await;
    handed.release(next, false).await.unwrap();
    assert_eq!(handed.world.index.files("demo").len(), 4);
}

#[tokio::test]
async fn keys_that_change_once_more_stop_the_ceremony() {
    let mut handed = HandedOver::new().await;
    let files = handed.ceremony();
    let third = key(&handed.world.index, "third");
    let sets = [&set(&handed.next), &set(&third)];
    let handing = handed.handing(3, sets, &[&handed.next, &third]).await;
    let (index, alice) = (&handed.world.index, &handed.world.alice);
    let keys = [&handed.world.key, &handed.next, &third];
    let seq = handing.hand_in(index, alice, &keys).await.unwrap();
    handed.world.outcome(seq).await.unwrap();
    let refused = handed.world.ceremony(&files).await.unwrap_err();
    assert!(
        refused.contains("have changed since the ceremony began"),
        "{refused}"
    );
    let role = current(&handed.world.index, "claimed")["delegations"]["roles"][0].clone();
    let sealed = handed.world.key.key().keyid().as_str();
    assert_eq!(role["keyids"], json!([sealed]));
}

/// What the offline keys have signed, though no ceremony brings it.
async fn refused_over(change: impl FnOnce(&mut Value, &FileKey)) -> String {
    let mut handed = HandedOver::new().await;
    let mut files = handed.ceremony();
    let keys = offline(&handed.world.index);
    let claimed = files
        .iter_mut()
        .find(|(name, _)| name.ends_with(".claimed.json"));
    let (_, bytes) = claimed.unwrap();
    let mut content: Value = serde_json::from_slice(bytes).unwrap();
    let mut content = content["signed"].take();
    change(&mut content, &handed.world.key);
    *bytes = sign_role(&canonical::encode(&content), &pair(&keys, "claimed")).unwrap();
    handed.world.ceremony(&files).await.unwrap_err()
}

#[tokio::test]
async fn what_differs_from_what_the_sealed_keys_have_signed_is_refused() {
    let others = "are not those to which its people have handed over";
    let refused = refused_over(|signed, _| {
        // The key that was removed stays beside the one that came.
        let before = role(signed)["keyids"][0].clone();
        role(signed)["keyids"] = json!([before, "07".repeat(32)]);
    });
    let refused = refused.await;
    assert!(refused.contains(others), "{refused}");
    let refused = refused_over(|signed, _| role(signed)["threshold"] = 0.into()).await;
    assert!(!refused.is_empty());
    let since = "2020-01-01T00:00:00Z";
    let refused = refused_over(|signed, _| role(signed)["_wheelmark"]["keys-since"] = since.into());
    let refused = refused.await;
    assert!(refused.contains(others), "{refused}");
    // A floor below the version that handed over, and one above what is published.
    for floor in [1, 9] {
        let refused = refused_over(|signed, _| role(signed)["_wheelmark"]["floor"] = floor.into());
        let refused = refused.await;
        assert!(refused.contains("version 2 is published"), "{refused}");
    }
    // Another key under the id of the one that came.
    let refused = refused_over(|signed, old| {
        let keys = signed["delegations"]["keys"].as_object_mut().unwrap();
        keys.values_mut()
            .for_each(|key| *key = old.key().to_value());
    });
    let refused = refused.await;
    assert!(refused.contains("what it delegates"), "{refused}");
}

#[tokio::test]
async fn a_seal_that_comes_off_gives_back_the_keys_of_today() {
    let mut handed = HandedOver::new().await;
    let files = unseal(&handed.world.index);
    handed.world.ceremony(&files).await.unwrap();
    assert_eq!(handed.world.lists(), both(&[], &["project-demo"]));
    let role = current(&handed.world.index, "recently-claimed")["delegations"]["roles"][0].clone();
    assert_eq!(role["keyids"], json!([handed.next.key().keyid().as_str()]));
    let own = &role["_wheelmark"];
    assert!(
        own["unsealed-at"].is_string() && own.get("floor").is_none(),
        "{own}"
    );
    let next = handed.next(3, SECOND).await;
    handed.release(next, false).await.unwrap();
}
