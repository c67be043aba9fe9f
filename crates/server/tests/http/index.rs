//! One index on a port of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wheelmark_objects::Directory;
use wheelmark_repository::{BinForm, Engine, JournalWriter, Lifetimes};
use wheelmark_server::{App, Leeway, Limits};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{Store, format_token};
use wheelmark_testing::TestClock;
use wheelmark_tuf::{Clock, Sha256};

/// When everything in these tests happens.
pub(crate) const NOW: &str = "2026-11-20T10:00:00.123456Z";

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        // With more digits than a page can hold.
        "2026-11-20T10:00:00.123456789Z".parse().unwrap()
    }
}

pub(crate) struct Index {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) tree: Arc<Directory>,
    pub(crate) store: Store,
    /// The server's; the snapshot process has one that stands still.
    pub(crate) clock: Arc<TestClock>,
    pub(crate) token: String,
    pub(crate) url: String,
    pub(crate) client: Client,
    online: Arc<FileKey>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    engine: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Index {
    /// An index that publishes.
    pub(crate) async fn new() -> Index {
        Index::written_by(JournalWriter::WebProcess).await
    }

    /// An index that publishes what `writer` may ask for.
    pub(crate) async fn written_by(writer: JournalWriter) -> Index {
        let mut index = Index::without_snapshot_process(Limits::default()).await;
        index.start_snapshot_process_for(writer).await;
        index
    }

    /// An index whose snapshot process does not run.
    pub(crate) async fn without_snapshot_process(limits: Limits) -> Index {
        Index::allowing(limits, Leeway::default()).await
    }

    /// The same, with rules that do not hold.
    pub(crate) async fn allowing(limits: Limits, leeway: Leeway) -> Index {
        Index::furnished(|app| (app.limits, app.leeway) = (limits, leeway)).await
    }

    /// The same, with an app that `furnish` has changed.
    pub(crate) async fn furnished(furnish: impl FnOnce(&mut App)) -> Index {
        let wheelmark_testing::Index {
            folder,
            tree,
            store,
            clock,
            online,
            ..
        } = wheelmark_testing::Index::begun(
            &std::env::temp_dir(),
            4,
            BinForm::Succinct,
            Still.now(),
        )
        .await;
        let token = format_token(&[7; 32]);
        let digest = Sha256::of(token.as_bytes());
        store
            .add_operator_token("first", digest, Still.now(), "")
            .await
            .unwrap();

        let mut app = App::new(
            Arc::clone(&tree),
            store.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        furnish(&mut app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = wheelmark_server::index(app);
        let server = tokio::spawn(wheelmark_server::serve(listener, served, async {
            stopped.await.unwrap_or(());
        }));
        let client = Client::builder()
            .no_gzip()
            .no_zstd()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Index {
            folder,
            tree,
            store,
            clock,
            token,
            url,
            client,
            online,
            stop: Some(stop),
            server: Some(server),
            engine: None,
        }
    }

    pub(crate) async fn start_snapshot_process(&mut self) {
        self.start_snapshot_process_for(JournalWriter::WebProcess)
            .await;
    }

    async fn start_snapshot_process_for(&mut self, writer: JournalWriter) {
        let mut engine = Engine::open(
            Arc::clone(&self.tree),
            self.store.clone(),
            Arc::clone(&self.online) as Arc<dyn Signer>,
            Arc::new(Still),
            Lifetimes::default(),
            writer,
        )
        .await
        .unwrap();
        engine.take_claims(true);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(engine.run(async {
            stopped.await.unwrap_or(());
        }));
        self.engine = Some((stop, running));
    }

    /// Ends the server as a signal would; ready when it has ended.
    pub(crate) fn shut_down(&mut self) -> JoinHandle<()> {
        self.stop.take().unwrap().send(()).unwrap();
        self.server.take().unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// A project's page as JSON.
    pub(crate) async fn page(&self, project: &str) -> serde_json::Value {
        let accept = ("accept", "application/vnd.pypi.simple.v1+json");
        let page = self
            .get_with(&format!("/simple/{project}/"), &[accept])
            .await;
        assert_eq!(page.status(), 200);
        serde_json::from_slice(&page.bytes().await.unwrap()).unwrap()
    }

    /// All files under the root of the tree that come from uploads, finished or not.
    pub(crate) fn uploaded_files(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        for part in ["targets/packages", "packages", ".incoming"] {
            collect(self.tree.root(), &self.tree.root().join(part), &mut found);
        }
        found
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        if let Some((stop, running)) = self.engine.take() {
            drop(stop);
            running.abort();
        }
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, u64>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(root, &entry.path(), found);
        } else {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), entry.metadata().unwrap().len());
        }
    }
}
