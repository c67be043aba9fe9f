//! `wheelmark proxy`: the verifying proxy as a service.

mod certificates;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use wheelmark_client::{Connect, Entrance, Freshness, Ledger, Proxy, ProxyError};

use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes};
use crate::logging::WithHint as _;
use crate::policy::policy_of_everybody;

use certificates::Certificates;

/// Serve the trusted indexes on this machine, every byte verified
///
/// Point pip and uv at the printed URL, which stays the same as long as the indexes, the
/// trust in them and the map do. The signed state is refreshed once a minute while it
/// is used. Stop with Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8459")]
    listen: SocketAddr,

    /// The trusted index to serve [default: what the map says, or the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// Check every file's own signed entry as well as its page
    #[arg(long)]
    strict: bool,

    /// Answer for the index's real URLs, too, as an HTTP proxy, and keep in FILE the
    /// certificates that installers are to believe
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,

    /// Keep in FILE the proxy's own certificates alone: an installer that believes nothing else
    /// cannot be led past the proxy
    #[arg(long, value_name = "FILE", requires = "certificates")]
    authority: Option<PathBuf>,

    /// The certificates to add to those of --certificates [default: the system's]
    #[arg(long, value_name = "FILE", requires = "certificates")]
    roots: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let homes = Arc::new(open_homes(
        context,
        HomesOptions {
            index: args.index.as_deref(),
            freshness: Freshness::Periodic,
            strict: args.strict,
            readers: Readers::Everybody,
            policy: Some(policy_of_everybody(context)?),
        },
    )?);
    let ledger = Arc::new(Ledger::default());
    let connect = match &args.certificates {
        Some(file) => {
            let now = context.clock.now();
            // No tunnels: a service has nobody to report to what went through unverified.
            let connect = Arc::new(Connect::new(&homes, Vec::new(), now)?);
            let certificates =
                Certificates::new(file.clone(), args.authority.clone(), args.roots.clone())?;
            Some((connect, certificates))
        }
        None => None,
    };
    let entrance = Entrance::of_homes(&homes);
    let proxy = match Proxy::bind(args.listen, entrance, homes.clone(), ledger).await {
        Ok(proxy) => proxy,
        Err(error) => {
            let hint = match &error {
                ProxyError::NotLoopback { .. } => {
                    "listen on 127.0.0.1 or [::1]; every machine verifies for itself"
                }
                ProxyError::Listen { .. } => {
                    "another program may use this port: choose one with --listen"
                }
            };
            return Err(error).hint(hint);
        }
    };
    let proxy = match &connect {
        // The address first: a second proxy must not take the first one's certificates away.
        Some((connect, certificates)) => {
            certificates.write(&connect.authority(), None)?;
            proxy.with_connect(connect.clone())
        }
        None => proxy,
    };
    // An index that is down now may be up when somebody asks; of several, those are asked that
    // a project leads to.
    if !homes.are_several()
        && let Err(error) = homes.first().refresh().await
    {
        tracing::warn!(%error, "the index cannot be verified at the moment");
    }
    let index = proxy.index_url();
    let mut out = std::io::stdout().lock();
    write!(
        out,
        "Serving {}, verified, at {index}

  pip install --index-url {index} NAME
  uv pip install --default-index {index} NAME
",
        homes.names()
    )?;
    out.flush()?;
    drop(out);
    let mut terminate = signal(SignalKind::terminate())?;
    let renewing = async {
        match connect {
            Some((connect, mut certificates)) => certificates.renew(&connect, context).await,
            None => std::future::pending().await,
        }
    };
    proxy
        .serve(async {
            tokio::select! {
                result = tokio::signal::ctrl_c() => drop(result),
                _ = terminate.recv() => {}
                () = renewing => {}
            }
        })
        .await;
    Ok(ExitCode::SUCCESS)
}
