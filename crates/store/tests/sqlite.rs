//! What is particular to SQLite: opening, durability, and rows written by a stranger.

#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use std::path::Path;
use std::process::{Command, Stdio};

use sqlx::{Connection, SqliteConnection};
use wheelmark_store::{
    Actor, AdmitError, AuditAction, AuditEntry, Change, Checked, FileState, NewFile, OpenError,
    Role, Scope, Seq, Store, UserName, format_token,
};
use wheelmark_tuf::Sha256;

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display()))
        .await
        .unwrap()
}

async fn execute(path: &Path, sql: &'static str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn file(n: u64) -> NewFile {
    NewFile {
        project: "a".parse().unwrap(),
        filename: format!("a-{n}.tar.gz"),
        sha256: Sha256::of(&n.to_be_bytes()),
        size: n,
        uploaded_at: "2026-11-20T10:00:00Z".parse().unwrap(),
        requires_python: None,
        core_metadata_sha256: None,
        chunks_sha256: None,
        gpg_signature: None,
        provenance_sha256: None,
        uploaded_by: "test".to_owned(),
        back_signed: false,
        yanked: None,
    }
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    Store::open(&path).await.unwrap().close().await;
    execute(&path, "PRAGMA user_version = 4242").await;

    let refused = Store::open(&path).await;

    match refused {
        Err(OpenError::Newer {
            found, supported, ..
        }) => assert!(found == 4242 && supported < found),
        other => panic!("opened: {other:?}"),
    }
}

/// As the first released schema left it: one published file, one that is pending.
#[tokio::test]
async fn an_older_database_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    execute(&path, include_str!("../src/migrations/0001_catalogue.sql")).await;
    execute(
        &path,
        r#"PRAGMA application_id = 0x574d524b; PRAGMA user_version = 1;
           INSERT INTO project VALUES ('a', '2026-11-20T10:00:00Z');
           INSERT INTO journal (change) VALUES
             ('{"kind":"file-added","project":"a","filename":"a-1.tar.gz","sha256":"cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50","size":1,"uploaded_at":"2026-11-20T10:00:00Z","uploaded_by":"test"}'),
             ('{"kind":"file-added","project":"a","filename":"a-2.tar.gz","sha256":"cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70","size":2,"uploaded_at":"2026-11-20T10:00:00Z","uploaded_by":"test"}');
           INSERT INTO file VALUES
             ('a', 'a-1.tar.gz', 'cd2662154e6d76b2b2b92e70c0cac3ccf534f9b74eb5b89819ec509083d00a50', 1, '2026-11-20T10:00:00Z', 'test', 1, 1),
             ('a', 'a-2.tar.gz', 'cd04a4754498e06db5a13c5f371f1f04ff6d2470f24aa9bd886540e5dce77f70', 2, '2026-11-20T10:00:00Z', 'test', 2, 0);
           INSERT INTO outcome VALUES (1, 2, NULL);"#,
    )
    .await;

    let store = Store::open(&path).await.unwrap();

    let files = store.files(None, 10).await.unwrap();
    let states = files.iter().map(|file| file.state).collect::<Vec<_>>();
    assert_eq!(states, [FileState::Published, FileState::Pending]);
    for file in &files {
        assert_eq!((file.yanked.as_deref(), file.back_signed), (None, false));
    }
    let rows = store.journal_after(Seq(0), 10).await.unwrap();
    assert_eq!(rows[0].change, Change::FileAdded(file(1)));
    assert_eq!(rows[1].change, Change::FileAdded(file(2)));
    let serials = store.serials_after(Seq(0)).await.unwrap();
    assert_eq!(serials, [(files[0].project.clone(), Seq(1))]);
    let removal = store.remove(&files[0].project, &files[0].filename).await;
    assert_eq!(removal.unwrap(), Some(Seq(3)));
    store.close().await;
    // And it is brought up to date once.
    Store::open(&path).await.unwrap().close().await;
}

/// Before there were users: a token that could upload everything, and what it brought.
#[tokio::test]
async fn what_was_there_before_users_is_the_operators() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let text = format_token(&[1; 32]);
    execute(&path, include_str!("../src/migrations/0001_catalogue.sql")).await;
    execute(&path, include_str!("../src/migrations/0002_changes.sql")).await;
    execute(&path, include_str!("../src/migrations/0003_serials.sql")).await;
    execute(
        &path,
        "PRAGMA application_id = 0x574d524b; PRAGMA user_version = 3;
         INSERT INTO project (name, created_at) VALUES ('a', '2026-11-20T10:00:00Z');
         INSERT INTO token VALUES ('first', substr('DIGEST', 1, 16), 'DIGEST', '2026-11-20T09:00:00Z', 'made by the first run');",
    )
    .await;
    let digest = Sha256::of(text.as_bytes()).to_string();
    let mut connection = raw(&path).await;
    sqlx::query("UPDATE token SET secret_sha256 = ?1, finder = substr(?1, 1, 16)")
        .bind(&digest)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    let store = Store::open(&path).await.unwrap();

    let now = "2026-11-20T11:00:00Z".parse().unwrap();
    let Checked::Good(bearer) = store.check_token(&text, now).await.unwrap() else {
        panic!("the token is not known any more");
    };
    assert_eq!(bearer.user(), &UserName::operator());
    assert_eq!(bearer.scope(), &Scope::Admin);
    let users = store.users().await.unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].created_at.to_string(), "2026-11-20T09:00:00Z");
    let members = store.members(&"a".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(
        (&members[0].user, members[0].role),
        (bearer.user(), Role::Owner)
    );
    store.admit_from(file(1), &bearer, None).await.unwrap();
}

#[tokio::test]
async fn the_audit_log_keeps_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let store = Store::open(&path).await.unwrap();
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    let entry = AuditEntry::new(at, Actor::Stranger, AuditAction::AccessRefused);
    store.audit(&entry).await.unwrap();
    let mut connection = raw(&path).await;
    for sql in ["DELETE FROM audit", "UPDATE audit SET person = 'bob'"] {
        let refused = sqlx::raw_sql(sql).execute(&mut connection).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("only appended to"), "{refused}");
    }
    // What a later version writes down does not stop the rows around it.
    sqlx::raw_sql("INSERT INTO audit (at, action) VALUES ('2026-11-20T10:00:00Z', 'moon-landed')")
        .execute(&mut connection)
        .await
        .unwrap();
    let log = store.audit_last(None, 10).await.unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].entry.action, AuditAction::Unknown);
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    execute(&path, "CREATE TABLE theirs (x)").await;
    let refused = Store::open(&path).await;
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let content = "not a database at all. ".repeat(100);
    std::fs::write(&path, &content).unwrap();
    let refused = Store::open(&path).await;
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn a_path_that_cannot_be_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("catalogue.sqlite");
    let refused = Store::open(&path).await.unwrap_err();
    assert!(
        refused.to_string().contains("catalogue.sqlite"),
        "{refused}"
    );
}

/// What an upload brings is in the log when it is recorded, and flushed with the intent; the log's
/// own flush works on a database that was just made, too.
#[tokio::test]
async fn what_is_deferred_can_be_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let store = Store::open(&path).await.unwrap();
    store.flush().await.unwrap();
    let text = format_token(&[1; 32]);
    store.admit(file(1)).await.unwrap();
    let fence = store.acquire_lease("test").await.unwrap();
    let intent = wheelmark_store::Intent {
        snapshot_version: 2,
        timestamp_version: 2,
        through: Seq(1),
        objects: Vec::new(),
        timestamp: text.clone().into_bytes(),
        after: serde_json::json!({}),
    };
    store.record_intent(fence, &intent).await.unwrap();
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    let logged = std::fs::read(log).unwrap();
    let found = logged
        .windows(text.len())
        .any(|part| part == text.as_bytes());
    assert!(found, "the intent is in the log, which is what is flushed");
}

#[tokio::test]
async fn every_commit_is_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let store = Store::open(&path).await.unwrap();
    let durability = store.durability().await.unwrap();
    assert_eq!(durability.journal_mode, "wal");
    assert_eq!(durability.synchronous, 2, "2 is FULL");
}

#[tokio::test]
async fn a_stranger_in_the_journal_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let store = Store::open(&path).await.unwrap();
    store.admit(file(1)).await.unwrap();
    execute(
        &path,
        r#"INSERT INTO journal (change) VALUES ('{"kind":"moon-landed"}'), ('nonsense'),
           ('{"kind":"unreadable"}'), ('{"kind":"file-added","project":"../x"}')"#,
    )
    .await;
    store.admit(file(2)).await.unwrap();

    let rows = store.journal_after(Seq(0), 10).await.unwrap();

    assert_eq!(rows.len(), 6);
    assert!(matches!(rows[0].change, Change::FileAdded(_)));
    for row in &rows[1..5] {
        assert!(matches!(row.change, Change::Unreadable(_)), "{row:?}");
    }
    assert_eq!(rows[5].change, Change::FileAdded(file(2)));
}

/// Runs in a child process of the test below: admits files and says each on standard output
/// once it is acknowledged, until it is killed.
#[tokio::test]
#[ignore = "a part of killed_processes_lose_nothing_acknowledged"]
async fn admit_until_killed() {
    use std::io::Write;
    let Some(path) = std::env::var_os("WHEELMARK_TEST_CATALOGUE") else {
        return;
    };
    let store = Store::open(Path::new(&path)).await.unwrap();
    let first: u64 = std::env::var("WHEELMARK_TEST_FIRST")
        .unwrap()
        .parse()
        .unwrap();
    let mut out = std::io::stderr();
    for n in first.. {
        store.admit(file(n)).await.unwrap();
        writeln!(out, "acknowledged {n}").unwrap();
    }
}

#[tokio::test]
async fn killed_processes_lose_nothing_acknowledged() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let mut acknowledged = Vec::new();
    for round in 0..5_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "admit_until_killed", "--ignored", "--nocapture"])
            .env("WHEELMARK_TEST_CATALOGUE", &path)
            .env("WHEELMARK_TEST_FIRST", (round * 1_000_000).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 20 + round * 7 {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged.push(number.parse::<u64>().unwrap());
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged.push(number.parse().unwrap());
            }
        }
    }

    let store = Store::open(&path).await.unwrap();
    let rows = store.journal_after(Seq(0), u32::MAX).await.unwrap();
    for n in acknowledged {
        let expected = file(n);
        let row = store.file(&expected.project, &expected.filename).await;
        let row = row.unwrap().unwrap();
        assert_eq!(row.sha256, expected.sha256);
        let in_journal = rows.iter().find(|journal| journal.seq == row.seq);
        assert_eq!(
            in_journal.unwrap().change,
            Change::FileAdded(expected),
            "file {n}"
        );
    }
    // And nothing is half there: every journal row has its file.
    for row in rows {
        let Change::FileAdded(new) = row.change else {
            panic!("unreadable row {}", row.seq);
        };
        let there = store.file(&new.project, &new.filename).await.unwrap();
        assert_eq!(there.unwrap().seq, row.seq);
    }
}

/// No command deletes a token, and somebody in an emergency does.
#[tokio::test]
async fn a_token_that_is_not_on_record_any_more_brings_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalogue.sqlite");
    let store = Store::open(&path).await.unwrap();
    let text = format_token(&[1; 32]);
    let (digest, now) = (Sha256::of(text.as_bytes()), file(1).uploaded_at);
    let added = store.add_operator_token("first", digest, now, "").await;
    added.unwrap();
    let Checked::Good(bearer) = store.check_token(&text, now).await.unwrap() else {
        panic!("not good");
    };
    execute(&path, "DELETE FROM token").await;
    let asked = store.demand_uploader(&bearer, &file(1).project, now).await;
    assert!(matches!(asked, Err(AdmitError::Denied(_))), "{asked:?}");
    let admitted = store.admit_from(file(1), &bearer, None).await;
    assert!(
        matches!(admitted, Err(AdmitError::Denied(_))),
        "{admitted:?}"
    );
    assert_eq!(store.journal_end().await.unwrap(), Seq(0));
}
