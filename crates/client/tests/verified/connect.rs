//! What an installer sees that goes to the real URLs of an index.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wheelmark_client::{
    Beginning, Connect, Entrance, Homes, IndexUrls, Ledger, Proxy, Reader, TrustStore, Tunnel,
    add_trust,
};
use wheelmark_tuf::{Clock as _, Sha256};

use crate::index::{LARGE, SMALL, TestIndex, large, metadata, small};
use crate::setup::{PLAIN, SECRET, address_of, password, remote, status_line};
use wheelmark_testing::{Fault, Web};

const REAL: &str = "https://pkg.example/team";

/// An index whose simple URL is far away, and a proxy that answers for it.
struct Far {
    _index: TestIndex,
    web: Web,
    _home: tempfile::TempDir,
    address: String,
    proxy_url: String,
    ledger: Arc<Ledger>,
    connect: Arc<Connect>,
    task: tokio::task::AbortHandle,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Far {
    async fn new(tunnels: &[&str]) -> Self {
        Self::at(&format!("{REAL}/simple/"), tunnels).await
    }

    async fn at(simple: &str, tunnels: &[&str]) -> Self {
        let index = TestIndex::with_files().await;
        let web = Web::serve(&index.path("")).await;
        let home = tempfile::tempdir().unwrap();
        let store = TrustStore::open(home.path()).unwrap();
        let near = |folder: &str| format!("{}/{folder}/", web.base);
        let urls = IndexUrls::new(simple, Some(&near("metadata")), Some(&near("targets"))).unwrap();
        let trusted = add_trust(
            &store,
            &remote(),
            urls,
            Beginning::Fingerprint(index.fingerprint),
            index.clock.now(),
        )
        .await
        .unwrap();
        let reader = Reader::new(trusted, remote(), index.clock.clone(), PLAIN);
        let homes = Arc::new(Homes::only(Arc::new(reader)));
        let tunnels: Vec<Tunnel> = tunnels.iter().map(|text| text.parse().unwrap()).collect();
        let connect = Arc::new(Connect::new(&homes, tunnels, Timestamp::now()).unwrap());
        let ledger = Arc::new(Ledger::default());
        let entrance = Entrance::Secret(SECRET.to_owned());
        let any_port = "127.0.0.1:0".parse().unwrap();
        let proxy = Proxy::bind(any_port, entrance, homes, ledger.clone())
            .await
            .unwrap()
            .with_connect(connect.clone());
        let address = address_of(&proxy);
        let proxy_url = proxy.proxy_url();
        let task = tokio::spawn(proxy.serve(std::future::pending())).abort_handle();
        Self {
            _index: index,
            web,
            _home: home,
            address,
            proxy_url,
            ledger,
            connect,
            task,
        }
    }

    /// A client that knows the proxy and its authority, and nothing else.
    fn client(&self) -> reqwest::Client {
        let bundle = self.connect.authority().bundle("");
        let root = reqwest::Certificate::from_pem(bundle.as_bytes()).unwrap();
        reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(&self.proxy_url).unwrap())
            .tls_certs_only([root])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
    }

    async fn get(&self, url: &str) -> reqwest::Response {
        self.client().get(url).send().await.unwrap()
    }

    /// Sends a CONNECT and returns what is said, and the connection.
    async fn connect(&self, to: &str) -> (String, TcpStream) {
        self.connect_with(to, &password()).await
    }

    async fn connect_with(&self, to: &str, password: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!(
            "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nProxy-Authorization: {password}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            said.push(byte[0]);
        }
        (String::from_utf8(said).unwrap(), stream)
    }
}

#[tokio::test]
async fn pages_and_files_at_their_real_urls() {
    let far = Far::new(&[]).await;
    let client = far.client();
    let page = client
        .get(format!("{REAL}/simple/demo/"))
        .header("Accept", "application/vnd.pypi.simple.v1+json")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    let page: serde_json::Value = serde_json::from_slice(&page.bytes().await.unwrap()).unwrap();
    let url = page["files"][0]["url"].as_str().unwrap();
    assert_eq!(url, format!("{REAL}/packages/demo/{SMALL}"));
    for (file, content) in [(SMALL, small()), (LARGE, large())] {
        for folder in ["packages/demo", "somewhere/else"] {
            let url = format!("{REAL}/{folder}/{file}");
            let answer = client.get(url).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(answer.bytes().await.unwrap() == content);
        }
    }
    let answer = client.get(format!("{url}.metadata")).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), metadata(SMALL));
    let moved = client
        .get(format!("{REAL}/simple/Demo"))
        .send()
        .await
        .unwrap();
    assert_eq!(moved.status(), 301);
    assert_eq!(moved.headers()["location"], "/team/simple/demo/");
    for path in [
        "",
        "simple/",
        "simple/other/",
        "packages/demo/demo-9.0.tar.gz",
        "targets/x",
    ] {
        let answer = client.get(format!("{REAL}/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let post = client
        .post(format!("{REAL}/simple/demo/"))
        .send()
        .await
        .unwrap();
    assert_eq!(post.status(), 405);
    let report = far.ledger.report(Vec::new());
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!(report.files.len(), 2);
}

#[tokio::test]
async fn the_signed_page_decides_and_not_the_url() {
    let far = Far::new(&[]).await;
    far.web.set_fault(Fault::Floods("packages"));
    let answer = far.get(&format!("{REAL}/packages/demo/{SMALL}")).await;
    assert_eq!(answer.status(), 409);
    let other = far.get(&format!("{REAL}/packages/other/{SMALL}")).await;
    assert_eq!(
        other.status(),
        404,
        "another project's page does not list it"
    );
    assert!(far.ledger.any_refused());
}

#[tokio::test]
async fn an_index_by_plain_http() {
    let far = Far::at("http://pkg.example/simple/", &[]).await;
    let answer = far
        .get(&format!("http://pkg.example/packages/demo/{SMALL}"))
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        Sha256::of(&answer.bytes().await.unwrap()),
        Sha256::of(&small())
    );
    let (said, _) = far.connect("pkg.example:443").await;
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    let (said, _) = far.connect("pkg.example:80").await;
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
}

#[tokio::test]
async fn hosts_of_no_index_are_refused() {
    let far = Far::new(&["listed.example:8443"]).await;
    let hosts = [
        "evil.example:443",
        "pkg.example:8443",
        "pkg.example:80",
        "me@pkg.example:443",
        "pkg.example.:443",
        "listed.example:443",
    ];
    for host in hosts {
        let (said, _) = far.connect(host).await;
        let status = status_line(&said);
        assert!(
            status.starts_with("HTTP/1.1 403 wheelmark refused"),
            "{host}: {status}"
        );
    }
    let answer = far.get("http://pkg.example/team/simple/demo/").await;
    assert_eq!(answer.status(), 403, "the index is at https");
    let refused = far.ledger.report(Vec::new()).refused;
    let refused: Vec<_> = refused
        .iter()
        .map(|entry| entry.host.as_deref().unwrap())
        .collect();
    assert_eq!(refused, [&hosts[..], &["pkg.example"]].concat());
}

#[tokio::test]
async fn without_the_secret_of_the_run_nothing_happens_and_nothing_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap().to_string();
    let far = Far::new(&[&there]).await;
    drop(far.web.asked());
    for host in ["pkg.example:443", "evil.example:443", &there] {
        for given in ["", "Basic d2hlZWxtYXJrOng=", SECRET] {
            let (said, _) = far.connect_with(host, given).await;
            assert!(said.starts_with("HTTP/1.1 407 "), "{host}: {said}");
            let asks = said.contains("proxy-authenticate: Basic realm=\"wheelmark\"\r\n");
            assert!(asks && !said.contains(SECRET), "{said}");
        }
    }
    let unaware = reqwest::Client::builder()
        .proxy(reqwest::Proxy::all(format!("http://{}", far.address)).unwrap())
        .build()
        .unwrap();
    let answer = unaware.get("http://evil.example/").send().await.unwrap();
    assert_eq!(answer.status(), 407);
    let report = far.ledger.report(Vec::new());
    assert!(report.refused.is_empty() && report.routes_not_closed.is_empty());
    assert!(far.web.asked().is_empty());
}

#[tokio::test]
async fn what_is_said_inside_is_for_the_host_outside() {
    let far = Far::new(&[]).await;
    let client = far.client();
    for host in ["evil.example", "pkg.example:444", "me@pkg.example", ""] {
        let answer = client
            .get(format!("{REAL}/simple/demo/"))
            .header("Host", host)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 421, "{host}");
    }
    let same = client.get(format!("{REAL}/simple/demo/"));
    let same = same.header("Host", "PKG.example:443").send().await.unwrap();
    assert_eq!(same.status(), 200);

    // Another name in the handshake than in CONNECT: no certificate, whatever the client trusts.
    let (said, stream) = far.connect("pkg.example:443").await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let error = handshake(&far, stream, "evil.example").await.unwrap_err();
    assert!(
        error.to_string().contains("AccessDenied") || error.to_string().contains("alert"),
        "{error}"
    );
    // And nobody who does not know this run's authority believes it.
    let (_, stream) = far.connect("pkg.example:443").await;
    handshake(&far, stream, "pkg.example").await.unwrap();
    let unaware = reqwest::Client::builder()
        .proxy(reqwest::Proxy::all(&far.proxy_url).unwrap())
        .build()
        .unwrap();
    let error = unaware
        .get(format!("{REAL}/simple/demo/"))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error}");
}

async fn handshake(far: &Far, stream: TcpStream, name: &'static str) -> std::io::Result<()> {
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
    let bundle = far.connect.authority().bundle("");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(bundle.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(name).unwrap();
    let stream = connector.connect(name, stream).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    Ok(())
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let far = Far::new(&[]).await;
    let client = far.client();
    let mut ports = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let answer = client
            .get(format!("{REAL}/simple/demo/"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), http::Version::HTTP_11);
        ports.insert(answer.remote_addr());
        answer.bytes().await.unwrap();
    }
    assert_eq!(ports.len(), 1);
}

#[tokio::test]
async fn another_authority_takes_over_between_connections() {
    let far = Far::new(&[]).await;
    let (before, page) = (far.client(), format!("{REAL}/simple/demo/"));
    let next = far.connect.next_authority(Timestamp::now()).unwrap();
    far.connect.renew(next);
    assert!(before.get(&page).send().await.unwrap_err().is_connect());
    assert_eq!(far.get(&page).await.status(), 200);
}

#[tokio::test]
async fn a_tunnel_passes_bytes_and_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap().to_string();
    let far = Far::new(&[&there]).await;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).await.unwrap();
        stream.write_all(&asked).await.unwrap();
    });
    let (said, mut stream) = far.connect(&there).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    stream.write_all(b"over there").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"over there");
    echo.await.unwrap();
    let report = far.ledger.report(Vec::new());
    assert!(report.refused.is_empty());
    assert_eq!(report.routes_not_closed[0].argument, there);
    // Nobody is there any more: said at once, and not with a status that is tried again.
    let (said, _) = far.connect(&there).await;
    assert!(said.starts_with("HTTP/1.1 424 "), "{said}");
}
