//! What becomes of credentials and uploads that go wrong, and what is written down of them.

use std::time::Duration;

use base64::Engine as _;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wheelmark_server::Limits;
use wheelmark_store::{AuditAction, Outcome, Scope, Seq, format_token};

use super::form::{Upload, told};
use super::index::Index;

/// The pip way of a token in a URL, the twine way with the wrong option, the two fields swapped.
#[tokio::test]
async fn a_token_that_was_sent_as_the_user_name_is_written_down_nowhere() {
    let index = Index::new().await;
    index.user("alice").await;
    let token = index.token_for("alice", Scope::Upload, 21).await;
    let upload = Upload::wheel("flask", "1.0");
    for (name, password) in [
        (token.as_str(), ""),
        (&token, "__token__"),
        (&token, &format_token(&[99; 32])),
        (&token, &token),
    ] {
        let request = index.request(Method::POST, "/legacy/");
        let request = request.basic_auth(name, Some(password));
        let answer = request.multipart(upload.form()).send().await.unwrap();
        let told = told(answer).await;
        assert_eq!(
            (told.status, &*told.title),
            (401, "Token sent as the user name")
        );
        assert!(told.hint.contains("__token__"), "{told:?}");
        let log = index.store.audit_last(None, 100).await.unwrap();
        assert!(!format!("{log:?}").contains("wmk_"), "{log:?}");
    }
}

/// What pip and uv send when the URL has a name and a keyring is to have the rest.
#[tokio::test]
async fn a_name_without_a_password_is_no_attempt() {
    let index = Index::new().await;
    index.user("alice").await;
    for name in ["alice", "__token__", "", "bob"]
        .into_iter()
        .cycle()
        .take(50)
    {
        let request = index.request(Method::POST, "/legacy/");
        let answer = request.basic_auth(name, Some("")).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{name}");
        assert!(answer.headers().contains_key("www-authenticate"));
    }
    let log = index.store.audit_last(None, 100).await.unwrap();
    let refused = |action| action == AuditAction::AccessRefused;
    assert!(!log.iter().any(|row| refused(row.entry.action)), "{log:?}");
}

#[tokio::test]
async fn a_name_is_written_down_if_it_is_a_users() {
    let index = Index::new().await;
    index.user("alice").await;
    for (name, written) in [
        ("alice", Some("alice")),
        ("bob", None),
        ("hunter2", None),
        ("flask  from 10.0.0.1  (all is well)", None),
    ] {
        let request = index.request(Method::POST, "/legacy/");
        let request = request.basic_auth(name, Some(format_token(&[99; 32])));
        assert_eq!(request.send().await.unwrap().status(), 403);
        let log = index.store.audit_last(None, 1).await.unwrap();
        assert_eq!(log[0].entry.subject.as_deref(), written, "{log:?}");
        assert!(written.is_some() || !format!("{log:?}").contains(name));
    }
}

/// A file of four gigabytes that nobody may send takes no room.
#[tokio::test]
async fn a_token_for_reading_is_refused_before_anything_is_sent() {
    let index = Index::new().await;
    index.user("alice").await;
    let token = index.token_for("alice", Scope::Read, 21).await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("__token__:{token}"));
    let address = index.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 4000000000\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(std::str::from_utf8(&begin).unwrap(), "HTTP/1.1 403");
    let log = index.store.audit_last(None, 1).await.unwrap();
    assert_eq!(log[0].entry.action, AuditAction::UploadRefused);
}

/// Whoever has stolen a token need not wait for the answer.
#[tokio::test]
async fn who_hangs_up_is_in_the_log_all_the_same() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    index.user("alice").await;
    let token = index.token_for("alice", Scope::Upload, 21).await;
    let request = index
        .request(Method::POST, "/legacy/")
        .basic_auth("__token__", Some(&token))
        .multipart(Upload::wheel("flask", "1.0").form());
    let sending = tokio::spawn(request.send());
    while index
        .store
        .journal_after(Seq(0), 1)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sending.abort();
    sending.await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let fence = index.store.acquire_lease("test").await.unwrap();
    let reason = "a reason".to_owned();
    let outcome = (Seq(1), Outcome::Refused { reason });
    let recorded = index.store.record_outcomes(fence, &[outcome]).await;
    recorded.unwrap();
    for _ in 0..600 {
        let log = index.store.audit_last(None, 1).await.unwrap();
        if log[0].entry.action == AuditAction::UploadRefused {
            let filename = log[0].entry.subject.as_deref();
            assert_eq!(filename, Some("flask-1.0-py3-none-any.whl"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not in the log");
}

#[tokio::test]
async fn a_token_under_anothers_name_is_not_noted_as_used() {
    let index = Index::new().await;
    index.user("alice").await;
    let token = index.token_for("alice", Scope::Upload, 21).await;
    let used = async || {
        let tokens = index.store.tokens().await.unwrap();
        let token = tokens.iter().find(|token| token.id.as_str() == "alice-21");
        token.unwrap().last_used_at
    };
    let request = index.request(Method::POST, "/legacy/");
    let request = request.basic_auth("bob", Some(&token)).send().await;
    assert_eq!(request.unwrap().status(), 401);
    assert_eq!(used().await, None);
    let answer = index
        .upload_as(&token, &Upload::wheel("flask", "1.0"))
        .await;
    assert_eq!(answer.status(), 200);
    for _ in 0..600 {
        if used().await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not noted");
}
