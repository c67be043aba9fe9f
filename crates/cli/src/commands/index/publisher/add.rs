//! `wheelmark index publisher add`.

use anyhow::anyhow;
use jiff::SignedDuration;
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_server::{IssuerKind, TrustedPublisher, TrustedPublisherError};
use wheelmark_store::{NewPublisher, Pending, Store, UserName};

use super::explained;
use crate::commands::index::account::operator;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::settings::{Effective, Flags};

/// How long a project that does not exist is kept for its publisher: as long as PyPI does.
const PENDING: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Trust a publisher
///
///   wheelmark index publisher add flask github:pallets/flask@release.yml#pypi
///   wheelmark index publisher add tool gitlab:acme/tools/tool@.gitlab-ci.yml
///   wheelmark index publisher add tool google:robot@project.iam.gserviceaccount.com
///   wheelmark index publisher add tool activestate:acme/tool@ACTOR-ID
///   wheelmark index publisher add tool circleci:PROJECT-ID/PIPELINE-ID --issuer https://oidc.circleci.com/org/ORG-ID
///   wheelmark index publisher add tool 'job:release+https://ci.acme.example'
///
/// Of GitHub and GitLab, #NAME behind it asks for a job in that environment, which a service can let
/// people approve. The last form is any issuer's subject; it and other issuers of your own have to be
/// among the setting `oidc-issuers`.
///
/// A project that does not exist yet is made with the publisher's first upload, within 30 days.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    #[arg(value_name = "PROJECT")]
    project: ProjectName,

    /// The publisher
    #[arg(value_name = "PUBLISHER")]
    publisher: String,

    /// Who makes its identity tokens, if not the public service
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,

    /// The number of the account, which stays when its name changes hands [default: that of the
    /// first token]
    ///
    /// On GitHub that of the owner (`gh api users/OWNER --jq .id`), on GitLab that of the namespace, of Google the account's.
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,

    /// For a project that does not exist: whose it will be
    #[arg(long, value_name = "NAME")]
    owner: Option<UserName>,

    /// Exchange no tokens of it: it attests to files that others upload
    #[arg(long)]
    attest_only: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<()> {
    let read = TrustedPublisher::with_issuer(&args.publisher);
    let fix = read.as_ref().err().map(TrustedPublisherError::fix);
    let (publisher, named) = read.hint(fix.unwrap_or_default())?;
    let kind = publisher.issuer_kind();
    let issuer = args.issuer.or(named);
    let issuer = issuer.or_else(|| kind.public_issuer().map(str::to_owned));
    let issuer = issuer
        .ok_or_else(|| anyhow!("there is not one issuer of {kind} for everybody"))
        .hint("say which one: --issuer https://…")?;
    if args.account.is_some() && !has_account(kind) {
        return Err(anyhow!("tokens of {kind} state no number of an account"))
            .hint("leave --account out");
    }
    // What the web side will see in its tokens.
    let settings = Effective::read(data.directory(), &Flags::default())?.settings()?;
    let known = settings.oidc_issuers.kind_of(&issuer);
    if !args.attest_only && known != Some(kind) {
        let kind_word = kind.word();
        return Err(anyhow!("this index takes no {kind_word} tokens of {issuer}")).hint(format!(
            "add \"{kind_word}={issuer}\" to `oidc-issuers` in index.toml, and start the index anew; `wheelmark index config show` says what holds"
        ));
    }
    if args.attest_only && publisher.attests_as(&issuer).is_none() {
        return Err(anyhow!("no certificate of Sigstore names {publisher} of {issuer}")).hint(
            "who attests is a workflow, a pipeline or an account of a public service, or SUBJECT+ISSUER as certificates have them",
        );
    }
    let now = context.clock.now();
    let pending = args.owner.map(|owner| Pending {
        owner,
        until: now.saturating_add(PENDING).unwrap_or(now),
    });
    let new = NewPublisher {
        id: publisher.user(&issuer),
        project: args.project,
        place: publisher.place(),
        identity: publisher.to_json(),
        account: args.account,
        may_upload: !args.attest_only,
        pending,
        shown: format!("{publisher} of {issuer}"),
        issuer,
    };
    let store = Store::open(&data.catalogue()).await?;
    let added = store.add_publisher(&new, &operator(), now).await;
    let exists = added.or_else(|error| explained(error, &new.project))?;
    store.close().await;
    let waits = new.pending.as_ref().filter(|_| !exists);
    if args.json {
        let object = json!({
            "id": new.id.as_str(),
            "project": new.project.as_str(),
            "publisher": publisher.to_string(),
            "issuer": new.issuer,
            "account": new.account,
            "uploads": new.may_upload,
            "owner": waits.map(|pending| pending.owner.as_str()),
            "pending_until": waits.map(|pending| pending.until.to_string()),
        });
        return print_line(&object.to_string());
    }
    let (id, project) = (&new.id, &new.project);
    let does = if new.may_upload {
        "may upload to it"
    } else {
        "may attest to its files"
    };
    print_line(&format!(
        "{project} trusts {publisher} from now on: it {does}, as {id}."
    ))?;
    if let Some(Pending { owner, until }) = waits {
        print_line(&format!(
            "There is no {project} yet: the first upload makes it, until {until}, and it will be {owner}'s."
        ))?;
    }
    if new.may_upload && new.account.is_none() && has_account(kind) {
        print_line(
            "The number of its account is taken over from its first token, and has to stay; --account says it beforehand.",
        )?;
    }
    Ok(())
}

/// Whether tokens of a kind say the number of an account.
fn has_account(kind: IssuerKind) -> bool {
    matches!(
        kind,
        IssuerKind::GitHub | IssuerKind::GitLab | IssuerKind::Google
    )
}
