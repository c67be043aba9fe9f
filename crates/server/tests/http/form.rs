//! The upload form, as uploaders send it, and every way to get it wrong.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wheelmark_tuf::Sha256;

use super::index::Index;

/// A form whose parts go out in the order they stand in.
#[derive(Clone)]
pub(crate) struct Upload {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) filename: String,
    pub(crate) content: Vec<u8>,
    /// How many fields go before the file.
    pub(crate) before: usize,
}

impl Upload {
    /// A form in order, in the order of twine: the file last.
    pub(crate) fn new(filename: &str, name: &str, version: &str, content: &[u8]) -> Upload {
        let filetype = if filename.ends_with(".whl") {
            "bdist_wheel"
        } else {
            "sdist"
        };
        let digest = Sha256::of(content).to_string();
        let fields: Vec<(String, String)> = [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("name", name),
            ("version", version),
            ("filetype", filetype),
            ("pyversion", "py3"),
            ("metadata_version", "2.1"),
            ("summary", "a test"),
            ("classifiers", "Topic :: Software Development"),
            ("classifiers", "Programming Language :: Python"),
            ("sha256_digest", &digest),
        ]
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .to_vec();
        Upload {
            before: fields.len(),
            fields,
            filename: filename.to_owned(),
            content: content.to_vec(),
        }
    }

    /// A wheel and its form.
    pub(crate) fn wheel(name: &str, version: &str) -> Upload {
        let content = super::distributions::wheel(name, version, 0);
        let filename = format!("{name}-{version}-py3-none-any.whl");
        Upload::new(&filename, name, version, &content)
    }

    pub(crate) fn with(mut self, field: &str, value: &str) -> Upload {
        self.fields.retain(|(name, _)| name != field);
        self.fields.push((field.to_owned(), value.to_owned()));
        self.before = self.fields.len();
        self
    }

    pub(crate) fn without(mut self, field: &str) -> Upload {
        self.fields.retain(|(name, _)| name != field);
        self.before = self.fields.len();
        self
    }

    pub(crate) fn and(mut self, field: &str, value: &str) -> Upload {
        self.fields.push((field.to_owned(), value.to_owned()));
        self.before = self.fields.len();
        self
    }

    pub(crate) fn form(&self) -> Form {
        let mut form = Form::new();
        let file = Part::bytes(self.content.clone()).file_name(self.filename.clone());
        let (before, after) = self.fields.split_at(self.before);
        for (field, value) in before {
            form = form.text(field.clone(), value.clone());
        }
        form = form.part("content", file);
        for (field, value) in after {
            form = form.text(field.clone(), value.clone());
        }
        form
    }

    pub(crate) async fn send(&self, index: &Index) -> Response {
        index
            .request(Method::POST, "/legacy/")
            .basic_auth("__token__", Some(&index.token))
            .multipart(self.form())
            .send()
            .await
            .unwrap()
    }

    /// Sends it, and expects it to be published.
    pub(crate) async fn publish(&self, index: &Index) {
        let answer = self.send(index).await;
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, 200, "{body}");
    }
}

/// What both kinds of uploaders get to see of an error.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
}

/// Takes an error apart, and checks that it is told in both places.
pub(crate) async fn told(answer: Response) -> Told {
    let status = answer.status().as_u16();
    let reason = answer
        .extensions()
        .get::<hyper::ext::ReasonPhrase>()
        .map(|reason| String::from_utf8(reason.as_bytes().to_vec()).unwrap())
        .unwrap_or_default();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let text = |member: &str| body[member].as_str().unwrap().to_owned();
    assert_eq!(body["status"], status);
    let told = Told {
        status,
        reason,
        title: text("title"),
        detail: text("detail"),
        hint: body["hint"].as_str().unwrap_or_default().to_owned(),
    };
    assert!(
        told.reason.is_ascii() && told.reason.len() <= 400,
        "{told:?}"
    );
    assert!(told.reason.starts_with(&told.title), "{told:?}");
    assert!(told.reason.len() > told.title.len() + 2, "{told:?}");
    told
}

/// The headers of the file's part, in a form whose boundary is `x`.
pub(crate) fn file_head() -> String {
    "--x\r\nContent-Disposition: form-data; name=\"content\"; \
     filename=\"flask-3.0-py3-none-any.whl\"\r\n\r\n"
        .to_owned()
}

/// Sends the first part of an upload over a connection of its own.
pub(crate) async fn begin(index: &Index, sent: usize, announced: usize) -> TcpStream {
    let address = index.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let credentials = {
        use base64::Engine as _;
        let plain = format!("__token__:{}", index.token);
        base64::engine::general_purpose::STANDARD.encode(plain)
    };
    let head = format!(
        "POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {announced}\r\n\r\n{}",
        file_head()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![0; sent]).await.unwrap();
    stream.flush().await.unwrap();
    stream
}
