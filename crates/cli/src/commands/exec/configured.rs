//! The index for a run in which no index is trusted and none was named: the one that pip or uv is
//! configured for. Nobody signs it, which the person is told once.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use anyhow::anyhow;
use owo_colors::{OwoColorize as _, Stream::Stderr};
use wheelmark_client::installer::{
    ConfiguredIndex, Surroundings, configured_index, without_secrets,
};
use wheelmark_client::{ConfiguredUse, IndexUrls, NotUsed, TrustedIndex, UrlError};
use wheelmark_tuf::without_controls;

use super::around_here;
use crate::commands::setup::marks;
use crate::commands::trust::{open_store, trusted};
use crate::configuration::Configuration;
use crate::context::Context;
use crate::logging::{Hinted, WithHint as _};

/// An index that nobody chose.
pub(crate) struct Configured {
    /// The index.
    pub(crate) index: TrustedIndex,
    /// What names it.
    pub(crate) used: ConfiguredUse,
}

/// The index that a command would ask by itself, where nothing says which one is to be asked; none
/// where an index is trusted or a map is written, which are never gone by.
pub(crate) async fn where_none_is_trusted(
    command: &[OsString],
    context: &Context,
) -> anyhow::Result<Option<Configured>> {
    let store = open_store(context)?;
    // A map means indexes that are to be trusted first.
    if !trusted(&store)?.is_empty() || !Configuration::load(context)?.rules().is_empty() {
        return Ok(None);
    }
    let found = around_here(|around| {
        // What `wheelmark setup` wrote names a proxy, and not the person's index.
        let read = |path: &Path| {
            let text = (around.read)(path)?;
            Some(marks::strip(&text).unwrap_or(text))
        };
        configured_index(
            command,
            &Surroundings {
                read: &read,
                ..*around
            },
        )
    })?
    .hint("name the one that is meant: --index URL, after wheelmark trust add URL")?;
    let urls = IndexUrls::new(&found.url, None, None).map_err(|error| unusable(error, &found))?;
    let (index, is_new) = store
        .use_configured(urls, context.clock.now())
        .await
        .map_err(|error| match hint_on(&error) {
            Some(hint) => anyhow::Error::from(error).context(Hinted { hint }),
            None => error.into(),
        })?;
    let used = ConfiguredUse {
        index: index.urls().simple().to_string(),
        by: found.by.clone(),
        first_time: is_new,
    };
    if is_new {
        let text = told(&used, &found);
        // Standard error that is gone is no reason to fail.
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
    }
    Ok(Some(Configured { index, used }))
}

/// What names the index, in words.
pub(super) fn why(by: Option<&str>) -> String {
    match by {
        Some(by) => format!("{} names it", without_controls(by)),
        None => "nothing names another one".to_owned(),
    }
}

/// What a person reads once of each index.
fn told(used: &ConfiguredUse, found: &ConfiguredIndex) -> String {
    let word = "NOT SIGNED"
        .if_supports_color(Stderr, |t| t.yellow())
        .to_string();
    let hint = "hint:".if_supports_color(Stderr, |t| t.cyan()).to_string();
    let mut text = format!(
        "wheelmark: no index is trusted, so packages come from {} ({}), which is {word}
  Its files are held against the sha256 on its own pages, against your policy, and against who
  attested to their projects before. Whoever controls the index decides what stands on its pages.
",
        used.index,
        why(used.by.as_deref()),
    );
    for other in &found.others {
        text.push_str(&format!(
            "  Not asked, since nothing says which projects are whose: {}\n",
            without_controls(other)
        ));
    }
    text.push_str(&format!(
        "  {hint} this is said once; an index that is signed is trusted by its fingerprint: wheelmark trust add URL --fingerprint SHA256\n"
    ));
    text
}

fn unusable(error: UrlError, found: &ConfiguredIndex) -> anyhow::Error {
    let by = found.by.as_deref().unwrap_or("nothing");
    let hint = match &error {
        UrlError::Credentials { .. } => {
            "take the name and password out of the URL and put them into ~/.netrc, which is asked for its host alone; or name another index with --index URL"
        }
        UrlError::NotAUrl { .. } | UrlError::NotHttp { .. } | UrlError::Query { .. } => {
            "name the index to install from: wheelmark trust add URL, then --index URL"
        }
    };
    let url = without_secrets(&found.url);
    let error = match error {
        UrlError::NotAUrl { .. } => anyhow!("`{url}` is not a URL"),
        error => error.into(),
    };
    error
        .context(format!("the index that {by} names cannot be used"))
        .context(Hinted {
            hint: hint.to_owned(),
        })
}

fn hint_on(error: &NotUsed) -> Option<String> {
    match error {
        NotUsed::Chosen { known, ended: true } => Some(format!(
            "ask whoever runs this machine; to go on without it: wheelmark trust remove {known}"
        )),
        NotUsed::OnceSigned { index, known } => Some(format!(
            "trust it again: wheelmark trust add {known} --fingerprint SHA256; or say that you want {index} unsigned: wheelmark trust add {index} --unsigned"
        )),
        NotUsed::InTheOpen { .. } => {
            Some("anybody on the way could answer in its place: configure its https URL".to_owned())
        }
        NotUsed::Chosen { .. } => Some("start it again".to_owned()),
        NotUsed::Store(_) => None,
    }
}
