//! `wheelmark serve`: the web side of an index, without any key.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use wheelmark_objects::Directory;
use wheelmark_server::App;
use wheelmark_store::Store;

use super::up::{Ready, StopSignals, print_line};
use crate::context::Context;
use crate::data::Data;
use crate::front::Front;
use crate::settings::{Effective, Flags, LogFormat};

/// Serve an index and take in its uploads; what signs runs apart (`wheelmark snapshotter`)
///
/// This process opens no key and signs nothing. It can run as a user of its own that cannot read
/// the keys, nor write what is published: docs/operations.md says how, with units for systemd.
/// `wheelmark up` is both in one command.
///
///   wheelmark serve --data /var/lib/wheelmark/index --listen 127.0.0.1:8458
///
/// Settings can stand in DATA/index.toml or in the environment as well, as for `wheelmark up`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where the index keeps everything
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// Print one line of JSON once it serves, instead of text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Flags,
}

impl Args {
    /// The format of log lines, as the settings have it. What is wrong with them is told later.
    pub(crate) fn log_format(&self) -> LogFormat {
        let effective = Effective::read(&self.data, &self.settings);
        effective.map_or(LogFormat::Text, |effective| effective.log_format())
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let settings = Effective::read(&args.data, &args.settings)?.settings()?;
    let front = Front::open(settings).await?;
    let mut stop = StopSignals::new()?;
    let data = Data::open_existing(&args.data)?;
    data.demand_uploads()?;
    let store = Store::open(&data.catalogue()).await?;
    let ready = Ready::new(&data, front.base()?, &store, context.clock.now()).await;
    let web = web(front, &data, store.clone(), context, async move {
        stop.received().await;
        tracing::info!("stopping: running uploads are finished first");
    });
    let web = web.await?;
    print_line(&if args.json {
        serde_json::to_string(&ready.json())?
    } else {
        format!("Serving {}", ready.index_url())
    })?;
    web.await?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Begins to serve an index: what comes back ends when `stop` has completed and the requests under
/// way are finished.
pub(super) async fn web(
    front: Front,
    data: &Data,
    store: Store,
    context: &Context,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    // Of uploads that were cut off: those of processes that are gone.
    wheelmark_server::take_back_cut_off(&tree, &store).await?;
    tree.clean_incoming().await?;
    let mut app = App::new(tree, store.clone(), context.clock.clone());
    app.publisher_restores = !data.is_apart();
    app.staging = Some(data.staging());
    front.furnish(&mut app)?;
    app.roots = Arc::new(front.sigstore_roots(data.directory(), context)?);
    app.trusted_publishing = front.trusted_publishing(&data.settings().root_fingerprint);
    let metrics = Arc::clone(&app.metrics);
    let socket = data.socket()?;
    Ok(tokio::spawn(async move {
        let calling = store.call_snapshot_process(socket.as_path(), |took| {
            metrics.snapshot_took(took);
        });
        tokio::select! {
            () = front.serve(app, stop) => {}
            () = calling => {}
        }
    }))
}
