//! The HTTP clients of a run, each made when it is first needed: most runs talk to one index in
//! one way, and reading the system's certificates takes longer than a small answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use url::Url;

use super::{FetchError, MAX_REDIRECTS, is_loopback, same_place};

/// What a client does with `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    /// Yields what was encoded.
    Decoded,
    /// Passes bytes as they are.
    AsItIs,
}

/// How the other side is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// On this machine, in the open: no certificate is ever looked at.
    LoopbackHttp,
    /// On this machine, without the proxy of the environment.
    Loopback,
    /// By the usual proxy variables.
    Elsewhere,
}

impl Way {
    fn to(url: &Url) -> Self {
        match (is_loopback(url), url.scheme()) {
            (true, "http") => Self::LoopbackHttp,
            (true, _) => Self::Loopback,
            (false, _) => Self::Elsewhere,
        }
    }
}

/// Clones share what was made, and its connections.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    user_agent: String,
    connect_timeout: Duration,
    made: Arc<Mutex<HashMap<(Way, Coding), Client>>>,
}

impl Clients {
    /// Makes the one client that costs next to nothing, which tells whether `user_agent` can
    /// be sent.
    pub(super) fn new(user_agent: &str, connect_timeout: Duration) -> Result<Self, FetchError> {
        let clients = Self {
            user_agent: user_agent.to_owned(),
            connect_timeout,
            made: Arc::default(),
        };
        clients.get(Way::LoopbackHttp, Coding::Decoded)?;
        Ok(clients)
    }

    /// The client for a URL.
    ///
    /// # Errors
    ///
    /// [`FetchError::Client`] when the TLS set-up fails.
    pub(super) fn of(&self, url: &Url, coding: Coding) -> Result<Client, FetchError> {
        self.get(Way::to(url), coding)
    }

    fn get(&self, way: Way, coding: Coding) -> Result<Client, FetchError> {
        // Every change is complete in itself.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&(way, coding)) {
            return Ok(client.clone());
        }
        let client = self
            .builder(way, coding)
            .build()
            .map_err(FetchError::Client)?;
        made.insert((way, coding), client.clone());
        Ok(client)
    }

    fn builder(&self, way: Way, coding: Coding) -> ClientBuilder {
        // Without certificates, https is not an improvement but an end.
        let may_upgrade = way != Way::LoopbackHttp;
        let builder = Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .redirect(Policy::custom(move |attempt| {
                let inside = attempt.previous().first().is_some_and(|first| {
                    same_place(first, attempt.url())
                        && (may_upgrade || first.scheme() == attempt.url().scheme())
                });
                if inside && attempt.previous().len() <= MAX_REDIRECTS {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }));
        let builder = match way {
            Way::LoopbackHttp => builder.no_proxy().tls_certs_only([]),
            Way::Loopback => builder.no_proxy(),
            Way::Elsewhere => builder,
        };
        match coding {
            Coding::Decoded => builder,
            Coding::AsItIs => builder.no_gzip().no_zstd(),
        }
    }
}
