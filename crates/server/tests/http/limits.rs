//! How often somebody may try.

use jiff::SignedDuration;
use reqwest::Response;
use wheelmark_server::{Limits, Rate};
use wheelmark_store::{AuditAction, Scope, format_token};

use super::form::{Upload, told};
use super::index::Index;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

async fn index() -> Index {
    let rate = |burst| Rate {
        burst,
        every: SECOND * 10,
    };
    let limits = Limits {
        failed_attempts: rate(5),
        uploads: rate(3),
        ..Limits::default()
    };
    let mut index = Index::without_snapshot_process(limits).await;
    index.start_snapshot_process().await;
    index.user("alice").await;
    index
}

fn wait(answer: &Response) -> u64 {
    answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn whoever_guesses_is_told_to_wait() {
    let index = index().await;
    let good = index.token_for("alice", Scope::Upload, 21).await;
    let upload = Upload::wheel("flask", "1.0");
    let guess = async |n: u8| index.upload_as(&format_token(&[n; 32]), &upload).await;
    for n in 100..105 {
        assert_eq!(guess(n).await.status(), 403);
    }
    for n in 105..150 {
        let answer = guess(n).await;
        assert_eq!(wait(&answer), 10);
        let told = told(answer).await;
        assert_eq!(
            (told.status, told.title.as_str()),
            (429, "Too many attempts")
        );
    }
    // Reading is counted with it, where it takes a token; what needs none goes on.
    assert_eq!(index.get("/simple/").await.status(), 200);
    // It locks nobody out who has a good one.
    assert_eq!(index.upload_as(&good, &upload).await.status(), 200);

    index.clock.forward(SECOND * 10);
    assert_eq!(guess(150).await.status(), 403);
    assert_eq!(guess(151).await.status(), 429);

    // What is written down is bounded, and says how much is not.
    let log = index.store.audit_last(None, 100).await.unwrap();
    let refused: Vec<_> = log
        .iter()
        .filter(|row| row.entry.action == AuditAction::AccessRefused)
        .collect();
    assert_eq!(refused.len(), 6, "{refused:?}");
    let last = refused[5].entry.detail.as_deref().unwrap();
    assert!(last.contains("and 45 more"), "{last}");
}

/// Another address would not help: the name is counted as well.
#[tokio::test]
async fn a_name_is_counted_wherever_it_is_tried_from() {
    use std::net::{IpAddr, Ipv4Addr};
    use tower_service::Service as _;
    use wheelmark_server::{App, ClientAddress};

    let index = index().await;
    let mut app = App::new(index.tree.clone(), index.store.clone(), index.clock.clone());
    app.limits.failed_attempts.burst = 5;
    let mut router = wheelmark_server::index(app);
    let mut attempt = async |name: &str, address: u8| {
        use base64::Engine as _;
        let plain = format!("{name}:{}", format_token(&[99; 32]));
        let basic = base64::engine::general_purpose::STANDARD.encode(plain);
        let request = http::Request::post("/legacy/")
            .header("authorization", format!("Basic {basic}"))
            .extension(ClientAddress(IpAddr::V4(Ipv4Addr::new(192, 0, 2, address))));
        let request = request.body(axum::body::Body::empty()).unwrap();
        router.call(request).await.unwrap().status().as_u16()
    };
    for address in 0..5 {
        assert_eq!(attempt("alice", address).await, 403);
    }
    assert_eq!(attempt("alice", 77).await, 429);
    assert_eq!(attempt("bob", 77).await, 403);
}

#[tokio::test]
async fn a_user_uploads_so_many_files() {
    let index = index().await;
    index.user("bob").await;
    let alice = index.token_for("alice", Scope::Upload, 21).await;
    let again = index.token_for("alice", Scope::Upload, 22).await;
    let bob = index.token_for("bob", Scope::Upload, 23).await;
    let flask = |n: u32| Upload::wheel("flask", &format!("1.{n}"));
    for n in 0..3 {
        assert_eq!(index.upload_as(&alice, &flask(n)).await.status(), 200);
    }
    for token in [&alice, &again] {
        let answer = index.upload_as(token, &flask(3)).await;
        assert_eq!(wait(&answer), 10);
        let told = told(answer).await;
        assert_eq!(
            (told.status, told.title.as_str()),
            (429, "Too many uploads")
        );
        assert!(told.detail.contains("alice"), "{told:?}");
    }
    let other = Upload::wheel("other", "1.0");
    assert_eq!(index.upload_as(&bob, &other).await.status(), 200);
    // Whoever runs the index is not counted.
    for n in 10..20 {
        assert_eq!(index.upload_as(&index.token, &flask(n)).await.status(), 200);
    }
    index.clock.forward(SECOND * 10);
    assert_eq!(index.upload_as(&alice, &flask(3)).await.status(), 200);
}
