//! What goes over the wire: a credential goes to its index, and to nobody that the index names.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use url::Url;
use wheelmark_client::{Credential, Credentials, FetchError, Realm, Remote, SignIn, TOKEN_USER};

/// Answers every request with `answer`, and keeps what was asked.
struct Listening {
    base: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Listening {
    fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let keeping = heard.clone();
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let answer = answer(&head);
                keeping.lock().unwrap().push(head);
                // Who asks may have heard enough.
                stream.write_all(answer.as_bytes()).unwrap_or(());
            }
        });
        Self { base, heard }
    }

    fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.base).parse().unwrap()
    }

    /// The `Authorization` of each request since the last call.
    fn signed_in(&self) -> Vec<Option<String>> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let heard = heard.iter().map(|head| {
            let mut lines = head.lines();
            lines.find_map(|line| Some(line.strip_prefix("authorization: ")?.to_owned()))
        });
        heard.collect()
    }
}

fn ok() -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned()
}

fn knowing(index: &Listening) -> Remote {
    let mut credentials = Credentials::default();
    let credential = Credential {
        user: TOKEN_USER.to_owned(),
        secret: "wmk_1".to_owned().into(),
    };
    let realm = Realm::of_index(index.url("/team/simple/").as_str()).unwrap();
    credentials.add(realm, credential);
    Remote::new("test").unwrap().with_credentials(credentials)
}

/// `__token__:wmk_1`
const SIGNED_IN: &str = "Basic X190b2tlbl9fOndta18x";

#[tokio::test]
async fn every_kind_of_request_is_signed_in() {
    let index = Listening::new(|_| ok());
    let remote = knowing(&index);
    let url = index.url("/team/metadata/timestamp.json");
    remote.get(&url, 10).await.unwrap().unwrap();
    remote.ask(&url, "text/html", 10).await.unwrap().unwrap();
    let mut file = remote.fetch_file(&url, 0).await.unwrap().unwrap();
    assert_eq!(file.next(10).await.unwrap(), "ok");
    remote.stated_length(&url).await.unwrap().unwrap();
    remote.digest(&url, 10).await.unwrap().unwrap();
    let signed_in = index.signed_in();
    assert_eq!(signed_in, vec![Some(SIGNED_IN.to_owned()); 5]);

    remote
        .get(&index.url("/other/simple/"), 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(index.signed_in(), [None]);
}

#[tokio::test]
async fn nobody_else_is_told() {
    let thief = Arc::new(Listening::new(|_| ok()));
    let to = thief.base.clone();
    let index = Listening::new(move |_| {
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}/team/simple/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    });
    let remote = knowing(&index);
    let led_away = remote.get(&index.url("/team/simple/flask/"), 10).await;
    assert!(
        matches!(led_away, Err(FetchError::Redirected { .. })),
        "{led_away:?}"
    );
    assert_eq!(index.signed_in(), [Some(SIGNED_IN.to_owned())]);
    assert_eq!(thief.signed_in(), [] as [Option<String>; 0]);

    remote
        .get(&thief.url("/team/simple/"), 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(thief.signed_in(), [None]);
}

#[tokio::test]
async fn an_index_that_wants_a_token_is_told_from_one_that_does_not_take_it() {
    let closed = "HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let index = Listening::new(|_| closed.to_owned());
    let url = index.url("/team/metadata/timestamp.json");
    for (remote, known) in [
        (knowing(&index), SignIn::Sent),
        (Remote::new("test").unwrap(), SignIn::Unknown),
    ] {
        let refused = remote.get(&url, 10).await.unwrap_err();
        let all = format!("{refused} {refused:?}");
        assert!(!all.contains("wmk_1") && !all.contains("Basic"), "{all}");
        assert!(matches!(refused, FetchError::Unauthorised { sign_in, .. } if sign_in == known));
    }
}
