//! What whoever runs an index asks of it, beside a web process that writes the other journal.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use index::TestIndex;
use jiff::Timestamp;
use wheelmark_objects::file_target;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ProjectPage, Status, Yanked};
use wheelmark_provenance::openpgp::Certificates;
use wheelmark_repository::{BinForm, Engine, Lifetimes, Phase, Turn};
use wheelmark_store::{Change, FileState, Orders, Outcome, Seq};
use wheelmark_tuf::Sha256;

const NAME: &str = "demo-1.0-py3-none-any.whl";
const OTHER: &str = "demo-2.0-py3-none-any.whl";
const THIRD: &str = "demo-3.0-py3-none-any.whl";

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

async fn orders(index: &TestIndex) -> Orders {
    let path = index.folder.path().join("orders.sqlite");
    Orders::open(&path).await.unwrap()
}

async fn engine(index: &TestIndex) -> Engine {
    Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(index).await,
        index.online.clone(),
        index.clock.clone(),
        Lifetimes::default(),
    )
    .await
    .unwrap()
}

async fn turn(index: &TestIndex) -> Turn {
    engine(index).await.turn().await.unwrap()
}

async fn ask(index: &TestIndex, change: Change) -> Seq {
    let orders = orders(index).await;
    let changes = [change];
    let asked = orders.ask_all(&changes, Timestamp::UNIX_EPOCH, "somebody");
    asked.await.unwrap()[0]
}

async fn refusal(index: &TestIndex, order: Seq) -> String {
    match orders(index).await.outcome(order).await.unwrap() {
        Some(Outcome::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

async fn done(index: &TestIndex, order: Seq) -> bool {
    let outcome = orders(index).await.outcome(order).await.unwrap();
    matches!(outcome, Some(Outcome::Published { .. }))
}

async fn refused_upload(index: &TestIndex, seq: Seq) -> String {
    match index.store.outcome(seq).await.unwrap() {
        Some(Outcome::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn remove(name: &str) -> Change {
    Change::FileRemoved {
        project: demo(),
        filename: name.to_owned(),
        reason: None,
    }
}

fn restore(name: &str) -> Change {
    Change::FileRestored {
        project: demo(),
        filename: name.to_owned(),
    }
}

fn yank(name: &str, reason: Option<&str>) -> Change {
    Change::FileYanked {
        project: demo(),
        filename: name.to_owned(),
        yanked: reason.map(str::to_owned),
    }
}

fn status(word: &str, reason: Option<&str>) -> Change {
    Change::StatusSet {
        project: demo(),
        status: word.to_owned(),
        reason: reason.map(str::to_owned),
    }
}

fn certificates(text: Option<&str>, required: bool, in_place_of: Option<&str>) -> Change {
    Change::CertificatesSet {
        project: demo(),
        certificates: text.map(str::to_owned),
        required,
        in_place_of: in_place_of.map(|text| Sha256::of(text.as_bytes())),
    }
}

/// What a project registers: keys of so many numbers, which are none, in the form that is kept.
fn armored(numbers: &[u8]) -> String {
    let keys: Vec<u8> = numbers
        .iter()
        .flat_map(|number| [0xc6, 3, 4, 0, *number])
        .collect();
    Certificates::parse(&keys).unwrap().to_armor().unwrap()
}

fn page(index: &TestIndex) -> ProjectPage {
    index.page("demo").unwrap()
}

fn is_signed(index: &TestIndex, name: &str) -> bool {
    index.find(&file_target(&demo(), name).unwrap()).is_some()
}

fn has_plain_name(index: &TestIndex, name: &str) -> bool {
    let path = format!("repository/packages/demo/{name}");
    index.folder.path().join(path).exists()
}

/// An index with two files of one project.
async fn two_files() -> TestIndex {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    index.upload(OTHER, b"another wheel").await;
    turn(&index).await;
    index
}

#[tokio::test]
async fn files_go_come_back_and_are_yanked_beside_a_web_process() {
    let index = two_files().await;
    let before = page(&index);
    let yanked = ask(&index, yank(OTHER, Some("broken"))).await;
    let removed = ask(&index, remove(NAME)).await;
    turn(&index).await;
    assert!(done(&index, yanked).await && done(&index, removed).await);
    assert_eq!(index.files("demo"), [OTHER]);
    let entry = page(&index).file(OTHER).unwrap().clone();
    assert_eq!(entry.yanked, Yanked::Because("broken".to_owned()));
    assert!(!has_plain_name(&index, NAME));
    let row = index.store.file(&demo(), NAME).await.unwrap().unwrap();
    assert_eq!(row.state, FileState::Removed);
    let row = index.store.file(&demo(), OTHER).await.unwrap().unwrap();
    assert_eq!(row.yanked.as_deref(), Some("broken"));
    // The name takes no other bytes, whatever the catalogue says.
    index.sql("DELETE FROM outcome").await;
    index.sql("DELETE FROM file").await;
    let other = index.upload(NAME, b"something else").await;
    turn(&index).await;
    let why = refused_upload(&index, other).await;
    assert!(why.contains("was removed"), "{why}");

    let back = ask(&index, restore(NAME)).await;
    let unyanked = ask(&index, yank(OTHER, None)).await;
    turn(&index).await;
    assert!(done(&index, back).await && done(&index, unyanked).await);
    assert_eq!(index.files("demo"), [NAME, OTHER]);
    assert_eq!(page(&index).to_json(), before.to_json());
    assert_eq!(turn(&index).await, Turn::Idle);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_says_why() {
    let index = two_files().await;
    let before = page(&index);
    let unknown = Change::StatusSet {
        project: "other".parse().unwrap(),
        status: "archived".to_owned(),
        reason: None,
    };
    for (change, expect) in [
        (remove("demo-9.0-py3-none-any.whl"), "is not in the index"),
        (
            yank("demo-9.0-py3-none-any.whl", None),
            "is not in the index",
        ),
        (restore(THIRD), "was not removed"),
        (status("retired", None), "is no state of a project"),
        (unknown, "other is not in the index"),
    ] {
        let order = ask(&index, change).await;
        turn(&index).await;
        let why = refusal(&index, order).await;
        assert!(why.contains(expect), "{why}");
    }
    let again = ask(&index, restore(NAME)).await;
    turn(&index).await;
    assert!(done(&index, again).await, "it is there already");
    assert_eq!(page(&index), before);
    assert!(index.page("other").is_none());
}

#[tokio::test]
async fn the_web_process_gives_no_orders() {
    let index = two_files().await;
    let before = page(&index);
    for change in [
        status("quarantined", None),
        status("archived", Some("mine now")),
        restore(NAME),
        remove(NAME),
        yank(NAME, Some("")),
    ] {
        let change = serde_json::to_string(&change).unwrap();
        index
            .sql(&format!("INSERT INTO journal (change) VALUES ('{change}')"))
            .await;
        let seq = index.store.journal_end().await.unwrap();
        turn(&index).await;
        let why = refused_upload(&index, seq).await;
        assert!(why.contains("whoever runs the index"), "{why}");
    }
    assert_eq!(page(&index), before);
}

#[tokio::test]
async fn an_archived_project_takes_no_files_until_it_is_active() {
    let index = two_files().await;
    let before = page(&index);
    ask(&index, status("archived", Some("it is done\nfor good"))).await;
    turn(&index).await;
    let archived = page(&index);
    let state = archived.project_status.clone().unwrap();
    assert_eq!(state.status, Status::Archived);
    assert_eq!(state.reason.as_deref(), Some("it is done for good"));
    assert_eq!(archived.files, before.files);
    let state = index.store.project_standing(&demo()).await.unwrap().status;
    assert_eq!(state.status, Status::Archived);

    let seq = index.upload(THIRD, b"a third").await;
    turn(&index).await;
    let why = refused_upload(&index, seq).await;
    assert!(
        why.contains("demo is archived and takes no files: it is done for good"),
        "{why}"
    );
    // What is there is there.
    let same = Change::FileAdded(index.place(NAME, b"a wheel").await);
    let same = serde_json::to_string(&same).unwrap();
    index
        .sql(&format!("INSERT INTO journal (change) VALUES ('{same}')"))
        .await;
    turn(&index).await;
    let seq = index.store.journal_end().await.unwrap();
    assert!(index.published(seq).await);

    ask(&index, status("deprecated", None)).await;
    let seq = index.upload(THIRD, b"a third").await;
    turn(&index).await;
    // What the other journal asked for until then comes first.
    let why = refused_upload(&index, seq).await;
    assert!(why.contains("archived"), "{why}");
    let seq = index.upload(THIRD, b"a third").await;
    turn(&index).await;
    assert!(index.published(seq).await);
    assert_eq!(
        page(&index).project_status.unwrap().status,
        Status::Deprecated
    );
    ask(&index, remove(THIRD)).await;
    ask(&index, status("active", None)).await;
    turn(&index).await;
    assert_eq!(page(&index).project_status, None);
    assert_eq!(page(&index).files, before.files);
}

#[tokio::test]
async fn a_quarantined_project_lists_nothing_and_comes_back_as_it_was() {
    let index = two_files().await;
    let before = page(&index);
    let targets = |index: &TestIndex| {
        [NAME, OTHER].map(|name| {
            let found = index.find(&file_target(&demo(), name).unwrap());
            found.map(|target| (target.length, target.custom.clone()))
        })
    };
    let signed = targets(&index);
    // One that waits for the same snapshot is taken in, and lies with the others.
    index.upload(THIRD, b"a third").await;
    ask(&index, status("quarantined", Some("malware"))).await;
    turn(&index).await;

    let quarantined = page(&index);
    assert_eq!(quarantined.files, []);
    assert_eq!(quarantined.all_versions(), [] as [String; 0]);
    let names = quarantined.wheelmark.withheld.iter();
    let names: Vec<_> = names.map(|file| file.filename.as_str()).collect();
    assert_eq!(names, [NAME, OTHER, THIRD]);
    assert_eq!(quarantined.wheelmark.withheld[..2], before.files);
    for name in [NAME, OTHER, THIRD] {
        assert!(!is_signed(&index, name), "{name}");
        assert!(!has_plain_name(&index, name), "{name}");
    }
    let html = index
        .folder
        .path()
        .join("repository/simple/demo/index.html");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains(r#"<meta name="pypi:project-status" content="quarantined">"#));
    assert!(html.contains(r#"<meta name="pypi:project-status-reason" content="malware">"#));
    assert!(!html.contains("demo-1.0"));

    // Nothing gets past it: new files, other bytes, files of before.
    index.sql("DELETE FROM outcome").await;
    index.sql("DELETE FROM file").await;
    for (name, content) in [
        ("demo-4.0-py3-none-any.whl", &b"new"[..]),
        (NAME, b"something else"),
        (NAME, b"a wheel"),
    ] {
        let seq = index.upload(name, content).await;
        turn(&index).await;
        let why = refused_upload(&index, seq).await;
        assert!(
            why.contains("quarantined") && why.contains("malware"),
            "{why}"
        );
    }

    // What is withheld can be yanked and removed; what was removed waits for the release.
    ask(&index, yank(OTHER, Some("look out"))).await;
    ask(&index, remove(THIRD)).await;
    let early = ask(&index, restore(THIRD)).await;
    turn(&index).await;
    let why = refusal(&index, early).await;
    assert!(why.contains("quarantined"), "{why}");
    assert!(page(&index).wheelmark.removed.contains_key(THIRD));
    assert_eq!(page(&index).wheelmark.withheld.len(), 2);
    ask(&index, status("quarantined", Some("still"))).await;
    turn(&index).await;
    assert_eq!(page(&index).wheelmark.withheld.len(), 2);

    ask(&index, status("active", None)).await;
    ask(&index, yank(OTHER, None)).await;
    turn(&index).await;
    assert_eq!(index.files("demo"), [NAME, OTHER]);
    assert_eq!(page(&index).files, before.files);
    assert_eq!(page(&index).wheelmark.withheld, []);
    assert_eq!(targets(&index), signed);
    assert!(has_plain_name(&index, NAME) && has_plain_name(&index, OTHER));
}

#[tokio::test]
async fn every_step_with_orders_can_be_the_last_one() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let index = two_files().await;
        let upload = index.upload(THIRD, b"a third").await;
        let asked = [
            ask(&index, remove(NAME)).await,
            ask(&index, yank(OTHER, Some("broken"))).await,
            ask(&index, status("deprecated", Some("old"))).await,
        ];
        let refused = ask(&index, restore(THIRD)).await;
        let mut engine = engine(&index).await;
        engine.observe(move |now| assert!(now != phase, "the crash that this test wants"));
        let crashed = tokio::spawn(async move { engine.turn().await.map(drop) }).await;
        assert!(crashed.unwrap_err().is_panic());
        let seen = index.versions();

        let after = turn(&index).await;
        let replayed = matches!(phase, Phase::Write | Phase::Done);
        assert_eq!(
            matches!(after, Turn::Idle),
            replayed,
            "{phase:?}: {after:?}"
        );
        assert!(index.published(upload).await, "{phase:?}");
        for order in asked {
            assert!(done(&index, order).await, "{phase:?}: {order}");
        }
        // It was there when its turn came.
        assert!(done(&index, refused).await, "{phase:?}");
        assert_eq!(index.files("demo"), [OTHER, THIRD], "{phase:?}");
        let row = index.store.file(&demo(), NAME).await.unwrap().unwrap();
        assert_eq!(row.state, FileState::Removed, "{phase:?}");
        let state = index.store.project_standing(&demo()).await.unwrap().status;
        assert_eq!(state.status, Status::Deprecated, "{phase:?}");
        for (name, bytes) in seen {
            assert_eq!(
                index.versions().get(&name),
                Some(&bytes),
                "{name} was signed twice"
            );
        }
        assert_eq!(turn(&index).await, Turn::Idle, "{phase:?}");
    }
}

#[tokio::test]
async fn an_order_is_carried_out_once_and_a_lost_journal_goes_on() {
    let index = two_files().await;
    ask(&index, remove(NAME)).await;
    ask(&index, yank(OTHER, Some("broken"))).await;
    turn(&index).await;
    ask(&index, restore(NAME)).await;
    turn(&index).await;
    assert_eq!(index.files("demo"), [NAME, OTHER]);

    // Whoever had it open closes it in the background, and then its log is gone.
    let log = index.folder.path().join("orders.sqlite-wal");
    for _ in 0..1000 {
        if !log.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // A journal that begins anew is not taken for one that was followed.
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("orders.sqlite{suffix}");
        std::fs::remove_file(index.folder.path().join(path)).ok();
    }
    let unseen = ask(&index, remove(OTHER)).await;
    assert_eq!(turn(&index).await, Turn::Idle);
    let why = refusal(&index, unseen).await;
    assert!(why.contains("once more"), "{why}");
    let seen = ask(&index, remove(OTHER)).await;
    turn(&index).await;
    assert!(done(&index, seen).await);
    assert_eq!(index.files("demo"), [NAME]);
}

/// The certificates that are served under their plain name, if there are any.
fn served_certificates(index: &TestIndex) -> Option<String> {
    let path = index.folder.path().join("repository/keys/demo.asc");
    std::fs::read_to_string(path).ok()
}

#[tokio::test]
async fn certificates_are_bound_into_the_page_and_served() {
    let index = two_files().await;
    let (one, two) = (armored(&[1]), armored(&[1, 2]));
    let mut before = None;
    for (text, required) in [(&one, false), (&two, false), (&two, true)] {
        let order = ask(&index, certificates(Some(text), required, before)).await;
        turn(&index).await;
        assert!(done(&index, order).await);
        let bound = page(&index).wheelmark.certificates.unwrap();
        let sha256 = Sha256::of(text.as_bytes());
        assert_eq!(bound.sha256.to_string(), sha256.to_string());
        assert_eq!((bound.size, bound.required), (text.len() as u64, required));
        let object = format!("repository/targets/simple/demo/{sha256}.certificates.asc");
        let object = std::fs::read_to_string(index.folder.path().join(object));
        assert_eq!(object.unwrap(), *text);
        assert_eq!(served_certificates(&index).as_ref(), Some(text));
        let known = index.store.project_certificates(&demo()).await.unwrap();
        let known = known.map(|known| (known.armored, known.required));
        assert_eq!(known, Some((text.clone(), required)));
        before = Some(text.as_str());
    }
    // They stay with every other change.
    ask(&index, yank(NAME, None)).await;
    ask(&index, status("quarantined", None)).await;
    ask(&index, status("active", None)).await;
    turn(&index).await;
    assert!(page(&index).wheelmark.certificates.is_some());

    let order = ask(&index, certificates(None, false, before)).await;
    turn(&index).await;
    assert!(done(&index, order).await);
    assert_eq!(page(&index).wheelmark.certificates, None);
    assert_eq!(served_certificates(&index), None);
    let known = index.store.project_certificates(&demo()).await.unwrap();
    assert_eq!(known, None);
}

#[tokio::test]
async fn certificates_that_cannot_be_are_refused() {
    let index = two_files().await;
    let one = armored(&[1]);
    // A private key in the armour of a public one.
    let private =
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxQMEAAE=\n-----END PGP PUBLIC KEY BLOCK-----\n";
    for (text, why) in [
        (private.to_owned(), "in the form in which they are kept"),
        (format!("{one}\n"), "in the form in which they are kept"),
        (String::new(), "in the form in which they are kept"),
    ] {
        let order = ask(&index, certificates(Some(&text), false, None)).await;
        turn(&index).await;
        let told = refusal(&index, order).await;
        assert!(told.contains(why), "{told}");
    }
    // On the ground of others than those that are there.
    let order = ask(&index, certificates(Some(&one), false, Some("others"))).await;
    turn(&index).await;
    assert!(refusal(&index, order).await.contains("meanwhile"));
    ask(&index, certificates(Some(&one), false, None)).await;
    let late = ask(&index, certificates(Some(&armored(&[2])), false, None)).await;
    let same = ask(&index, certificates(Some(&one), false, None)).await;
    turn(&index).await;
    assert!(refusal(&index, late).await.contains("meanwhile"));
    assert!(done(&index, same).await, "what is so already is made");
    assert_eq!(served_certificates(&index), Some(one));

    let Change::CertificatesSet {
        certificates,
        required,
        in_place_of,
        ..
    } = certificates(Some(&armored(&[3])), false, None)
    else {
        unreachable!("made above");
    };
    let foreign = Change::CertificatesSet {
        project: "nobody".parse().unwrap(),
        certificates,
        required,
        in_place_of,
    };
    let order = ask(&index, foreign).await;
    turn(&index).await;
    assert!(refusal(&index, order).await.contains("not in the index"));
}

#[tokio::test]
async fn certificates_survive_a_stop_at_every_step() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let index = two_files().await;
        let text = armored(&[1]);
        let order = ask(&index, certificates(Some(&text), false, None)).await;
        let mut engine = engine(&index).await;
        engine.observe(move |at| assert!(at != phase, "stopped"));
        let turning = tokio::spawn(async move { drop(engine.turn().await) });
        assert!(turning.await.is_err(), "{phase:?}");
        while turn(&index).await != Turn::Idle {}
        assert!(done(&index, order).await, "{phase:?}");
        assert!(page(&index).wheelmark.certificates.is_some(), "{phase:?}");
        assert_eq!(served_certificates(&index), Some(text), "{phase:?}");
    }
}

#[tokio::test]
async fn everything_that_is_signed_online_is_renewed_by_an_order() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let version = |role: &str| {
        let versions = index.versions();
        let suffix = format!(".{role}.json");
        let numbers = versions
            .keys()
            .filter_map(|name| name.strip_suffix(&suffix));
        numbers
            .filter_map(|number| number.parse::<u64>().ok())
            .max()
    };
    assert!(matches!(turn(&index).await, Turn::Idle), "nothing is due");
    let order = ask(&index, Change::Renewal).await;
    let renewed = match turn(&index).await {
        Turn::Published { renewed, .. } => renewed,
        Turn::Idle | Turn::Read => panic!("nothing was done"),
    };
    // Four bins in each family, and the two small roles.
    assert_eq!(renewed, 10);
    assert!(done(&index, order).await);
    for role in [
        "simple-0",
        "packages-3",
        "recently-claimed",
        "status",
        "snapshot",
    ] {
        assert_eq!(version(role), Some(2), "{role}");
    }
    for role in ["root", "targets", "claimed", "simple", "packages"] {
        assert_eq!(version(role), Some(1), "{role}");
    }
    index.client();
    assert!(
        matches!(turn(&index).await, Turn::Idle),
        "once for an order"
    );
}
