//! Where a copy's trust comes from: its own store, the user's, or what the first run is given.

use anyhow::{Context as _, anyhow};
use wheelmark_client::{
    AddError, Beginning, IndexUrls, Mirror, TrustedIndex, Turn, Upstream, add_trust,
};
use wheelmark_mirror::CopyFolder;
use wheelmark_tuf::Sha256;

use super::{Args, REFUSED, UNAVAILABLE, USAGE};
use crate::commands::trust::open_store;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::{anonymous, credentials, remote};

/// The index to copy, and everywhere that it is to be had. The inner error is the index's, with
/// the exit code that tells of it.
pub(super) async fn upstream(
    args: &Args,
    place: &CopyFolder,
    context: &Context,
) -> anyhow::Result<Result<Upstream, (u8, anyhow::Error)>> {
    let from = args.from.iter().map(|base| {
        Mirror::new(Some(base), None, None, Turn::Before)
            .with_context(|| format!("--from {base} cannot be used"))
    });
    let from: Vec<Mirror> = match from.collect() {
        Ok(from) => from,
        Err(error) => return Ok(Err((USAGE, error))),
    };
    let urls = match IndexUrls::new(&args.url, None, None) {
        Ok(urls) => urls,
        Err(error) => return Ok(Err((USAGE, error.into()))),
    };
    let remote = remote(context)?;
    if let Some(known) = place.trust().find(urls.simple())? {
        demand_the_same(args, &known)?;
        return Ok(Ok(Upstream::with_mirrors(known, from, remote)));
    }
    if let Some(other) = place.trust().list()?.first() {
        return Err(anyhow!(
            "{} is a copy of {}, and not of {}",
            args.dir.display(),
            other.urls().simple(),
            urls.simple()
        ))
        .hint("take another directory; a copy that has moved is named with --from BASE");
    }
    let (urls, beginning) = beginning(args, urls, context)?;
    let all = [urls.mirrors(), &from].concat();
    let urls = urls.with_mirrors(all);
    let now = context.clock.now();
    match add_trust(place.trust(), &remote, urls, beginning, now).await {
        Ok(trusted) => Ok(Ok(Upstream::with_mirrors(trusted, from, remote))),
        Err(error) => {
            let code = match &error {
                AddError::Fetch(_) | AddError::NoRoot { .. } => UNAVAILABLE,
                AddError::Refresh(failure) if !failure.is_refusal() => UNAVAILABLE,
                AddError::Trust(_) | AddError::NotHttps { .. } | AddError::NotARoot { .. } => 1,
                _ => REFUSED,
            };
            let error = Err::<(), _>(error)
                .hint(
                    "nothing was copied; see that the URL and what you were given belong together",
                )
                .expect_err("it is an error");
            Ok(Err((code, error)))
        }
    }
}

/// Refuses what is not open to everybody: a copy that is served would be. It is asked only where a
/// token would be sent; without one, nothing that is closed is copied.
pub(super) async fn demand_open(url: &str, context: &Context) -> anyhow::Result<()> {
    let Ok(urls) = IndexUrls::new(url, None, None) else {
        return Ok(());
    };
    let timestamp = urls.metadata_url("timestamp.json");
    if !credentials(context).has_one_for(&timestamp) {
        return Ok(());
    }
    match anonymous()?.stated_length(&timestamp).await {
        Ok(Some(_)) => Ok(()),
        // Some say that what is closed is not there.
        Ok(None) | Err(_) => Err(anyhow!(
            "{} is not read without a token, and a copy that is served here would be",
            urls.simple()
        ))
        .hint(
            "serve the directory with a web server that asks for a password, or say --serve-openly where only those who may read it reach the address",
        ),
    }
}

/// What the first run goes by.
fn beginning(
    args: &Args,
    urls: IndexUrls,
    context: &Context,
) -> anyhow::Result<(IndexUrls, Beginning)> {
    if let Some(from) = &args.root {
        let bytes =
            std::fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
        let from = from.clone();
        return Ok((urls, Beginning::Root { bytes, from }));
    }
    if let Some(fingerprint) = args.fingerprint {
        return Ok((urls, Beginning::Fingerprint(fingerprint)));
    }
    let store = open_store(context)?;
    let Some(trusted) = store.find(urls.simple())? else {
        return Err(anyhow!("{} is not a trusted index", urls.simple())).hint(format!(
            "get its fingerprint by a way you trust, then: wheelmark mirror {} {} --fingerprint SHA256",
            urls.simple(),
            args.dir.display()
        ));
    };
    let handed_over = trusted.hand_over(context.clock.now())?;
    let urls = trusted.urls().clone();
    Ok((urls, Beginning::HandedOver(Box::new(handed_over))))
}

/// What is given again must be what trust began with, or a root that it has come through.
fn demand_the_same(args: &Args, known: &TrustedIndex) -> anyhow::Result<()> {
    let given = match (&args.root, args.fingerprint) {
        (Some(file), _) => {
            let bytes = std::fs::read(file)
                .with_context(|| format!("could not read {}", file.display()))?;
            Some(wheelmark_tuf::root_fingerprint(&bytes).context("it is not a root")?)
        }
        (None, fingerprint) => fingerprint,
    };
    let Some(given) = given else {
        return Ok(());
    };
    let record = known.record();
    let knows = |fingerprint: Sha256| -> anyhow::Result<bool> {
        Ok(record.first_root_fingerprint == fingerprint
            || known.state()?.root_fingerprint == fingerprint
            || known.has_passed(&fingerprint)?)
    };
    if knows(given)? {
        return Ok(());
    }
    Err(anyhow!(
        "{} trusts this index by another root: {}",
        args.dir.display(),
        record.first_root_fingerprint
    ))
    .hint("leave out --root and --fingerprint: trust began at the first run, and follows the index's signed changes")
}
