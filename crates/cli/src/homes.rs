//! The indexes of a run, as the trust store and the configuration have them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use wheelmark_client::{
    Freshness, Homes, MapError, MapRule, Reader, ReaderOptions, RuleOrigin, TrustStore,
    TrustedIndex, Tunnel,
};
use wheelmark_provenance::policy::Policy;

use crate::commands::trust::{find, open_store, trusted};
use crate::configuration::{Configuration, FILE};
use crate::context::Context;
use crate::logging::{Hinted, WithHint as _};
use crate::policy::guard;
use crate::remote::{anonymous, credentials, remote};

/// How a command wants its indexes.
#[derive(Debug)]
pub(crate) struct HomesOptions<'a> {
    /// The one index that the person named, if they did.
    pub(crate) index: Option<&'a str>,
    /// When a newer state is asked for.
    pub(crate) freshness: Freshness,
    /// Whether the person asked for the stricter check of files.
    pub(crate) strict: bool,
    /// Who gets what is read.
    pub(crate) readers: Readers,
    /// What is asked of files beyond what is signed, and of who attests to them; nothing at all
    /// where files are only looked at.
    pub(crate) policy: Option<Policy>,
}

/// Who gets what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The person, so that private indexes are told their token.
    Person,
    /// Everybody on this machine who asks the proxy, so that they are not.
    Everybody,
}

/// Makes the readers of the trusted indexes, and the map of which answers for what. Nothing is
/// asked for over the network.
pub(crate) fn open_homes(context: &Context, options: HomesOptions<'_>) -> anyhow::Result<Homes> {
    open_homes_or(None, context, options)
}

/// The same, with an index for the case that none is trusted.
pub(crate) fn open_homes_or(
    configured: Option<TrustedIndex>,
    context: &Context,
    options: HomesOptions<'_>,
) -> anyhow::Result<Homes> {
    let homes = unguarded(configured, context, &options)?;
    let Some(policy) = options.policy else {
        return Ok(homes);
    };
    Ok(homes.guarded(guard(policy, context)?))
}

fn unguarded(
    configured: Option<TrustedIndex>,
    context: &Context,
    options: &HomesOptions<'_>,
) -> anyhow::Result<Homes> {
    let configuration = Configuration::load(context)?;
    tracing::debug!(strict = configuration.strict, tunnels = ?configuration.tunnel, "configured");
    let store = open_store(context)?;
    let remote = match options.readers {
        Readers::Person => remote(context)?,
        Readers::Everybody => {
            warn_of_tokens(&store, context)?;
            anonymous()?
        }
    };
    let reader = |index: TrustedIndex| {
        let options = ReaderOptions {
            freshness: options.freshness,
            strict: options.strict || configuration.strict,
        };
        let clock = context.clock.clone();
        Arc::new(Reader::new(index, remote.clone(), clock, options))
    };
    let rules = match options.index {
        Some(url) => {
            let named = find(&store, url)?;
            if configuration.system_rules().is_empty() {
                return Ok(Homes::only(reader(named)));
            }
            let mut rules = configuration.system_rules().to_vec();
            rules.push(everything_else_at(&named));
            rules
        }
        None => configuration.rules(),
    };
    let mut trusted = trusted(&store)?.into_iter();
    let Some(first) = trusted.next() else {
        // A rule names an index that is to be trusted first.
        return match configured.filter(|_| rules.is_empty()) {
            Some(index) => Ok(Homes::only(reader(index))),
            None => Err(none_trusted()),
        };
    };
    let others: Vec<_> = trusted.collect();
    if rules.is_empty() {
        if others.is_empty() {
            return Ok(Homes::only(reader(first)));
        }
        let example = example(&first, &others[0], context);
        return Err(anyhow!(
            "more than one index is trusted, and nothing says which one is whose home"
        ))
        .hint(example);
    }
    let homes = Homes::mapped(
        reader(first),
        others.into_iter().map(reader).collect(),
        rules,
    );
    homes.or_else(|error| {
        let hint = match &error {
            MapError::UnknownIndex { index, .. } => format!(
                "get its fingerprint by a way you trust, then: wheelmark trust add {index} --fingerprint SHA256"
            ),
            _ => "correct the rule; docs/several-indexes.md shows a whole map".to_owned(),
        };
        Err(error).hint(hint)
    })
}

/// Says of which indexes the token is not used.
fn warn_of_tokens(store: &TrustStore, context: &Context) -> anyhow::Result<()> {
    let credentials = credentials(context);
    for index in trusted(store)? {
        let index = index.urls().simple();
        if credentials.has_one_for(index) {
            tracing::warn!(%index, "every user of this machine can ask the proxy, so it does not use your token: read a private index with `wheelmark exec`");
        }
    }
    Ok(())
}

/// The hosts that may be reached unverified where the proxy answers for real URLs.
pub(crate) fn tunnels(context: &Context) -> anyhow::Result<Vec<Tunnel>> {
    let listed = Configuration::load(context)?.tunnel;
    listed
        .iter()
        .map(|host| host.parse())
        .collect::<Result<_, _>>()
        .hint("`tunnel` lists hosts as `host` or `host:port`, without patterns")
}

/// One index alone: the one named, or the only one that is trusted.
pub(crate) fn choose(store: &TrustStore, named: Option<&str>) -> anyhow::Result<TrustedIndex> {
    if let Some(url) = named {
        return find(store, url);
    }
    let mut trusted = trusted(store)?;
    match (trusted.pop(), trusted.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(none_trusted()),
        (Some(_), false) => Err(anyhow!("more than one index is trusted"))
            .hint("name one with --index URL; `wheelmark trust list` shows them"),
    }
}

fn none_trusted() -> anyhow::Error {
    anyhow!("no index is trusted yet").context(Hinted {
        hint: "get an index's fingerprint by a way you trust, then: wheelmark trust add URL --fingerprint SHA256; or use one that nobody signs, and be told so: wheelmark trust add https://pypi.org/simple/ --unsigned".to_owned(),
    })
}

/// The rule that `--index` stands for beside rules that it cannot undo.
fn everything_else_at(index: &TrustedIndex) -> MapRule {
    MapRule {
        origin: RuleOrigin {
            file: PathBuf::from("--index"),
            number: 1,
        },
        projects: vec!["*".to_owned()],
        indexes: vec![index.urls().simple().clone()],
        threshold: 1,
        terminating: true,
    }
}

/// What to do about two indexes, with a map to paste.
fn example(first: &TrustedIndex, second: &TrustedIndex, context: &Context) -> String {
    format!(
        "name one with --index URL, or say in {} which projects live where:

[[map]]
projects = [\"acme-*\"]
indexes = [\"{}\"]

[[map]]
projects = [\"*\"]
indexes = [\"{}\"]
",
        context.configuration.join(FILE).display(),
        first.urls().simple(),
        second.urls().simple(),
    )
}
