//! The exchange itself.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use wheelmark_store::{Exchange, Exchanged, MintedToken, format_token};
use wheelmark_tuf::{Sha256, without_controls};
use zeroize::Zeroizing;

use super::claims::{Origin, judge};
use super::identity_token::{Claims, Presented};
use super::publisher::TrustedPublisher;
use super::refusal::{Refusal, json_answer};
use super::{Exchanging, How};
use crate::client_address::From;
use crate::problem::chain;

/// Longest request, in bytes: identity tokens have 1 to 5 kB.
pub const MAX_BODY: usize = 32 * 1024;

/// How long an upload token is good that was given for an identity token: as long as PyPI's, and the
/// least that the draft of PEP 807 allows.
pub const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(15);

/// How long a request may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Longest name of an issuer that is told.
const MAX_ISSUER_TOLD: usize = 200;

/// Longest text about where a token comes from, in bytes; the audit log keeps as much.
const MAX_SHOWN: usize = 400;

#[derive(Deserialize)]
struct Payload {
    token: Zeroizing<String>,
}

/// `POST /_/oidc/mint-token`.
pub(crate) async fn mint(State(exchanging): State<Exchanging>, request: Request) -> Response {
    let from = From::of(request.extensions());
    match exchange(&exchanging, request.into_body(), from).await {
        Ok((text, expires_at)) => json_answer(&json!({
            "success": true,
            "token": text.as_str(),
            "expires": expires_at.as_second(),
        })),
        Err(refusal) => {
            let refusal = counted(&exchanging, refusal, from).await;
            tracing::info!(refusal = chain(&refusal), "refused an identity token");
            refusal.into_response()
        }
    }
}

/// `POST /_/oidc/burn-token`: ends an upload token before its time. What was presented is not told,
/// as PyPI does not tell it.
pub(crate) async fn burn(State(exchanging): State<Exchanging>, request: Request) -> Response {
    if let Ok(Payload { token }) = payload(request.into_body()).await {
        let now = exchanging.clock.now();
        match exchanging.store.burn(&token, now).await {
            Ok(true) => tracing::info!("an upload token was ended by whoever had it"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = chain(&error), "an upload token could not be ended");
            }
        }
    }
    (StatusCode::ACCEPTED, json_answer(&json!({}))).into_response()
}

/// Counts what a stranger did wrong, and writes it down.
async fn counted(exchanging: &Exchanging, refusal: Refusal, from: From) -> Refusal {
    if refusal.is_of_the_index() || matches!(refusal, Refusal::NotEnabled) {
        return refusal;
    }
    let why = chain(&refusal);
    match exchanging.door.exchange_refused(&why, from).await {
        Ok(()) => refusal,
        Err(wait) => Refusal::TooMany { wait },
    }
}

async fn payload(body: Body) -> Result<Payload, Refusal> {
    let malformed = || Refusal::Payload { limit: MAX_BODY };
    let reading = tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await;
    let body = reading.map_err(|_| malformed())?.map_err(|_| malformed())?;
    serde_json::from_slice(&body).map_err(|_| malformed())
}

async fn exchange(
    exchanging: &Exchanging,
    body: Body,
    from: From,
) -> Result<(Zeroizing<String>, Timestamp), Refusal> {
    let how = exchanging.how.as_ref().ok_or(Refusal::NotEnabled)?;
    let Payload { token } = payload(body).await?;
    let now = exchanging.clock.now();
    let presented = Presented::read(&token)?;
    let issuer = presented.issuer.as_str();
    let kind = how.publishing.issuers.kind_of(issuer);
    let kind = kind.ok_or_else(|| Refusal::Issuer {
        issuer: issuer[..issuer.floor_char_boundary(MAX_ISSUER_TOLD)].to_owned(),
    })?;
    // Nobody is asked for keys that no project needs.
    if !exchanging.store.knows_issuer(issuer).await? {
        let shown = format!("anybody of {issuer}");
        return Err(Refusal::Nobody { shown });
    }
    let key = how.keys.key(issuer, &presented.kid, now).await?;
    // The issuer may have taken its time.
    let now = exchanging.clock.now();
    let claims = presented.verify(&key, &how.publishing.audience, now)?;

    let origin = Origin::of(kind, &claims).map_err(Refusal::Origin)?;
    let store = &exchanging.store;
    let listed = store.publishers_at(issuer, &origin.place, now).await?;
    let (mut publishers, mut unlike) = (Vec::new(), Vec::new());
    let mut name = None;
    for row in listed {
        let Some(publisher) = TrustedPublisher::from_json(&row.identity) else {
            tracing::warn!(id = %row.id, "a publisher was written by a later version, and is passed over");
            continue;
        };
        // Listed while its issuer was of another kind: what its tokens say was read otherwise.
        if publisher.issuer_kind() != kind {
            continue;
        }
        match judge(&publisher, issuer, &claims) {
            Ok(()) => {
                name.get_or_insert_with(|| publisher.to_string());
                publishers.push(row);
            }
            Err(why) => unlike.push((publisher.to_string(), why)),
        }
    }
    let Some(name) = name else {
        let others = unlike.len().saturating_sub(1);
        return Err(match unlike.into_iter().next() {
            Some(first) => Refusal::Unlike { first, others },
            None => Refusal::Nobody {
                shown: format!("`{}` of {issuer}", origin.place.escape_debug()),
            },
        });
    };
    let shown = shown(&name, &claims);
    let (text, minted) = new_token(how, now)?;
    let expires_at = minted.expires_at;
    let exchange = Exchange {
        issuer,
        digest: claims.digest(),
        until: claims.until(),
        account: origin.account.as_deref(),
        publishers: &publishers,
        token: minted,
        shown: &shown,
    };
    let Exchanged {
        token,
        projects,
        made,
        ..
    } = store.exchange(&exchange, from.0, now).await?;
    let projects: Vec<&str> = projects.iter().map(|project| project.as_str()).collect();
    tracing::info!(
        %token,
        publisher = name,
        projects = projects.join(" "),
        made = made.len(),
        "exchanged an identity token"
    );
    Ok((text, expires_at))
}

/// An upload token, and what is kept of it.
fn new_token(how: &How, now: Timestamp) -> Result<(Zeroizing<String>, MintedToken), Refusal> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    let mut distinct = [0_u8; 8];
    let secrets = &how.publishing.secrets;
    let filled = secrets.fill(secret.as_mut_slice());
    filled
        .and_then(|()| secrets.fill(&mut distinct))
        .map_err(Refusal::Secrets)?;
    let text = Zeroizing::new(format_token(&secret));
    // To the second, as it is told, and no less than promised.
    let second = Timestamp::from_second(now.as_second().saturating_add(1)).unwrap_or(now);
    let minted = MintedToken {
        distinct: hex::encode(distinct),
        secret_sha256: Sha256::of(text.as_bytes()),
        expires_at: second.saturating_add(TOKEN_LIFE).unwrap_or(second),
    };
    Ok((text, minted))
}

/// What a token says about the run that it is of, for people who look for it later.
fn shown(publisher: &str, claims: &Claims) -> String {
    let told = [
        "ref",
        "ref_path",
        "sha",
        "run_id",
        "pipeline_id",
        "job_id",
        "actor",
        "user_login",
    ];
    let told = told.iter().filter_map(|claim| {
        let value = claims.text(claim)?;
        Some(format!(", {claim} {}", without_controls(value)))
    });
    let mut text = publisher.to_owned();
    text.extend(told);
    text.truncate(text.floor_char_boundary(MAX_SHOWN));
    text
}
