use jiff::Timestamp;
use wheelmark_packaging::simple::Status;
use wheelmark_store::{
    Change, FileState, Orders, Outcome, ProjectCertificates, Seq, Settlement, Store, TakenBack,
};
use wheelmark_tuf::Sha256;

use super::backend::{Backend, file, intent, project, recorded};
use super::outcome::{publish, published, refused};

const NAME: &str = "a-1.tar.gz";

fn removal() -> Change {
    Change::FileRemoved {
        project: project("a"),
        filename: NAME.to_owned(),
        reason: None,
    }
}

fn restoration() -> Change {
    Change::FileRestored {
        project: project("a"),
        filename: NAME.to_owned(),
    }
}

fn yank(yanked: Option<&str>) -> Change {
    Change::FileYanked {
        project: project("a"),
        filename: NAME.to_owned(),
        yanked: yanked.map(str::to_owned),
    }
}

fn status(word: &str, reason: Option<&str>) -> Change {
    Change::StatusSet {
        project: project("a"),
        status: word.to_owned(),
        reason: reason.map(str::to_owned),
    }
}

fn certificates(text: Option<&str>, required: bool) -> Change {
    Change::CertificatesSet {
        project: project("a"),
        certificates: text.map(str::to_owned),
        required,
        in_place_of: text.map(|text| Sha256::of(text.as_bytes())),
    }
}

async fn ask(orders: &Orders, changes: &[Change]) -> Vec<Seq> {
    let asked = orders.ask_all(changes, Timestamp::UNIX_EPOCH, "somebody");
    asked.await.unwrap()
}

/// Makes changes in the catalogue with a snapshot that has no others.
async fn follow(store: &Store, serial: Seq, ordered: &[Change]) {
    let fence = store.acquire_lease("test").await.unwrap();
    let intent = intent(9, Seq(0));
    let id = store.record_intent(fence, &intent).await.unwrap();
    let settlement = Settlement {
        serial,
        outcomes: &[],
        ordered,
    };
    store.complete_intent(fence, id, settlement).await.unwrap();
}

pub(crate) async fn they_come_in_order_and_keep_every_field(backend: &impl Backend) {
    let orders = backend.orders().await;
    assert_eq!(orders.end().await.unwrap(), Seq(0));
    let changes = [
        removal(),
        restoration(),
        yank(Some("it is broken \"ü\"")),
        yank(None),
        status("quarantined", Some("malware")),
        status("active", None),
        certificates(Some("armoured\ntext"), true),
        certificates(None, false),
    ];
    let asked = ask(&orders, &changes).await;
    assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7, 8].map(Seq));

    // In another process.
    let orders = backend.orders().await;
    let rows = orders.after(Seq(0), 100).await.unwrap();
    let read: Vec<_> = rows.iter().map(|row| row.change.clone()).collect();
    assert_eq!(read, changes);
    let rest = orders.after(Seq(2), 2).await.unwrap();
    let rest: Vec<_> = rest.iter().map(|row| row.seq).collect();
    assert_eq!(rest, [Seq(3), Seq(4)]);
    assert_eq!(orders.end().await.unwrap(), Seq(8));
}

pub(crate) async fn certificates_follow_in_the_catalogue(backend: &impl Backend) {
    let store = backend.open().await;
    let of = async |name: &str| store.project_certificates(&project(name)).await.unwrap();
    recorded(&store, file("a", NAME, "x")).await;
    assert_eq!(of("a").await, None);
    assert_eq!(of("nobody").await, None);
    for (text, required) in [("one", false), ("two", true)] {
        follow(&store, Seq(1), &[certificates(Some(text), required)]).await;
        let expected = ProjectCertificates {
            armored: text.to_owned(),
            required,
        };
        assert_eq!(of("a").await, Some(expected));
    }
    assert_eq!(of("b").await, None);
    follow(&store, Seq(1), &[certificates(None, false)]).await;
    assert_eq!(of("a").await, None);
}

pub(crate) async fn they_are_recorded_all_or_none(backend: &impl Backend) {
    let orders = backend.orders().await;
    let unreadable = Change::Unreadable("no change".to_owned());
    let changes = [removal(), unreadable];
    let asked = orders.ask_all(&changes, Timestamp::UNIX_EPOCH, "somebody");
    assert!(asked.await.is_err());
    assert_eq!(orders.after(Seq(0), 10).await.unwrap(), []);
    assert_eq!(ask(&orders, &[]).await, []);
}

pub(crate) async fn an_answer_is_given_once_and_to_those_who_asked(backend: &impl Backend) {
    let orders = backend.orders().await;
    let [first, second] = ask(&orders, &[removal(), yank(None)]).await[..] else {
        panic!("two were asked");
    };
    assert_eq!(orders.outcome(first).await.unwrap(), None);
    let nobody = Seq(77);
    for version in [5, 6] {
        let outcomes = [
            (first, published(version)),
            (second, refused("claimed")),
            (nobody, published(version)),
        ];
        orders.settle(&outcomes).await.unwrap();
    }
    let orders = backend.orders().await;
    assert_eq!(orders.outcome(first).await.unwrap(), Some(published(5)));
    let told = orders.outcome(second).await.unwrap();
    assert_eq!(told, Some(refused("claimed")));
    assert_eq!(orders.outcome(nobody).await.unwrap(), None);
    let both = [(first, published(5)), (second, refused("claimed"))];
    assert_eq!(orders.outcomes(first, nobody).await.unwrap(), both);
    assert_eq!(orders.outcomes(second, second).await.unwrap(), both[1..]);
}

pub(crate) async fn a_journal_that_was_lost_goes_on_behind_what_is_signed(backend: &impl Backend) {
    let orders = backend.orders().await;
    let [answered, waiting] = ask(&orders, &[removal(), yank(None)]).await[..] else {
        panic!("two were asked");
    };
    orders.settle(&[(answered, published(3))]).await.unwrap();
    // Nothing is lost: nothing happens.
    orders.go_on_behind(Seq(1)).await.unwrap();
    assert_eq!(orders.outcome(waiting).await.unwrap(), None);

    orders.go_on_behind(Seq(9)).await.unwrap();
    assert_eq!(orders.outcome(answered).await.unwrap(), Some(published(3)));
    match orders.outcome(waiting).await.unwrap() {
        Some(Outcome::Refused { reason }) => assert!(reason.contains("once more"), "{reason}"),
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(orders.after(Seq(9), 10).await.unwrap(), []);
    assert_eq!(ask(&orders, &[removal()]).await, [Seq(10)]);
    orders.go_on_behind(Seq(9)).await.unwrap();
    assert_eq!(orders.outcome(Seq(10)).await.unwrap(), None);
}

pub(crate) async fn an_old_journal_that_was_written_on_leaves_nobody_waiting(
    backend: &impl Backend,
) {
    let orders = backend.orders().await;
    let asked = ask(&orders, &[removal(), yank(None), restoration(), removal()]).await;
    orders.settle(&[(asked[0], published(3))]).await.unwrap();
    // It is a copy from when it had one: the index had come to the third.
    orders.go_on_behind(asked[2]).await.unwrap();
    assert_eq!(orders.outcome(asked[0]).await.unwrap(), Some(published(3)));
    for seq in [asked[1], asked[2]] {
        match orders.outcome(seq).await.unwrap() {
            Some(Outcome::Refused { reason }) => assert!(reason.contains("once more"), "{reason}"),
            other => panic!("not refused: {other:?}"),
        }
    }
    assert_eq!(orders.outcome(asked[3]).await.unwrap(), None);
    assert_eq!(orders.after(asked[2], 10).await.unwrap().len(), 1);
}

pub(crate) async fn the_catalogue_follows_and_can_follow_twice(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", NAME, "x")).await;
    publish(&store, 2, &[(seq, published(2))]).await;
    let row = async || store.file(&project("a"), NAME).await.unwrap().unwrap();
    let state = async || store.project_standing(&project("a")).await.unwrap().status;
    assert_eq!(state().await.status, Status::Active);
    for _ in 0..2 {
        follow(&store, seq, &[yank(Some("broken")), removal()]).await;
        assert_eq!(row().await.state, FileState::Removed);
        assert_eq!(row().await.yanked.as_deref(), Some("broken"));
    }
    assert_eq!(store.projects().await.unwrap(), []);
    for _ in 0..2 {
        follow(&store, seq, &[restoration()]).await;
        let back = row().await;
        assert_eq!(
            (back.state, back.yanked),
            (FileState::Published, Some("broken".to_owned()))
        );
    }
    for _ in 0..2 {
        follow(&store, seq, &[status("archived", Some("it is done"))]).await;
        let state = state().await;
        assert_eq!(state.status, Status::Archived);
        assert_eq!(state.reason.as_deref(), Some("it is done"));
    }
    follow(&store, seq, &[status("active", None)]).await;
    assert_eq!(state().await.reason, None);
    let other = store.project_standing(&project("b")).await.unwrap().status;
    assert_eq!(other.status, Status::Active);
}

pub(crate) async fn what_was_followed_raises_the_serial_and_takes_no_position(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", NAME, "x")).await;
    publish(&store, 2, &[(seq, published(2))]).await;
    follow(&store, Seq(17), &[yank(None)]).await;
    let serial = async || store.serial(&project("a")).await.unwrap();
    assert_eq!(serial().await, Some(Seq(17)));
    assert_eq!(store.journal_end().await.unwrap(), seq);
    // No number ever falls.
    follow(&store, Seq(16), &[yank(None)]).await;
    assert_eq!(serial().await, Some(Seq(17)));
}

pub(crate) async fn what_ceremonies_bring_waits_for_its_answer(backend: &impl Backend) {
    let orders = backend.orders().await;
    assert_eq!(orders.handed_in().await.unwrap(), None);
    let files = vec![
        ("2.root.json".to_owned(), b"{}".to_vec()),
        ("2.targets.json".to_owned(), vec![0, 255]),
    ];
    let hand_in = async |name: &str, files: &[(String, Vec<u8>)]| {
        let at = Timestamp::UNIX_EPOCH;
        orders.hand_in(name, files, at, "somebody").await.unwrap()
    };
    let march = hand_in("march", &files).await;
    let april = hand_in("april", &[]).await;
    assert!(april > march);
    let waiting = orders.handed_in().await.unwrap().unwrap();
    assert_eq!((waiting.seq, waiting.name.as_str()), (march, "march"));
    assert_eq!(waiting.files, files);
    assert_eq!(orders.ceremony_outcome(march).await.unwrap(), None);

    let published = Outcome::Published {
        snapshot_version: 7,
    };
    let at: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
    let answer = async |seq, outcome: &Outcome, at| {
        orders.answer_ceremony(seq, outcome, at).await.unwrap();
    };
    let names = async || {
        let waiting = orders.waiting_ceremonies().await.unwrap().into_iter();
        waiting.map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["march", "april"]);
    assert_eq!(orders.published_at("2.root.json").await.unwrap(), None);
    answer(march, &published, at).await;
    assert_eq!(names().await, ["april"]);
    assert_eq!(orders.published_at("2.root.json").await.unwrap(), Some(at));
    assert_eq!(orders.published_at("3.root.json").await.unwrap(), None);
    let refused = Outcome::Refused {
        reason: "too late".to_owned(),
    };
    answer(march, &refused, Timestamp::MAX).await;
    let told = orders.ceremony_outcome(march).await.unwrap();
    assert_eq!(told, Some(published.clone()), "an answer is given once");
    assert_eq!(orders.published_at("2.root.json").await.unwrap(), Some(at));
    let back = async |name: &str| orders.take_back(name, "broken off").await.unwrap();
    assert_eq!(back("march").await, TakenBack::Published);
    assert_eq!(back("may").await, TakenBack::NotThere);
    assert!(!orders.take_up(march).await.unwrap());

    assert_eq!(orders.handed_in().await.unwrap().unwrap().seq, april);
    assert_eq!(back("april").await, TakenBack::Back);
    let june = hand_in("june", &[]).await;
    assert!(orders.take_up(june).await.unwrap() && orders.take_up(june).await.unwrap());
    assert_eq!(back("june").await, TakenBack::TooLate);
    assert_eq!(orders.handed_in().await.unwrap().unwrap().seq, june);
    answer(june, &published, at).await;
    assert_eq!(orders.handed_in().await.unwrap(), None);
    let told = orders.ceremony_outcome(april).await.unwrap();
    let reason = "broken off".to_owned();
    assert_eq!(told, Some(Outcome::Refused { reason }));
    assert!(orders.ceremony_outcome(Seq(99)).await.is_err());
}
