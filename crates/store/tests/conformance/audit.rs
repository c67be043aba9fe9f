use wheelmark_store::{Actor, AuditAction, AuditEntry, MAX_AUDIT_TEXT_LEN, Scope};

use super::backend::{Backend, added_user, now, operator, project, token_of};

fn entry(action: AuditAction) -> AuditEntry {
    AuditEntry::new(now(), Actor::Stranger, action)
}

pub(crate) async fn every_field_comes_back(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let bearer = token_of(&store, "alice", Scope::Upload, 1).await;
    let before = store.audit_last(None, 1).await.unwrap()[0].number;
    let entries = [
        entry(AuditAction::AccessRefused),
        AuditEntry::new(now(), operator(), AuditAction::AccessChanged).saying("ü"),
        AuditEntry::new(now(), bearer.actor(), AuditAction::UploadRefused)
            .in_project(&project("flask"))
            .of("flask-1.tar.gz")
            .from_address(Some("2001:db8::1".parse().unwrap()))
            .saying("why"),
    ];
    for entry in &entries {
        store.audit(entry).await.unwrap();
    }
    let rows = backend
        .open()
        .await
        .audit_after(before, None, 10)
        .await
        .unwrap();
    let read: Vec<_> = rows.iter().map(|row| row.entry.clone()).collect();
    assert_eq!(read, entries);
    assert!(rows.windows(2).all(|two| two[0].number < two[1].number));
}

pub(crate) async fn rows_come_in_pages_and_by_project(backend: &impl Backend) {
    let store = backend.open().await;
    for n in 0..7 {
        let name = if n % 2 == 0 { "even" } else { "odd" };
        let entry = entry(AuditAction::FileYanked).in_project(&project(name));
        store.audit(&entry.of(n.to_string())).await.unwrap();
    }
    let subjects = |rows: Vec<wheelmark_store::AuditRow>| -> Vec<String> {
        let rows = rows.into_iter();
        rows.map(|row| row.entry.subject.unwrap()).collect()
    };
    let first = store.audit_after(0, None, 3).await.unwrap();
    let behind = first[2].number;
    assert_eq!(subjects(first), ["0", "1", "2"]);
    let rest = store.audit_after(behind, None, 10).await.unwrap();
    assert_eq!(subjects(rest), ["3", "4", "5", "6"]);
    let odd = project("odd");
    let of_one = store.audit_after(behind, Some(&odd), 10).await.unwrap();
    assert_eq!(subjects(of_one), ["3", "5"]);
    assert_eq!(
        subjects(store.audit_last(None, 2).await.unwrap()),
        ["5", "6"]
    );
    let last = store.audit_last(Some(&odd), 2).await.unwrap();
    assert_eq!(subjects(last), ["3", "5"]);
}

pub(crate) async fn what_strangers_choose_is_kept_short(backend: &impl Backend) {
    let store = backend.open().await;
    let long = "ü".repeat(100_000);
    let entry = entry(AuditAction::AccessRefused).of(&long).saying(&long);
    store.audit(&entry).await.unwrap();
    let row = store.audit_last(None, 1).await.unwrap().remove(0);
    for text in [row.entry.subject, row.entry.detail] {
        assert_eq!(text.unwrap().len(), MAX_AUDIT_TEXT_LEN);
    }
}
