//! `wheelmark trust`: which indexes are believed, and since when.

mod claims;
mod handing_over;
mod identities;
mod mirror;
mod recovered;
mod replacing;
mod sigstore;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use wheelmark_client::{
    AddError, Began, Beginning, IndexRecord, IndexUrls, RoleState, TrustError, TrustStore,
    TrustedIndex, add_trust, system_indexes,
};
use wheelmark_tuf::Sha256;

use crate::context::Context;
use crate::logging::{Hinted, WithHint as _};
use crate::remote::remote;

/// The name under which requests are made.
pub(crate) const USER_AGENT: &str = concat!("wheelmark/", env!("CARGO_PKG_VERSION"));

/// Say which indexes to trust, and look at what is trusted
///
/// Trust begins once for each index; from then on its keys follow the index's own signed
/// changes. It is kept in the user's data directory (WHEELMARK_HOME moves it). `sigstore` is about
/// those whose word counts for attestations.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(Box<AddArgs>),
    /// List the trusted indexes
    List {
        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show what is known about one trusted index
    Show {
        /// The index's simple URL
        url: String,

        /// Print a JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    Claims(claims::Args),
    Identities(identities::Args),
    Mirror(mirror::Args),
    Export(handing_over::ExportArgs),
    Import(handing_over::ImportArgs),
    Sigstore(sigstore::Args),
    /// Stop trusting an index, and forget what was kept about it
    Remove {
        /// The index's simple URL
        url: String,
    },
}

/// Begin to trust an index
///
/// Say how its first root is known: by the root file itself, by a fingerprint that came by
/// another way than the index, or by believing the first answer (https only; plain http is
/// accepted from this very machine, for trying out). Or say that nobody signs it.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "wheelmark trust add <--root FILE|--fingerprint SHA256|--first-use|--unsigned> <URL>"
)]
struct AddArgs {
    /// The index's simple URL, as pip and uv take it
    url: String,

    #[command(flatten)]
    beginning: BeginningArgs,

    /// Where the metadata is [default: ../metadata/ beside the simple URL]
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,

    /// Where pages and files are [default: ../targets/ beside the simple URL]
    #[arg(long, value_name = "URL")]
    targets_url: Option<String>,

    /// A mirror: the base of a copy of the index's tree; may be repeated. Metadata and files
    /// come from it where the index itself does not have them as they were signed
    #[arg(long, value_name = "BASE")]
    mirror: Vec<String>,

    /// Go on from another root of an index that is trusted already: it has lost so many of its root
    /// keys that no signature leads from the one to the other. What you have said yourself of its
    /// projects stays. The fingerprint has to come from its people by a way on which you know them,
    /// and not from the index, a page, or a mail that asks for this
    #[arg(long, conflicts_with_all = ["first_use", "unsigned", "metadata_url", "targets_url", "mirror"])]
    replace: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct BeginningArgs {
    /// A root file that you were given
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,

    /// The sha256 of a root's canonical signed part, as `wheelmark up` prints it
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    fingerprint: Option<Sha256>,

    /// Believe the first answer
    #[arg(long)]
    first_use: bool,

    /// Use the index although nobody signs it, as PyPI today: files are held against the digests
    /// on its pages, the map and your policy, and every run says that it is not signed
    #[arg(long)]
    unsigned: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = open_store(context)?;
    match args.command {
        Command::Sigstore(args) => sigstore::run(args, context).await,
        Command::Add(args) => add(*args, &store, context).await,
        Command::List { json } => list(&store, json),
        Command::Show { url, json } => show(&find_known(&store, &url)?, json),
        Command::Export(args) => handing_over::export(&args, &store, context),
        Command::Import(args) => handing_over::import(&args, &store, context).await,
        Command::Claims(args) => claims::run(args, &store).await,
        Command::Identities(args) => identities::run(args, &store, context).await,
        Command::Mirror(args) => mirror::run(args, &store, context).await,
        Command::Remove { url } => remove(&store, &url).await,
    }
}

/// Opens the user's trust store.
pub(crate) fn open_store(context: &Context) -> anyhow::Result<TrustStore> {
    let store = TrustStore::open(&context.home);
    match store {
        Err(error @ TrustError::Exposed { .. }) => {
            let hint = "whoever can write there decides what you trust: look at what is in it, then chmod 700 it";
            Err(error).hint(hint)
        }
        other => with_system(other?, context),
    }
}

/// The store with what the system's administrator says.
fn with_system(store: TrustStore, context: &Context) -> anyhow::Result<TrustStore> {
    let directory = context.system.join("indexes");
    system_indexes(&directory, &context.system_owners)
        .and_then(|system| store.with_system(system, whole_seconds(context.clock.now())))
        .hint("what stands there decides what every user trusts: it must be root's, and writable by root alone")
}

/// Without the fraction of a second.
fn whole_seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Every trusted index, ordered by URL.
pub(crate) fn trusted(store: &TrustStore) -> anyhow::Result<Vec<TrustedIndex>> {
    store.list().map_err(against_the_system)
}

/// An error of the store, with what to do where the user's trust is not the system's.
fn against_the_system(error: TrustError) -> anyhow::Error {
    match hint_on(&error) {
        Some(hint) => anyhow::Error::from(error).context(Hinted { hint }),
        None => error.into(),
    }
}

fn hint_on(error: &TrustError) -> Option<String> {
    let TrustError::Conflict { index, .. } = error else {
        return None;
    };
    Some(format!(
        "find out which of the two is right; to go by the system's: wheelmark trust remove {index}"
    ))
}

/// The index of this URL that something is kept of: a trusted one, or one that pip or uv is
/// configured for and that was used.
fn find_known(store: &TrustStore, url: &str) -> anyhow::Result<TrustedIndex> {
    let urls = IndexUrls::new(url, None, None)?;
    let mut configured = store.configured()?.into_iter();
    match configured.find(|index| index.urls().simple() == urls.simple()) {
        Some(index) => Ok(index),
        None => find(store, url),
    }
}

/// The trusted index of this URL, or how to make it one.
pub(crate) fn find(store: &TrustStore, url: &str) -> anyhow::Result<TrustedIndex> {
    let urls = IndexUrls::new(url, None, None)?;
    match store.find(urls.simple()).map_err(against_the_system)? {
        Some(index) => Ok(index),
        None => Err(anyhow::anyhow!("{} is not a trusted index", urls.simple())).hint(format!(
            "get its fingerprint by a way you trust, then: wheelmark trust add {} --fingerprint SHA256 (`wheelmark trust list` shows what is trusted)",
            urls.simple()
        )),
    }
}

async fn add(args: AddArgs, store: &TrustStore, context: &Context) -> anyhow::Result<ExitCode> {
    let urls = IndexUrls::new(
        &args.url,
        args.metadata_url.as_deref(),
        args.targets_url.as_deref(),
    )?
    .with_mirrors(mirror::of_bases(&args.mirror)?);
    let simple = urls.simple().clone();
    if args.beginning.unsigned {
        return add_unsigned(store, urls, context).await;
    }
    let beginning = match args.beginning {
        BeginningArgs {
            root: Some(from), ..
        } => Beginning::Root {
            bytes: std::fs::read(&from)
                .with_context(|| format!("could not read {}", from.display()))?,
            from,
        },
        BeginningArgs {
            fingerprint: Some(fingerprint),
            ..
        } => Beginning::Fingerprint(fingerprint),
        BeginningArgs { .. } => Beginning::FirstUse,
    };
    let remote = remote(context)?;
    if args.replace {
        return replacing::replace(store, &remote, simple, beginning, context).await;
    }
    let added = add_trust(store, &remote, urls, beginning, context.clock.now()).await;
    let index = match added {
        Ok(index) => index,
        Err(error) => {
            let hint = explain(&error, &simple);
            return Err(error).hint(hint);
        }
    };
    let record = index.record();
    let mut text = format!(
        "{simple} is trusted, from root version {} on.\n",
        record.first_root_version
    );
    if matches!(
        record.began,
        Began::FirstUse | Began::FirstUseOverLoopbackHttp
    ) {
        text.push_str(&format!(
            "That was believed as it came. Compare its fingerprint with whoever runs the index:\n  {}\n",
            record.first_root_fingerprint
        ));
    }
    if record.began == Began::FirstUseOverLoopbackHttp {
        text.push_str("It came over plain http from this machine: good for trying out.\n");
    }
    print(&text)?;
    for listed in index.urls().mirrors() {
        mirror::tell_state(&index, listed, &remote, context).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn add_unsigned(
    store: &TrustStore,
    urls: IndexUrls,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let simple = urls.simple().clone();
    if !urls.mirrors().is_empty() {
        return Err(anyhow!("{simple} cannot have mirrors without signatures"))
            .hint("nothing would tell whether a mirror says what the index says");
    }
    if !urls.all_https_or_loopback() {
        return Err(anyhow!("{simple} is reached by plain http, and not signed"))
            .hint("anybody on the way could answer in its place: use its https URL");
    }
    if let Err(error) = store.add_unsigned(urls, context.clock.now()).await {
        return Err(error).hint(format!("to begin anew: wheelmark trust remove {simple}"));
    }
    print(&format!(
        "{simple} is used from now on, although it is NOT SIGNED: its files are held against the digests on its own pages, and against your policy. Whoever controls it decides what stands there.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn explain(error: &AddError, simple: &url::Url) -> String {
    match error {
        AddError::NotHttps { .. } => format!(
            "without https anybody on the way can answer; get the fingerprint from whoever runs the index: wheelmark trust add {simple} --fingerprint SHA256"
        ),
        AddError::NotARoot { .. } => {
            "a root file is the index's N.root.json, unchanged".to_owned()
        }
        AddError::NoRoot { .. } => format!(
            "is {simple} a signed index? Its metadata may be elsewhere: --metadata-url"
        ),
        AddError::NoSuchRoot { .. } => {
            "compare the fingerprint with whoever runs the index; if it is right, this is not that index".to_owned()
        }
        AddError::BadRoot { .. } => {
            "tell whoever runs the index, with this message".to_owned()
        }
        AddError::Fetch(_) => "check the URL, and that the index can be reached".to_owned(),
        AddError::Refresh(failure) if !failure.is_refusal() => "check the URL, and that the index or a mirror can be reached".to_owned(),
        AddError::Refresh(_) => {
            "nothing was stored; if the index is up to date, tell whoever runs it, with this message".to_owned()
        }
        AddError::Trust(TrustError::AlreadyTrusted { .. }) => format!(
            "if its people have begun anew with another root, and you have its fingerprint from them: wheelmark trust add --replace {simple} --fingerprint SHA256; to forget all that is known of it: wheelmark trust remove {simple}"
        ),
        AddError::Trust(_) => "WHEELMARK_HOME moves the trust store".to_owned(),
    }
}

fn list(store: &TrustStore, json: bool) -> anyhow::Result<ExitCode> {
    let indexes = [trusted(store)?, store.configured()?].concat();
    if json {
        let records: Vec<_> = indexes
            .iter()
            .map(|index| {
                let mut record = record_json(index.record());
                let unusable = index.demand_agreement().err();
                record["cannot_be_used"] = unusable.map(|error| error.to_string()).into();
                record
            })
            .collect();
        return print_json(&records.into());
    }
    let mut text = String::new();
    for index in &indexes {
        let record = index.record();
        text.push_str(&format!(
            "{}  {}, since {}\n",
            record.urls.simple(),
            record.began,
            record.trusted_since.strftime("%Y-%m-%d")
        ));
        text.push_str(&mirror::lines(record.urls.mirrors(), "  mirror "));
        if let Err(error) = index.demand_agreement() {
            text.push_str(&format!("  cannot be used: {error}\n"));
            if let Some(hint) = hint_on(&error) {
                text.push_str(&format!("  hint: {hint}\n"));
            }
        }
    }
    if indexes.is_empty() {
        text.push_str("No index is trusted yet: see `wheelmark trust add --help`.\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What is on record of how trust began.
fn record_json(record: &IndexRecord) -> serde_json::Value {
    let signed = record.is_signed();
    serde_json::json!({
        "index_url": record.urls.simple().as_str(),
        "metadata_url": record.urls.metadata().as_str(),
        "targets_url": record.urls.targets().as_str(),
        "trust_began": record.began.to_string(),
        "trusted_since": record.trusted_since.to_string(),
        "signed": signed,
        "first_root_version": signed.then_some(record.first_root_version),
        "first_root_fingerprint": signed.then(|| record.first_root_fingerprint.to_string()),
        "mirrors": mirror::to_json(record.urls.mirrors()),
    })
}

fn role_json(state: &RoleState) -> serde_json::Value {
    serde_json::json!({ "version": state.version, "expires": state.expires.to_string() })
}

fn print_json(value: &serde_json::Value) -> anyhow::Result<ExitCode> {
    print(&format!("{value:#}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn show(index: &TrustedIndex, json: bool) -> anyhow::Result<ExitCode> {
    let record = index.record();
    if !index.is_signed() {
        let directory = index.directory().display().to_string();
        if json {
            let mut shown = record_json(record);
            shown["directory"] = directory.into();
            return print_json(&shown);
        }
        print(&format!(
            "index        {}\nnot signed   used since {}\nkept in      {directory}\n",
            record.urls.simple(),
            record.trusted_since.strftime("%Y-%m-%d %H:%M UTC"),
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let state = index.state()?;
    if json {
        let mut shown = record_json(record);
        shown["root"] = role_json(&state.root);
        shown["root"]["fingerprint"] = state.root_fingerprint.to_string().into();
        shown["timestamp"] = state.timestamp.as_ref().map(role_json).into();
        shown["snapshot"] = state.snapshot.as_ref().map(role_json).into();
        shown["directory"] = index.directory().display().to_string().into();
        shown["recovered"] = recovered::to_json(index)?;
        return print_json(&shown);
    }
    let role = |state: &Option<RoleState>| match state {
        Some(state) => format!("version {}, until {}", state.version, state.expires),
        None => "not seen yet".to_owned(),
    };
    print(&format!(
        "index        {}
metadata     {}
targets      {}
{}trust began  {}, {}
  with root  version {}, fingerprint {}
root now     version {}, until {}
  fingerprint {}
timestamp    {}
snapshot     {}
kept in      {}
{}{}",
        record.urls.simple(),
        record.urls.metadata(),
        record.urls.targets(),
        mirror::lines(record.urls.mirrors(), "mirror       "),
        record.trusted_since.strftime("%Y-%m-%d %H:%M UTC"),
        record.began,
        record.first_root_version,
        record.first_root_fingerprint,
        state.root.version,
        state.root.expires,
        state.root_fingerprint,
        role(&state.timestamp),
        role(&state.snapshot),
        index.directory().display(),
        index.system_file().map_or(String::new(), |file| format!(
            "system file  {}\n",
            file.display()
        )),
        recovered::lines(index)?,
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(store: &TrustStore, url: &str) -> anyhow::Result<ExitCode> {
    let urls = IndexUrls::new(url, None, None)?;
    if let Ok(Some(index)) = store.find(urls.simple())
        && let (Began::System, Some(file)) = (index.record().began, index.system_file())
    {
        return Err(anyhow::anyhow!(
            "{} is trusted by every user of this machine",
            urls.simple()
        ))
        .hint(format!(
            "it comes from {}: the system's administrator can take that away",
            file.display()
        ));
    }
    if !store.remove(urls.simple()).await? {
        bail!("{} is not a trusted index", urls.simple());
    }
    print(&format!("{} is no longer trusted.\n", urls.simple()))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn fingerprint(text: &str) -> Result<Sha256, String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.strip_prefix("sha256:").unwrap_or(&text);
    digits
        .parse()
        .map_err(|_| "a fingerprint is 64 hexadecimal digits".to_owned())
}

/// Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
