//! Asking a service over HTTP: with limits on what it answers and on how long that takes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use url::{Host, Url};
use zeroize::Zeroizing;

/// Most bytes of an answer. A certificate with its chain has some 5,000, a log's entry some 10,000.
pub const MAX_ANSWER_LEN: usize = 128 * 1024;

/// Most characters that are told of what a service says of an error.
const MAX_MESSAGE_LEN: usize = 300;

/// How long a service is waited for, and how often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For one answer, from the connection to its last byte.
    pub answer: Duration,
    /// How often a request is sent while the service does not answer, or is out of order.
    pub attempts: u32,
    /// How long is waited before the second attempt; before each further one, three times as long.
    pub pause: Duration,
}

impl Default for Patience {
    /// 30 seconds for an answer, which is what other clients of Sigstore give it (its logs answer when
    /// the entry is merged, which takes seconds); three attempts, within two minutes altogether.
    fn default() -> Patience {
        Patience {
            answer: Duration::from_secs(30),
            attempts: 3,
            pause: Duration::from_secs(2),
        }
    }
}

/// Why a service gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Anybody on the way could read or answer.
    #[error("{url} is neither https nor on this machine")]
    Insecure {
        /// Where it would be.
        url: Url,
    },
    /// The client for it cannot be made.
    #[error("no connection can be made from here")]
    Client(#[source] reqwest::Error),
    /// It cannot be reached, or broke off.
    #[error("{place} cannot be reached, after {attempts} attempts")]
    Unreachable {
        /// The service's host.
        place: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        #[source]
        source: reqwest::Error,
    },
    /// It takes too long.
    #[error("{place} did not answer within {} seconds, {attempts} times", waited.as_secs_f32())]
    Slow {
        /// The service's host.
        place: String,
        /// How long an answer may take.
        waited: Duration,
        /// How often it was asked.
        attempts: u32,
    },
    /// It answered with an error.
    #[error("{place} answered {status}{}", said(message))]
    Status {
        /// The service's host.
        place: String,
        /// The HTTP status.
        status: u16,
        /// What it says of it, shortened.
        message: String,
    },
    /// More than anybody needs.
    #[error("{place} answered more than {limit} bytes")]
    TooLong {
        /// The service's host.
        place: String,
        /// How many are read.
        limit: usize,
    },
    /// Not what its API says.
    #[error("the answer of {place} is not what it should be")]
    Malformed {
        /// The service's host.
        place: String,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// Of the right form, and of no use.
    #[error("the answer of {place} {reason}")]
    Useless {
        /// The service's host.
        place: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {}", message.escape_debug())
    }
}

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    base: Url,
    client: Client,
    patience: Patience,
}

/// What came back with a status that the caller knows what to do with.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Service {
    pub(crate) fn new(
        base: Url,
        user_agent: &str,
        patience: Patience,
    ) -> Result<Service, ServiceError> {
        let here = is_loopback(&base);
        if base.scheme() != "https" && !(base.scheme() == "http" && here) {
            return Err(ServiceError::Insecure { url: base });
        }
        let builder = Client::builder()
            .user_agent(user_agent)
            .timeout(patience.answer)
            // A token must not be carried to wherever an answer points.
            .redirect(Policy::none());
        let builder = match (here, base.scheme()) {
            // No certificate is ever looked at.
            (true, "http") => builder.no_proxy().tls_certs_only([]),
            (true, _) => builder.no_proxy(),
            (false, _) => builder.https_only(true),
        };
        Ok(Service {
            base,
            client: builder.build().map_err(ServiceError::Client)?,
            patience,
        })
    }

    /// What people know it by: its host, and its port where that is not the usual one.
    pub(crate) fn place(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Sends JSON to a path below the service's address.
    pub(crate) async fn post(&self, path: &str, json: Bytes) -> Result<Answer, ServiceError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        self.ask(Method::POST, url, None, Some(json)).await
    }

    /// Reads what is at a path below the service's address.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, ServiceError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        self.ask(Method::GET, url, None, None).await
    }

    /// Reads the service's address itself, with one more parameter, showing a secret.
    pub(crate) async fn get_with(
        &self,
        parameter: (&str, &str),
        authorization: HeaderValue,
    ) -> Result<Answer, ServiceError> {
        let mut url = self.base.clone();
        url.query_pairs_mut().append_pair(parameter.0, parameter.1);
        self.ask(Method::GET, url, Some(authorization), None).await
    }

    /// Asks until there is an answer. Whatever is asked here may be asked twice.
    async fn ask(
        &self,
        method: Method,
        url: Url,
        authorization: Option<HeaderValue>,
        json: Option<Bytes>,
    ) -> Result<Answer, ServiceError> {
        let mut pause = self.patience.pause;
        let mut attempt = 1;
        loop {
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(authorization) = &authorization {
                request = request.header(reqwest::header::AUTHORIZATION, authorization.clone());
            }
            if let Some(json) = &json {
                request = request
                    .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                    .body(json.clone());
            }
            let outcome = self.once(request, attempt).await;
            let again = match &outcome {
                Ok(answer) => {
                    answer.status.is_server_error()
                        || answer.status == StatusCode::TOO_MANY_REQUESTS
                }
                Err(ServiceError::Unreachable { .. } | ServiceError::Slow { .. }) => true,
                Err(_) => false,
            };
            if !again || attempt >= self.patience.attempts {
                return outcome;
            }
            tracing::debug!(place = self.place(), attempt, "asking once more");
            tokio::time::sleep(pause).await;
            pause *= 3;
            attempt += 1;
        }
    }

    async fn once(
        &self,
        request: reqwest::RequestBuilder,
        attempts: u32,
    ) -> Result<Answer, ServiceError> {
        let failed = |error: reqwest::Error| {
            let source = error.without_url();
            if source.is_timeout() {
                ServiceError::Slow {
                    place: self.place(),
                    waited: self.patience.answer,
                    attempts,
                }
            } else {
                ServiceError::Unreachable {
                    place: self.place(),
                    attempts,
                    source,
                }
            }
        };
        let mut answer = request.send().await.map_err(failed)?;
        let location = answer.headers().get(LOCATION);
        let location = location.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        // Of its final size from the start: growing would leave copies of a secret behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_LEN));
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > MAX_ANSWER_LEN {
                return Err(ServiceError::TooLong {
                    place: self.place(),
                    limit: MAX_ANSWER_LEN,
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status: answer.status(),
            location,
            body,
        })
    }

    /// An answer that is an error, with what the service says of it.
    pub(crate) fn refused(&self, answer: &Answer) -> ServiceError {
        ServiceError::Status {
            place: self.place(),
            status: answer.status.as_u16(),
            message: message(&answer.body),
        }
    }
}

/// What a service says of an error: both services have it in `message`.
fn message(body: &[u8]) -> String {
    let said = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) => json["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    said.trim().chars().take(MAX_MESSAGE_LEN).collect()
}

/// As it is written: no name is looked up.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_in_no_clear_text() {
        let may =
            |url: &str| Service::new(url.parse().unwrap(), "test", Patience::default()).is_ok();
        assert!(
            may("https://fulcio.example") && may("http://127.0.0.1:1") && may("http://[::1]:1")
        );
        assert!(!may("http://fulcio.example") && !may("http://127.0.0.1.example"));
        assert!(!may("ftp://127.0.0.1"));
    }

    #[test]
    fn what_a_service_says_is_shortened() {
        assert_eq!(
            message(br#"{"code":3,"message":"no such issuer"}"#),
            "no such issuer"
        );
        assert_eq!(message(br#"{"code":3}"#), "");
        assert_eq!(message(b" <html>\n"), "<html>");
        assert_eq!(message(&[b'x'; 5000]).len(), MAX_MESSAGE_LEN);
    }
}
