//! `wheelmark lock rewrite`: real URLs in the place of a proxy's.

mod place;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use url::Url;
use wheelmark_client::{Freshness, Home, Homes, VerifiedPage};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::lock::{LockFile, LockFormat, MAX_LOCK_LEN, NamedUrl, named_urls};
use wheelmark_tuf::without_controls;

use self::place::{Asked, asked};
use super::replace;
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes};
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// Put real URLs back into a lock file that caught those of a proxy
///
/// A lock file that was written while an installer asked the proxy of `wheelmark exec --mode
/// index`, of `wheelmark proxy` or of `wheelmark setup` names that proxy: nobody else can use it.
/// Each such URL is replaced by the one that the project's own index has for it, by its signed
/// page. Nothing else in the file is touched, and it is replaced as a whole or not at all.
///
/// URLs of this machine (127.0.0.1, localhost) are taken for a proxy's, unless an index there is
/// trusted. --from names another place.
///
/// Exit code: 0 if nothing is left to do, 1 if something is (with --check, before it was done).
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The lock file: uv.lock, pylock.toml, poetry.lock, pdm.lock, requirements.txt
    #[arg(value_name = "LOCK")]
    lock: PathBuf,

    /// The trusted index that the files come from [default: what the map says, or the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// What the URLs to replace begin with [default: any place on this machine]
    #[arg(long, value_name = "URL")]
    from: Option<Url>,

    /// Change nothing, and end with 1 if there is something to change
    #[arg(long)]
    check: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// One URL of the file, and what is to stand there.
struct Change {
    range: std::ops::Range<usize>,
    line: usize,
    old: String,
    /// The real one, or why there is none.
    new: Result<String, String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let shown = args.lock.display();
    let name = args.lock.file_name().map(|name| name.to_string_lossy());
    let format = LockFormat::of_name(&name.unwrap_or_default())
        .ok_or_else(|| anyhow!("{shown} is no lock file that is known by its name"))
        .hint(
            "uv.lock, SCRIPT.py.lock, pylock.toml, pylock.NAME.toml, poetry.lock, pdm.lock, *.txt",
        )?;
    // What a link leads to is what is replaced.
    let path = args.lock.canonicalize();
    let path = path.with_context(|| format!("{shown} cannot be read"))?;
    let bytes = read_bounded(&path, MAX_LOCK_LEN as u64);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
    let text = text.with_context(|| format!("{shown} cannot be read"))?;
    if let Err(error) = LockFile::parse(format, text.as_bytes()) {
        let hint = error.fix();
        let error = anyhow::Error::from(error).context(format!("{shown} cannot be followed"));
        return Err(error).hint(hint);
    }
    let homes = open_homes(
        context,
        HomesOptions {
            index: args.index.as_deref(),
            freshness: Freshness::Once,
            strict: false,
            readers: Readers::Person,
            policy: None,
        },
    )?;
    let changes = changes(&text, args.from.as_ref(), &homes).await;
    let left = changes.iter().filter(|change| change.new.is_err()).count();
    let rewritten = apply(&text, &changes);
    if !args.check && rewritten != text {
        LockFile::parse(format, rewritten.as_bytes())
            .with_context(|| format!("{shown} would not be readable any more"))?;
        replace(&path, &path, rewritten.as_bytes())
            .with_context(|| format!("{shown} was left as it is"))?;
    }
    tell(&args, &changes)?;
    let to_do = if args.check { changes.len() } else { left };
    Ok(match to_do {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Every URL that is to go, with what takes its place.
async fn changes(text: &str, from: Option<&Url>, homes: &Homes) -> Vec<Change> {
    let indexes: Vec<Url> = homes
        .readers()
        .iter()
        .map(|reader| reader.index().urls().simple().clone())
        .collect();
    let mut found = Vec::new();
    let mut pages = BTreeMap::new();
    for named in named_urls(text) {
        let Some(asked) = asked(named.url, from, &indexes) else {
            continue;
        };
        let new = real(asked, &named, homes, &mut pages).await;
        found.push(Change {
            range: named.range,
            line: named.line,
            old: named.url.to_owned(),
            new,
        });
    }
    found
}

/// The pages that were looked up.
type Pages = BTreeMap<ProjectName, Result<(Home, Arc<VerifiedPage>), String>>;

/// The real URL of what is asked for at a proxy.
async fn real(
    asked: Asked,
    named: &NamedUrl<'_>,
    homes: &Homes,
    pages: &mut Pages,
) -> Result<String, String> {
    let package = || {
        named
            .package
            .and_then(|name| name.parse::<ProjectName>().ok())
    };
    let project = match &asked {
        Asked::Index { .. } => package(),
        Asked::Page(project) | Asked::File(project, _) => Some(project.clone()),
        Asked::Nothing => return Err("it is at this proxy, and nothing that one has".to_owned()),
    };
    let Some(project) = project else {
        // It is named for all packages together.
        let simple = homes.usual().index().urls().simple();
        return Ok(as_it_was(&asked, simple.as_str()));
    };
    if !pages.contains_key(&project) {
        let looked_up = look_up(homes, &project).await;
        pages.insert(project.clone(), looked_up);
    }
    let (home, page) = match pages.get(&project) {
        Some(Ok(found)) => found,
        Some(Err(why)) => return Err(why.clone()),
        None => return Err("it was not looked up".to_owned()),
    };
    let simple = home.reader().index().urls().simple();
    match &asked {
        Asked::File(_, filename) => home
            .url_of(page, filename)
            .ok_or_else(|| format!("the signed page of {project} on {simple} does not list it")),
        Asked::Page(_) => Ok(format!("{simple}{project}/")),
        Asked::Index { .. } | Asked::Nothing => Ok(as_it_was(&asked, simple.as_str())),
    }
}

/// The simple URL, with its final `/` where the one that it replaces had it.
fn as_it_was(asked: &Asked, simple: &str) -> String {
    match asked {
        Asked::Index { slash: false } => simple.trim_end_matches('/').to_owned(),
        _ => simple.to_owned(),
    }
}

async fn look_up(
    homes: &Homes,
    project: &ProjectName,
) -> Result<(Home, Arc<VerifiedPage>), String> {
    let home = homes.home_of(project, None).await;
    let home = home.map_err(|refusal| refusal.to_string())?;
    let home = home.ok_or_else(|| homes.absence(project))?;
    let page = home.page(project).await;
    let page = page.map_err(|refusal| refusal.to_string())?;
    let page = page.ok_or_else(|| homes.absence(project))?;
    Ok((home, page))
}

fn apply(text: &str, changes: &[Change]) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut at = 0;
    for change in changes {
        if let Ok(new) = &change.new {
            rewritten.push_str(&text[at..change.range.start]);
            rewritten.push_str(new);
            at = change.range.end;
        }
    }
    rewritten + &text[at..]
}

fn tell(args: &Args, changes: &[Change]) -> anyhow::Result<()> {
    let shown = without_controls(&args.lock.display().to_string());
    let mut text = String::new();
    if args.json {
        let listed = changes.iter().map(|change| {
            json!({
                "line": change.line,
                "old": change.old,
                "new": change.new.as_ref().ok(),
                "why_not": change.new.as_ref().err(),
            })
        });
        let changed = !args.check && changes.iter().any(|change| change.new.is_ok());
        let whole =
            json!({ "lock": shown, "changed": changed, "urls": listed.collect::<Vec<_>>() });
        text = format!("{whole:#}\n");
    } else {
        for change in changes {
            let (sign, said) = match &change.new {
                Ok(new) => ("->", without_controls(new)),
                Err(why) => ("LEFT:", without_controls(why)),
            };
            let old = without_controls(&change.old);
            text.push_str(&format!(
                "{shown}:{}: {old}\n    {sign} {said}\n",
                change.line
            ));
        }
        let done = changes.iter().filter(|change| change.new.is_ok()).count();
        let left = changes.len() - done;
        text.push_str(&match (changes.len(), args.check, left) {
            (0, ..) => format!("{shown}: no URL of a proxy in it\n"),
            (all, true, _) => format!("{shown}: {all} to replace, nothing was changed\n"),
            (_, false, 0) => format!("{shown}: {done} replaced\n"),
            (_, false, _) => format!("{shown}: {done} replaced, {left} LEFT as they are\n"),
        });
    }
    super::print(&text)
}
