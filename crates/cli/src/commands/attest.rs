//! `wheelmark attest`: says for everybody to see who published these files.

mod files;
mod identity;
mod progress;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;
use wheelmark_attest::{
    AttestError, CertificateError, Certified, IdentityToken, Instance, Patience, RecordError,
    ServiceError,
};
use wheelmark_provenance::{
    Attested, MAX_TRUSTED_ROOT_LEN, Publisher, Refusal, TrustedRoots, Verified,
};
use wheelmark_tuf::without_controls;

use self::files::{Draft, Given, Place};
use self::progress::Progress;
use crate::commands::trust::USER_AGENT;
use crate::commands::up::print_line;
use crate::commands::verify::attested::{bounded, publisher, told};
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::public_root::public_roots;

/// Sigstore's public authority.
const PUBLIC_FULCIO: &str = "https://fulcio.sigstore.dev";

/// Sigstore's public transparency log.
const PUBLIC_REKOR: &str = "https://rekor.sigstore.dev";

/// Attest files: say with a Sigstore, for everybody to see, who published them (PEP 740)
///
/// Writes FILE.publish.attestation beside each file, which `uv publish` sends along. An identity
/// token says who you are; the authority (Fulcio) certifies a key for it that is made now and never
/// kept, and the transparency log (Rekor) records each signature for good. Every attestation is
/// verified as readers verify it before anything is written, and all files get theirs, or none.
///
/// The token comes from the job itself in GitHub Actions (`permissions: id-token: write`) and in
/// GitLab CI (`id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`); everywhere else from the variable
/// SIGSTORE_ID_TOKEN or --identity-token-file. docs/attestations.md tells how people get one.
///
/// What goes with files already (*.attestation, *.asc and the like) is passed over, so that dist/* can
/// be given twice. A file that has a good attestation keeps it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Wheels and source distributions
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Who it has to be attested by, as github:OWNER/REPOSITORY@WORKFLOW; several if any of them may.
    /// Nothing is written if it is somebody else
    #[arg(long, value_name = "PUBLISHER", value_parser = publisher)]
    publisher: Vec<Publisher>,

    /// Let an address, or the name of a private repository, stand in Sigstore's public log
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    token: identity::TokenArgs,

    #[command(flatten)]
    sigstore: SigstoreArgs,
}

/// A Sigstore of one's own is named whole.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A Sigstore of your own")]
struct SigstoreArgs {
    /// The authority
    #[arg(long, value_name = "URL", default_value = PUBLIC_FULCIO, requires_all = ["rekor", "trusted_root"])]
    fulcio: Url,

    /// The transparency log, of version 1
    #[arg(long, value_name = "URL", default_value = PUBLIC_REKOR, requires_all = ["fulcio", "trusted_root"])]
    rekor: Url,

    /// Its trusted_root.json, by which the attestations have to hold
    #[arg(long, value_name = "FILE", requires_all = ["fulcio", "rekor"])]
    trusted_root: Option<PathBuf>,
}

impl SigstoreArgs {
    fn roots(&self, context: &Context) -> anyhow::Result<TrustedRoots> {
        let Some(path) = &self.trusted_root else {
            return public_roots(context);
        };
        let json = bounded(path, MAX_TRUSTED_ROOT_LEN)?;
        TrustedRoots::empty()
            .with(&path.display().to_string(), &json)
            .with_context(|| format!("{} cannot be trusted", path.display()))
            .hint("it is what Sigstore calls trusted_root.json")
    }

    fn is_public(&self) -> bool {
        self.trusted_root.is_none()
    }
}

/// A file with what attests to it.
struct Outcome {
    given: Given,
    attested: Verified<Attested>,
    /// None if it was there before.
    draft: Option<Draft>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let roots = args.sigstore.roots(context)?;
    let given = files::given(&args.files)?;
    let mut kept = Vec::new();
    let mut open = Vec::new();
    for given in given {
        match given.place(&roots, context.clock.now())? {
            Place::Taken(attested) => kept.push((given, *attested)),
            Place::Free => open.push(given),
        }
    }
    for (_, attested) in &kept {
        demand(attested, &args.publisher)
            .hint("remove the attestations that are there, if new ones are to be made")?;
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    if !open.is_empty() {
        let token = args.token.find().await?;
        token
            .check(args.token.audience(), context.clock.now())
            .context("the identity token cannot be used")
            .hint("get a new one for this audience (--audience names another), and look whether this machine's clock is right")?;
        consent(&args, &token)?;
        outcomes = made(&args, token, open, &roots, context).await?;
    }
    let all = kept.iter().map(|(given, attested)| (given, attested));
    let all = all.chain(outcomes.iter().map(|one| (&one.given, &one.attested)));
    if args.publisher.is_empty() {
        demand_one_publisher(all)?;
    }
    let drafts: Vec<Draft> = outcomes
        .iter_mut()
        .filter_map(|one| one.draft.take())
        .collect();
    files::write(&drafts)?;
    let before = kept
        .into_iter()
        .map(|(given, attested)| (given, attested, false));
    let now = outcomes
        .into_iter()
        .map(|one| (one.given, one.attested, true));
    tell(&before.chain(now).collect::<Vec<_>>(), args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Anybody can put a good attestation beside a file: all of them are by one, unless somebody was named.
fn demand_one_publisher<'a>(
    mut all: impl Iterator<Item = (&'a Given, &'a Verified<Attested>)>,
) -> anyhow::Result<()> {
    let Some((first, by)) = all.next() else {
        return Ok(());
    };
    match all.find(|(_, other)| other.identity().publisher() != by.identity().publisher()) {
        None => Ok(()),
        Some((given, other)) => Err(anyhow!(
            "{} was attested by {}, and {} by {}; nothing was written",
            first.path.display(),
            by.identity(),
            given.path.display(),
            other.identity()
        ))
        .hint("name who it has to be with --publisher, and remove attestations by anybody else"),
    }
}

/// What stands in a public log stands there for good: an address of a person only if they want it.
fn consent(args: &Args, token: &IdentityToken) -> anyhow::Result<()> {
    use std::io::{BufRead as _, IsTerminal as _, Write as _};
    if !args.sigstore.is_public() || args.yes {
        return Ok(());
    }
    let what = match token.email() {
        Some(email) => without_controls(email),
        None if token.is_of_a_private_repository() => format!(
            "the repository, workflow and commit of {}, which not everybody may see,",
            without_controls(token.subject())
        ),
        None => return Ok(()),
    };
    let refused = || {
        Err(anyhow!(
            "nothing was attested: {what} would stand in a public log for good"
        ))
        .hint("--yes says that it may")
    };
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return refused();
    }
    let mut err = std::io::stderr().lock();
    write!(
        err,
        "{what} and the files' names will stand in Sigstore's public log, for everybody and for good. Go on? [y/N] "
    )?;
    err.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => refused(),
    }
}

/// Makes attestations of all files. Nothing is written yet.
async fn made(
    args: &Args,
    mut token: IdentityToken,
    open: Vec<Given>,
    roots: &TrustedRoots,
    context: &Context,
) -> anyhow::Result<Vec<Outcome>> {
    let instance = Instance::new(
        args.sigstore.fulcio.clone(),
        args.sigstore.rekor.clone(),
        USER_AGENT,
        Patience::default(),
    )
    .hint("name the services by their https URLs")?;
    let progress = Progress::of(open.len());
    progress.asks(&instance.authority());
    let mut certified = certify(&instance, &token).await?;
    let mut since = context.clock.now();
    let mut outcomes = Vec::new();
    for given in open {
        // With many files, or a slow log, the key is of yesterday's minutes.
        if is_old(since, context.clock.now()) {
            progress.asks(&instance.authority());
            let now = context.clock.now();
            if token.check(args.token.audience(), now).is_err() {
                token = renewed(args, &token, context).await.context(RECORDED)?;
            }
            certified = certify(&instance, &token).await.context(RECORDED)?;
            since = context.clock.now();
        }
        progress.records(&given, &instance.log());
        let made = certified.attest(&given.name, &given.sha256, roots, &*context.clock);
        let made = match made.await {
            Ok(made) => made,
            Err(error) => {
                let hint = hint_on(&error);
                let failed = format!(
                    "{} was not attested; nothing was written",
                    given.path.display()
                );
                return Err(anyhow::Error::from(error).context(failed)).hint(hint);
            }
        };
        demand(&made.attested, &args.publisher)
            .context("nothing was written")
            .hint("is this the workflow that publishes? What was recorded stays in the log, and is good for nobody else")?;
        let draft = Draft {
            path: given.attestation(),
            bytes: made.attestation.to_json(),
        };
        outcomes.push(Outcome {
            given,
            attested: made.attested,
            draft: Some(draft),
        });
    }
    Ok(outcomes)
}

/// What is to be known where something fails after the first file.
const RECORDED: &str =
    "nothing was written; what was recorded before stays in the log, where it helps nobody";

/// Another token of the same job or person, once the first one has ended.
async fn renewed(
    args: &Args,
    before: &IdentityToken,
    context: &Context,
) -> anyhow::Result<IdentityToken> {
    let hint = "attest fewer files at once";
    if args.token.is_read_once() {
        return Err(anyhow!("the identity token from standard input has ended")).hint(hint);
    }
    let token = args.token.find().await?;
    token
        .check(args.token.audience(), context.clock.now())
        .context("the identity token has ended, and there is no other")
        .hint(hint)?;
    if !token.names_the_same(before) {
        return Err(anyhow!(
            "there is another identity token now, of somebody else"
        ))
        .hint(hint);
    }
    Ok(token)
}

/// How long a certificate is used: half of the ten minutes for which Sigstore's authorities make them.
const CERTIFICATE_USED: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

fn is_old(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) > CERTIFICATE_USED
}

async fn certify(instance: &Instance, token: &IdentityToken) -> anyhow::Result<Certified> {
    let refused = match instance.certify(token).await {
        Ok(certified) => return Ok(certified),
        Err(refused) => refused,
    };
    let hint = match &refused {
        CertificateError::Refused(_) => format!(
            "it was shown a token of {} for {}: does the authority take that issuer, and is the token of now?",
            without_controls(token.issuer()),
            without_controls(token.subject())
        ),
        CertificateError::Service(error) => hint_on_service(error).to_owned(),
        CertificateError::Key(_) => "try again".to_owned(),
    };
    Err(anyhow::Error::from(refused).context("there is no certificate")).hint(hint)
}

fn hint_on(error: &AttestError) -> String {
    match error {
        AttestError::Key(_) => "try again".to_owned(),
        AttestError::Record(RecordError::Service(error)) => hint_on_service(error).to_owned(),
        AttestError::Record(_) => {
            "is this a transparency log of version 1 (Rekor) that takes entries of the kind dsse?"
                .to_owned()
        }
        AttestError::Refused(Refusal::FromTheFuture { .. }) => {
            "this machine's clock is behind: set it, and try again".to_owned()
        }
        AttestError::Refused(_) => {
            "does the trusted root belong to these services? `--fulcio`, `--rekor` and `--trusted-root` have to be of one Sigstore; of the public one, `wheelmark trust sigstore refresh` gets the newest".to_owned()
        }
    }
}

fn hint_on_service(error: &ServiceError) -> &'static str {
    match error {
        ServiceError::Slow { .. } | ServiceError::Unreachable { .. } => {
            "try again later; https://status.sigstore.dev tells how the public services are"
        }
        ServiceError::Status { status: 500.., .. } => {
            "it is out of order: try again later; https://status.sigstore.dev tells how the public services are"
        }
        _ => "is this the address of that service?",
    }
}

/// Whether it is by one of those who were named, if any were.
fn demand(attested: &Attested, publishers: &[Publisher]) -> anyhow::Result<()> {
    let is_by = |publisher| attested.identity().matches(publisher).is_ok();
    if publishers.is_empty() || publishers.iter().any(is_by) {
        return Ok(());
    }
    Err(anyhow!(
        "{} is attested by {}, and not by {}",
        attested.file(),
        attested.identity(),
        publishers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" or ")
    ))
}

fn tell(all: &[(Given, Verified<Attested>, bool)], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let each = all.iter().map(|(given, attested, is_new)| {
            let mut each = json!(**attested);
            each["path"] = given.path.display().to_string().into();
            each["attestation"] = given.attestation().display().to_string().into();
            each["made_now"] = (*is_new).into();
            each
        });
        let each: Vec<Value> = each.collect();
        return print_line(&format!("{:#}", json!({ "attested": each })));
    }
    for (given, attested, is_new) in all {
        let verdict = if *is_new {
            "attested"
        } else {
            "attested before, and kept"
        };
        let text = format!(
            "{}: {verdict}\n{}  in         {}",
            given.path.display(),
            told(attested),
            given.attestation().display()
        );
        print_line(&text)?;
    }
    Ok(())
}
