//! `wheelmark setup`: from now on pip and uv are verified, without anybody thinking of it.
//!
//! ```text
//! trusted index ─▶ plan: which files hold what ─▶ record ─▶ files ─▶ service
//!                                                   └──▶ undo: the same, backwards
//! ```

pub(in crate::commands) mod marks;
mod pip;
mod places;
mod plan;
mod record;
mod service;
mod shell;
mod uv;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use owo_colors::{OwoColorize as _, Stream::Stdout};
use wheelmark_client::{Entrance, Freshness};
use wheelmark_tuf::without_controls;

use crate::commands::trust::{open_store, trusted};
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, choose, open_homes};
use crate::logging::WithHint as _;

use places::Places;
use plan::Plan;
use record::{Conflict, Record};
use service::Scope;

/// How long a service may take to begin to listen.
const START_SECONDS: u64 = 15;

/// Have pip and uv verified from now on, in every new shell
///
/// Keeps the verifying proxy running as a service on a fixed port, and points pip's and uv's
/// own configuration files at it. They still see the index's real URLs, so lock files hold
/// real URLs. When the proxy is down, pip and uv fail; they do not go around it.
///
/// Your own lines in those files stay; those that ours take the place of are shown, and put
/// back by --undo.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take back everything that setup did
    #[arg(long, conflicts_with_all = ["index", "port", "no_service"])]
    undo: bool,

    /// For all users of this machine, as root
    #[arg(long)]
    system: bool,

    /// The trusted index to install from [default: the only one that is trusted]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// The port of the proxy on this machine
    #[arg(long, value_name = "N", default_value = "8459", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Install no service: you keep the proxy running yourself
    #[arg(long)]
    no_service: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let scope = if args.system {
        Scope::System
    } else {
        Scope::User
    };
    let places = Places::new(scope, context)?;
    let earlier = Record::read(&places.record())?;
    if args.system && !args.dry_run && !rustix::process::geteuid().is_root() {
        return Err(anyhow::anyhow!(
            "--system changes files of the whole machine"
        ))
        .hint("run it as root, or without --system for yourself alone");
    }
    if args.undo {
        return undo(&args, &places, earlier);
    }
    let store = open_store(context)?;
    // An installer is pointed at one real URL, where only that index's own projects are.
    if args.index.is_none() && trusted(&store)?.len() > 1 {
        return Err(anyhow::anyhow!(
            "setup points pip and uv at one index, and several are trusted"
        ))
        .hint("name one with --index URL; for several by a map, use `wheelmark exec`");
    }
    let index = choose(&store, args.index.as_deref())?;
    let homes = open_homes(
        context,
        HomesOptions {
            index: Some(index.urls().simple().as_str()),
            freshness: Freshness::Periodic,
            strict: false,
            readers: Readers::Everybody,
            policy: None,
        },
    )?;
    if let Some(open) = homes.readers().iter().find_map(|reader| {
        let simple = reader.index().urls().simple();
        (simple.scheme() == "http" && !on_this_machine(simple.host_str())).then_some(simple)
    }) {
        return Err(anyhow::anyhow!("{open} is reached by plain http"))
            .hint("whoever took the proxy's port while it is down could answer for it with anything: have the index served by https, or use `wheelmark exec`");
    }
    if !args.no_service && !args.dry_run {
        service::reachable(scope).hint(
            "--no-service configures pip and uv and leaves it to you to keep the proxy running",
        )?;
    }
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let plan = Plan::make(
        &places,
        &index,
        &Entrance::of_homes(&homes),
        listen,
        !args.no_service,
        earlier.as_ref(),
    )?;
    let changed = plan.changes(earlier.as_ref());
    if !args.dry_run && changed {
        // A service that is wanted no more must not go on without its unit.
        if args.no_service && earlier.as_ref().is_some_and(|earlier| earlier.service) {
            service::stop(scope)?;
        }
        plan.carry_out(&places, earlier.as_ref())?;
    }
    if !args.dry_run && !args.no_service && (changed || !answers(listen)) {
        service::start(scope)?;
        wait_for(listen)?;
    }
    let overruled = overruled();
    let text = if args.json {
        let mut value = plan.json(args.dry_run);
        value["changed"] = changed.into();
        value["dry_run"] = args.dry_run.into();
        value["overruled_by_environment"] = overruled.into();
        format!("{value:#}\n")
    } else {
        let mut text = plan.text(changed, args.dry_run);
        for name in overruled {
            let word = "not verified:"
                .if_supports_color(Stdout, |t| t.yellow())
                .to_string();
            text.push_str(&format!(
                "{word} {name} is set in this shell and can lead pip or uv past what was set up\n"
            ));
        }
        text
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn undo(args: &Args, places: &Places, earlier: Option<Record>) -> anyhow::Result<ExitCode> {
    let Some(record) = earlier else {
        let text = if args.json {
            "{\n  \"changed\": false,\n  \"files\": []\n}\n"
        } else {
            "Nothing is set up here, so there is nothing to undo.\n"
        };
        print(text)?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut fates = Vec::new();
    // Before anything is touched: a file may be one that nobody can undo.
    for file in &record.files {
        fates.push((file.path.clone(), file.undone()?.0));
    }
    if !args.dry_run {
        fates.clear();
        if record.service
            && let Err(error) = service::stop(places.scope)
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "the service could not be stopped"
            );
        }
        for file in &record.files {
            fates.push((file.path.clone(), file.undo()?));
        }
        for own in &record.own {
            record::remove_own(own)?;
        }
        record::remove_empty(&record.directories);
        // The record last: until then an undo that was cut off can be taken up again.
        record::remove(&places.record())?;
        if record.service
            && let Err(error) = service::forget(places.scope)
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "the service manager could not be told"
            );
        }
    }
    let text = if args.json {
        let files: Vec<_> = fates
            .iter()
            .map(|(path, fate)| serde_json::json!({ "path": path, "fate": fate }))
            .collect();
        format!(
            "{:#}\n",
            serde_json::json!({ "changed": !args.dry_run, "dry_run": args.dry_run, "files": files })
        )
    } else {
        let mut text = String::new();
        for (path, fate) in &fates {
            text.push_str(&plan::line(path, *fate));
        }
        if !args.dry_run {
            text.push_str("Undone. pip and uv are not verified any more.\n");
            if record.names_certificates() {
                text.push_str(
                    "Shells that are open still name certificates that are gone: open new ones.\n",
                );
            }
        }
        text
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Variables of this shell that outweigh the configuration files.
fn overruled() -> Vec<String> {
    const NAMES: [&str; 20] = [
        "PIP_CONFIG_FILE",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_NO_INDEX",
        "PIP_PROXY",
        "PIP_CERT",
        "PIP_TRUSTED_HOST",
        "PIP_CACHE_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "UV_CONFIG_FILE",
        "UV_NO_CONFIG",
        "UV_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_CACHE_DIR",
        "UV_OFFLINE",
    ];
    // In any case. Before pip 22.1 they outweigh pip's own setting.
    const PROXIES: [&str; 2] = ["HTTP_PROXY", "HTTPS_PROXY"];
    let outweighs = |name: &str| {
        let same = |proxy: &str| name.eq_ignore_ascii_case(proxy);
        NAMES.contains(&name) || PROXIES.into_iter().any(same)
    };
    let mut names: Vec<String> = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| outweighs(name))
        .collect();
    names.sort();
    names
}

fn on_this_machine(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn answers(listen: SocketAddr) -> bool {
    TcpStream::connect_timeout(&listen, Duration::from_secs(1)).is_ok()
}

fn wait_for(listen: SocketAddr) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !answers(listen) {
        if begun.elapsed() > Duration::from_secs(START_SECONDS) {
            return Err(anyhow::anyhow!(
                "the service was started, but nothing listens on {listen}"
            ))
            .hint(
                "its log says why: journalctl --user -u wheelmark (without --user after --system)",
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// What is shown of lines that go on to count beside ours.
fn outweighing_text(outweighing: &[Conflict]) -> String {
    let mut text = String::new();
    for conflict in outweighing {
        let word = "not verified:".if_supports_color(Stdout, |t| t.yellow());
        text.push_str(&format!(
            "{word} {} outweighs what was set up, or adds to it:\n",
            conflict.file.display()
        ));
        for line in &conflict.lines {
            text.push_str(&format!("    {}\n", without_controls(line)));
        }
    }
    text
}

/// What is shown of lines that ours take the place of.
fn conflicts_text(conflicts: &[Conflict]) -> String {
    let mut text = String::new();
    for conflict in conflicts {
        let word = "taken out".if_supports_color(Stdout, |t| t.yellow());
        text.push_str(&format!(
            "{word} of {}, until --undo:\n",
            conflict.file.display()
        ));
        for line in &conflict.lines {
            text.push_str(&format!("    {}\n", without_controls(line)));
        }
    }
    text
}

/// Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
