//! `wheelmark index config`: the file `index.toml`, and what it comes to.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_server::Tls;

use crate::commands::up::print_line;
use crate::logging::WithHint as _;
use crate::settings::{self, Effective, Flags, variable};

/// Write, check and show the settings of an index
///
///   wheelmark index config init      write DATA/index.toml, every setting explained
///   wheelmark index config check     find mistakes, with their lines
///   wheelmark index config show      what holds, and where it comes from
///
/// Variables that begin with WHEELMARK_INDEX_ stand above the file, and options of
/// `wheelmark up` above both.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(Init),
    Check(Check),
    Show(Show),
}

/// Write index.toml with every setting explained and none set
///
///   wheelmark index config init
///   wheelmark index config init --stdout | less
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Init {
    /// Print it and write nothing
    #[arg(long)]
    stdout: bool,
}

/// Find mistakes in index.toml and in the environment, with their places
///
///   wheelmark index config check && systemctl restart wheelmark
///
/// Exit code 1 if there is any.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Check {}

/// Print every setting that holds, and where it comes from
///
///   wheelmark index config show
///   wheelmark index config show --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Show {
    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, data: &Path) -> anyhow::Result<ExitCode> {
    let data = std::path::absolute(data)?;
    match args.command {
        Command::Init(init) => write(&init, &data),
        Command::Check(Check {}) => check(&data),
        Command::Show(show) => print(&show, &data),
    }
}

fn write(args: &Init, data: &Path) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    let text = settings::template();
    if args.stdout {
        print_line(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = data.join(settings::FILE);
    let made =
        std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(error)
                .with_context(|| format!("{} is there already", path.display()))
                .hint("edit it; --stdout prints a new one to compare with");
        }
        made => made
            .with_context(|| format!("{} cannot be written", path.display()))
            .hint("--data names the directory of an index; `wheelmark up` makes one")?,
    }
    print_line(&format!("wrote {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn check(data: &Path) -> anyhow::Result<ExitCode> {
    let effective = Effective::read(data, &Flags::default())?;
    let settings = match effective.check() {
        Ok(settings) => settings,
        Err(mistakes) => {
            for mistake in mistakes {
                print_line(&mistake.to_string())?;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    if let (Some(cert), Some(key)) = (&settings.tls_cert, &settings.tls_key) {
        Tls::load(cert, key)?;
    }
    print_line("no mistakes")?;
    Ok(ExitCode::SUCCESS)
}

fn print(args: &Show, data: &Path) -> anyhow::Result<ExitCode> {
    let effective = Effective::read(data, &Flags::default())?;
    // What cannot be understood must not be shown as what holds.
    effective.settings()?;
    let rows = effective.values();
    if args.json {
        let members = rows.iter().map(|(key, written)| {
            let source = written.source.to_string();
            let member =
                json!({"value": written.text, "source": source, "variable": variable(key.name)});
            (key.name.to_owned(), member)
        });
        let object: serde_json::Map<_, _> = members.collect();
        print_line(&serde_json::Value::Object(object).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let longest = |of: fn(&(&'static settings::Key, settings::Written)) -> usize| {
        rows.iter().map(of).max().unwrap_or(0)
    };
    let (names, values) = (
        longest(|(key, _)| key.name.len()),
        longest(|(_, written)| written.text.len().max(1)),
    );
    for (key, written) in rows {
        let value = if written.text.is_empty() {
            "-"
        } else {
            &written.text
        };
        let source = written.source.to_string();
        let line = format!("{:names$}  {value:values$}  ", key.name);
        print_line(&format!(
            "{line}{}",
            source.if_supports_color(Stdout, |text| text.dimmed())
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
