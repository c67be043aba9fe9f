//! An index, a server for it, a home that trusts it, and a proxy in front.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use wheelmark_client::{
    Beginning, Entrance, Freshness, Homes, IndexUrls, Ledger, Proxy, Reader, ReaderOptions, Remote,
    TrustStore, TrustedIndex, add_trust,
};
use wheelmark_tuf::Clock as _;

use crate::index::TestIndex;
use wheelmark_testing::Web;

pub(crate) const SECRET: &str = "s3cret";

pub(crate) struct Setup {
    pub(crate) index: TestIndex,
    pub(crate) web: Web,
    _home: tempfile::TempDir,
    pub(crate) store: TrustStore,
    pub(crate) trusted: TrustedIndex,
}

impl Setup {
    pub(crate) async fn new(index: TestIndex) -> Self {
        let web = Web::serve(&index.path("")).await;
        let home = tempfile::tempdir().unwrap();
        let store = TrustStore::open(home.path()).unwrap();
        let trusted = add_trust(
            &store,
            &remote(),
            IndexUrls::new(&web.simple(), None, None).unwrap(),
            Beginning::Fingerprint(index.fingerprint),
            index.clock.now(),
        )
        .await
        .unwrap();
        web.asked();
        Self {
            index,
            web,
            _home: home,
            store,
            trusted,
        }
    }

    pub(crate) async fn with_files() -> Self {
        Self::new(TestIndex::with_files().await).await
    }

    pub(crate) fn reader_with(&self, options: ReaderOptions) -> Arc<Reader> {
        Arc::new(Reader::new(
            self.trusted.clone(),
            remote(),
            self.index.clock.clone(),
            options,
        ))
    }

    pub(crate) fn reader(&self) -> Arc<Reader> {
        self.reader_with(PLAIN)
    }

    pub(crate) async fn proxy(&self) -> Front {
        Front::new(self.reader()).await
    }
}

pub(crate) const PLAIN: ReaderOptions = ReaderOptions {
    freshness: Freshness::Once,
    strict: false,
};

pub(crate) fn remote() -> Remote {
    Remote::new("wheelmark-test").unwrap()
}

/// What a client sends that was given the proxy's URL.
pub(crate) fn password() -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("wheelmark:{SECRET}"))
    )
}

/// Where a proxy listens.
pub(crate) fn address_of(proxy: &Proxy) -> String {
    let url = proxy.proxy_url();
    let (_, address) = url.rsplit_once(['@', '/']).unwrap();
    address.to_owned()
}

/// A proxy and a client that talks to it.
pub(crate) struct Front {
    pub(crate) base: String,
    pub(crate) address: String,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) client: reqwest::Client,
    task: tokio::task::AbortHandle,
}

impl Front {
    pub(crate) async fn new(reader: Arc<Reader>) -> Self {
        Self::with_entrance(Entrance::Secret(SECRET.to_owned()), reader).await
    }

    pub(crate) async fn with_entrance(entrance: Entrance, reader: Arc<Reader>) -> Self {
        Self::with_homes(entrance, Arc::new(Homes::only(reader))).await
    }

    pub(crate) async fn with_homes(entrance: Entrance, homes: Arc<Homes>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let proxy = Proxy::bind(
            "127.0.0.1:0".parse().unwrap(),
            entrance,
            homes,
            ledger.clone(),
        )
        .await
        .unwrap();
        let base = proxy
            .index_url()
            .strip_suffix("/simple/")
            .unwrap()
            .to_owned();
        let address = address_of(&proxy);
        let task = tokio::spawn(proxy.serve(std::future::pending())).abort_handle();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            base,
            address,
            ledger,
            client,
            task,
        }
    }

    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.request(path).send().await.unwrap()
    }

    pub(crate) async fn get_file(&self, file: &str) -> reqwest::Response {
        self.get(&format!("/packages/demo/{file}")).await
    }

    /// The page of `demo` as JSON.
    pub(crate) async fn page(&self) -> serde_json::Value {
        let answer = self
            .request("/simple/demo/")
            .header("Accept", "application/vnd.pypi.simple.v1+json")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Sends raw bytes and returns everything that comes back until the other side closes.
    pub(crate) async fn raw(&self, request: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The status line and the headers are one thing, the reason in them another: reqwest drops
/// it, so it is read from the wire.
pub(crate) fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}
