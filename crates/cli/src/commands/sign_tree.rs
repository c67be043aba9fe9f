//! `wheelmark sign-tree`: signed metadata for an index that exists already.

mod passing;
mod places;
mod progress;
mod said;
mod waiting;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use wheelmark_adopt::{Choices, Form, Known, Origin, Source, SourceError};
use wheelmark_objects::{Directory, Sharing};
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{BinForm, Bins, Engine, JournalWriter, Lifetimes};
use wheelmark_store::Store;
use wheelmark_tuf::without_controls;

use self::passing::{Done, Passing};
use self::places::Places;
use crate::commands::up::{StopSignals, announce_phrase, explain_open, print_line};
use crate::context::Context;
use crate::data::{Data, SOURCE_MEMORY, outside};
use crate::logging::{WithHint as _, report};
use crate::remote::remote_of_source;

/// How many changes one snapshot takes in. Each snapshot writes the bins that it touches, and a
/// first import touches all of them every time.
const CHANGES_PER_SNAPSHOT: NonZeroU32 = NonZeroU32::new(20_000).expect("not zero");

/// How many files of an index are fetched at a time.
const FETCHED_AT_A_TIME: usize = 8;

/// Names wait to be decided on; all else was signed.
const CONFLICTS: u8 = 1;

/// It could not be done.
const FAILED: u8 = 2;

/// Something of the source could not be read; all else was signed.
const INCOMPLETE: u8 = 3;

/// Stopped by a signal, as shells count it for Ctrl-C.
const STOPPED: u8 = 130;

/// Sign an index that exists already, where it is
///
/// SOURCE is a directory of wheels and source distributions (pypiserver's, or any other), a tree
/// with pages of the simple API (bandersnatch's, or a page generator's), or the URL of an index
/// (devpi, pypiserver, any simple API). What it is, is found out by looking.
///
/// The first run makes the keys and signs everything that is there as `back-signed`: it existed
/// before anybody signed it. Every later run signs what has come since, takes away what is gone
/// and follows what was yanked. A run that was killed is taken up by the next.
///
/// DIR becomes a tree of static files. Any web server can serve it beside the old index; docs/sign-tree.md
/// says how. Files are shared with SOURCE where the file system allows it.
///
/// Exit code: 0 everything is signed, 1 conflicts wait for a decision, 2 it could not be done,
/// 3 something of SOURCE could not be read and is tried again by the next run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A directory, or the URL of an index
    source: String,

    /// The directory of the signed tree; a web server's root
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Where keys and catalogue are kept, never below DIR [default: DIR with `-data` behind it]
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,

    /// What SOURCE is, where looking would mistake it
    #[arg(long = "as", value_name = "FORM")]
    form: Option<FormName>,

    /// Go on with what was signed although SOURCE is at another place, or of another form, than before
    #[arg(long)]
    source_moved: bool,

    /// Go through this project alone, and leave all others as they are; may be repeated
    #[arg(long = "project", value_name = "NAME")]
    projects: Vec<ProjectName>,

    /// Read every file again, also those whose size, time and name are as they were
    #[arg(long)]
    rehash: bool,

    /// Leave a new file of a directory alone until nobody has written to it for this long
    #[arg(long, value_name = "TIME", value_parser = waiting::parse_time, default_value = "60s")]
    settle: Duration,

    /// Copy files, never share them with SOURCE
    #[arg(long)]
    copy: bool,

    /// A file whose bytes changed under its name: go on with the bytes that were signed; may be repeated
    #[arg(long, value_name = "FILE")]
    keep: Vec<String>,

    /// Take this file off the index for good; may be repeated
    #[arg(long, value_name = "FILE")]
    withdraw: Vec<String>,

    /// Go on although more than half of the projects are gone from SOURCE
    #[arg(long)]
    accept_loss: bool,

    /// Do it again at this interval, until Ctrl-C: 30s, 10m, 6h
    #[arg(long, value_name = "TIME", value_parser = waiting::parse_interval)]
    every: Option<Duration>,

    /// Do it again whenever something changes in SOURCE, until Ctrl-C (directories)
    #[arg(long)]
    watch: bool,

    /// How many files are read at a time [default: as many as there are processors, 8 for a URL]
    #[arg(long, value_name = "N")]
    jobs: Option<u16>,

    /// Number of bins in each family, a power of two (first run only) [default: 256; PyPI's size wants 16384]
    #[arg(long, value_name = "N")]
    bins: Option<u32>,

    /// Name every bin with its hash prefixes, for TUF clients without TAP 15 (first run only)
    #[arg(long)]
    prefix_lists: bool,

    /// The file with the online key, if it is not DATA/online-key
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Print what was done as one line of JSON, for each run
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormName {
    /// A directory of distribution files
    Files,
    /// A directory with pages of the simple API
    Tree,
    /// The URL of an index
    Index,
}

impl From<FormName> for Form {
    fn from(name: FormName) -> Self {
        match name {
            FormName::Files => Self::Files,
            FormName::Tree => Self::Tree,
            FormName::Index => Self::Index,
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match sign(&args, context).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            // 1 says that conflicts wait.
            report(&error);
            if args.json {
                print_line(&said::failed_as_json(&error))?;
            }
            Ok(ExitCode::from(FAILED))
        }
    }
}

async fn sign(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let mut stop = StopSignals::new()?;
    let places = Places::check(&args.out, args.data.as_deref())?;
    // The source first: if it is not there, nothing has been made yet.
    let before = before(args, &places).await?;
    let source = find(
        args,
        &places,
        before.as_ref().map(|origin| origin.form),
        context,
    )
    .await?;
    demand_same(&source, before)?;
    places.demand_apart(source.directory())?;
    let waiting = waiting::Waiting::begin(args.every, args.watch, &source, &places)?;
    let data = open_or_create(args, &places, context).await?;
    let online = data.online_keys(args.online_key.as_deref())?;
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    let store = Store::open(&data.catalogue()).await?;
    let mut engine = Engine::open(
        tree.clone(),
        store.clone(),
        online,
        context.clock.clone(),
        Lifetimes::default(),
        JournalWriter::Operator,
    )
    .await
    .map_err(explain_open)?;
    engine.set_changes_per_snapshot(CHANGES_PER_SNAPSHOT);
    engine.take_ceremonies_from(data.orders().await?);
    tree.clean_incoming().await?;
    engine.follow_online_keys(data.watched_online_keys(args.online_key.as_deref())?);
    engine.remind();
    let known = open_known(&data.source()).await?;
    known.set_origin(&source.origin()).await?;

    let mut passing = Passing {
        tree,
        store: store.clone(),
        known: known.clone(),
        engine,
        clock: context.clock.clone(),
        choices: choices(args, source.form()),
    };
    let said = said::Said {
        json: args.json,
        data: &data,
        next_steps: (!known.told().await?).into(),
    };
    let code = match waiting {
        None => match passing.once(source, &mut stop).await? {
            Done::Over(report) => said.tell(&report, passing.engine.snapshot_version())?,
            Done::Stopped(report) => {
                said.stopped(&report, passing.engine.snapshot_version())?;
                STOPPED
            }
        },
        Some(mut waiting) => {
            said.next_steps_once();
            if !said.next_steps.get() {
                known.set_told().await?;
            }
            waiting.run(source, &mut passing, &said, &mut stop).await?
        }
    };
    if !said.next_steps.get() {
        known.set_told().await?;
    }
    known.close().await;
    store.close().await;
    Ok(code)
}

/// The source of earlier runs, unless it is said to have moved.
async fn before(args: &Args, places: &Places) -> anyhow::Result<Option<Origin>> {
    let memory = places.data.join(SOURCE_MEMORY);
    if args.source_moved || !memory.exists() {
        return Ok(None);
    }
    let known = open_known(&memory).await?;
    let origin = known.origin().await?;
    known.close().await;
    Ok(origin)
}

async fn open_known(path: &Path) -> anyhow::Result<Known> {
    Known::open(path)
        .await
        .hint("put it back from a copy; without it, files that were withdrawn would come back")
}

/// Refuses another source than that of earlier runs: what that one does not have would be taken
/// off the index.
fn demand_same(source: &Source, before: Option<Origin>) -> anyhow::Result<()> {
    let now = source.origin();
    match before {
        Some(before) if before != now => Err(anyhow::anyhow!(
            "what was signed came from {} ({}), and SOURCE is {} ({})",
            without_controls(&before.place),
            before.form.as_str(),
            without_controls(&now.place),
            now.form.as_str()
        ))
        .hint("nothing was changed. If it is the same index at another place, say --source-moved; another index wants another --out"),
        _ => Ok(()),
    }
}

async fn find(
    args: &Args,
    places: &Places,
    before: Option<Form>,
    context: &Context,
) -> anyhow::Result<Source> {
    let remote = remote_of_source(&args.source, context)?;
    // A directory is of the form that it had: one that lost its pages is no directory of files.
    let is_directory = !args.source.contains("://");
    let before = before.filter(|form| is_directory && *form != Form::Index);
    let form = args.form.map(Form::from).or(before);
    let found = Source::find(&args.source, form, remote, &places.ours()).await;
    found.or_else(|error| {
        let hint = match &error {
            SourceError::Directory { .. } => {
                "SOURCE is a directory that this user can read, or a URL that begins with http:// or https://"
            }
            SourceError::NoPages { .. } => {
                "a tree has simple/PROJECT/index.html, or web/simple/PROJECT/index.html; a directory of files is read with --as files"
            }
            SourceError::Url { .. } | SourceError::Form { .. } => {
                "see `wheelmark sign-tree --help` for the forms of SOURCE"
            }
            SourceError::NoList { .. } => {
                "name the URL of the simple API: for devpi http://HOST/USER/INDEX/+simple/, for most others http://HOST/simple/"
            }
            SourceError::Fetch(_) | SourceError::Stopped => {
                "nothing was made or changed; run it again when the index answers"
            }
        };
        Err(error).hint(hint)
    })
}

async fn open_or_create(args: &Args, places: &Places, context: &Context) -> anyhow::Result<Data> {
    if let Some(data) = Data::open(&places.data)? {
        places.demand_belongs(&data)?;
        return Ok(data);
    }
    outside::demand_free(&places.out)?;
    let form = if args.prefix_lists {
        BinForm::PrefixLists
    } else {
        BinForm::Succinct
    };
    let bins = Bins::new(args.bins.unwrap_or(256), form)?;
    let online_key = args.online_key.as_deref();
    let (data, out): (&Path, &Path) = (&places.data, &places.out);
    Data::create(data, Some(out), bins, online_key, context, announce_phrase).await
}

fn choices(args: &Args, form: Form) -> Choices {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let parallel = match (args.jobs, form) {
        (Some(jobs), _) => usize::from(jobs.max(1)),
        (None, Form::Index) => FETCHED_AT_A_TIME,
        (None, Form::Files | Form::Tree) => processors * 2,
    };
    Choices {
        projects: args.projects.clone(),
        rehash: args.rehash,
        settle: args.settle,
        sharing: if args.copy {
            Sharing::Never
        } else {
            Sharing::WherePossible
        },
        accept_loss: args.accept_loss,
        parallel,
        keep: args.keep.iter().cloned().collect(),
        withdraw: args.withdraw.iter().cloned().collect(),
    }
}
