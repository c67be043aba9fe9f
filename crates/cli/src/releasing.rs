//! Signing for a project with keys of one's own, and sending what was signed.
//!
//! ```text
//! the page that is published, verified ─▶ Next ─▶ sign ─▶ send ─▶ read back, verified
//! ```
//!
//! What is signed is built on a page that this machine has verified itself: by the project's own keys
//! where it is claimed, and never on one that somebody hands out for this.

mod claiming;
mod differences;
mod files;
mod handing_over;
mod keys;
mod known;
mod recovering;
mod review;
mod sending;
mod staged;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use wheelmark_client::{
    Credential, Freshness, IndexUrls, Reader, ReaderOptions, Realm, Refusal, Remote, TOKEN_USER,
    TrustedIndex, VerifiedPage,
};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_repository::{project_role, targets_of_page};
use wheelmark_signing::{HeldKey, Signer, sign_role};
use wheelmark_tuf::{
    Handovers, Role as _, RoleKeys, RoleName, SPEC_VERSION, Sha256, Targets, verify,
};

use crate::commands::login::token;
use crate::commands::trust::open_store;
use crate::context::Context;
use crate::homes::choose;
use crate::logging::WithHint as _;
use crate::remote::{anonymous, credentials};

pub(crate) use self::claiming::look_claim;
pub(crate) use self::differences::{Differences, Member};
pub(crate) use self::files::{LocalFile, local_files, released};
pub(crate) use self::handing_over::{Both, Change, HandOver, Shown, Wanted, shown, sign_both};
pub(crate) use self::keys::{
    DEVELOPER, distinct, of_user, public_file, read_public, to_claim, to_sign,
};
pub(crate) use self::known::{claimed, demand_enough, demand_known, handovers, signing};
pub(crate) use self::review::{ReviewedFile, against_last, compare, look, progress};
pub(crate) use self::sending::{
    Outcome, Registering, Sending, StatedChange, StatedKeys, look as look_back,
};
pub(crate) use self::staged::{Answer, Entry, Kind, Named};

/// For how long what a project signs holds. Whoever took over the index could show an old page to a
/// fresh client for as long, so it is no longer than somebody is likely to publish again.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How many versions are looked at that others have taken; the index passes over as many.
const MOST_PASSED_OVER: u64 = 8;

/// How long before its end what a project has signed is said to end soon: two looks for whoever
/// looks once a month.
const SOON: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Whether what a project's people have signed ends soon, or has ended.
pub(crate) fn ends_soon(expires: Timestamp, now: Timestamp) -> bool {
    expires.duration_since(now) < SOON
}

/// An index that somebody publishes to, read as an installer reads it.
pub(crate) struct Desk {
    pub(crate) reader: Reader,
    pub(crate) remote: Remote,
    pub(crate) now: Timestamp,
}

impl Desk {
    /// The index that is named, or the only one that is trusted; with the token in `token_file`, or
    /// with what is kept for it.
    pub(crate) fn open(
        index: Option<&str>,
        token_file: Option<&Path>,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let index = choose(&open_store(context)?, index)?;
        if !index.is_signed() {
            return Err(anyhow!("{} is not signed", index.urls().simple()))
                .hint("an index that nobody signs has no place for what a project's people sign");
        }
        let mut known = credentials(context);
        if let Some(file) = token_file {
            let simple = index.urls().simple();
            let realm =
                Realm::of_index(simple.as_str()).hint("a token is sent over https alone")?;
            let credential = Credential {
                user: TOKEN_USER.to_owned(),
                secret: token(Some(file), simple)?,
            };
            known.add(realm, credential);
        }
        let remote = anonymous()?.with_credentials(known);
        let options = ReaderOptions {
            freshness: Freshness::Once,
            strict: false,
        };
        Ok(Self {
            reader: Reader::new(index, remote.clone(), context.clock.clone(), options),
            remote,
            now: context.clock.now(),
        })
    }

    pub(crate) fn index(&self) -> &TrustedIndex {
        self.reader.index()
    }

    pub(crate) fn urls(&self) -> &IndexUrls {
        self.index().urls()
    }

    /// A project's page as it is now, verified.
    pub(crate) async fn page(
        &self,
        project: &ProjectName,
    ) -> anyhow::Result<Option<Arc<VerifiedPage>>> {
        self.refreshed().await?;
        verified(project, self.reader.page(project).await)
    }

    /// The same as a project's people build the next one on it: what they signed last may have ended.
    pub(crate) async fn page_to_build_on(
        &self,
        project: &ProjectName,
    ) -> anyhow::Result<Option<Arc<VerifiedPage>>> {
        self.refreshed().await?;
        let page = self.reader.page_to_build_on(project).await;
        verified(project, page)
    }

    async fn refreshed(&self) -> anyhow::Result<()> {
        let refreshed = self.reader.refresh().await;
        refreshed
            .map(|_| ())
            .map_err(|failure| anyhow!(failure.to_string()))
            .context("the index could not be brought up to date, and nothing was signed")
    }

    /// The version that the project's role has next: the one behind the published one. Where the
    /// index shows other files under that, it is the first that is free, if `pass_over` names it.
    ///
    /// What the index shows is not enough to pass a version over by oneself. Whoever answers for it
    /// could collect a signature on a version far ahead, and later show clients today's page in the
    /// place of one that came after it.
    pub(crate) async fn next_version(
        &self,
        project: &ProjectName,
        pass_over: Option<u64>,
    ) -> anyhow::Result<u64> {
        let role = project_role(project);
        let listed = self.reader.listed_version(&role).await;
        let listed = listed.map_err(|failure| anyhow!(failure.to_string()))?;
        let behind = listed.unwrap_or(0);
        let next = behind
            .checked_add(1)
            .ok_or_else(|| anyhow!("the index lists no version that another could follow on"))?;
        let free = self.reader.free_version(&role, behind, MOST_PASSED_OVER);
        let free = free
            .await
            .context("which version is free could not be asked")?;
        let wants = "ask whoever runs the index, by another way, to take them away";
        match free {
            Some(free) if free == next || Some(free) == pass_over => Ok(free),
            Some(free) => Err(anyhow!(
                "the index shows files under versions {next} to {} of {project}'s role, which nobody has published; nothing was signed",
                free - 1
            ))
            .hint(format!("{wants}; if they say that it cannot be done: --pass-over {free}")),
            None => Err(anyhow!(
                "the index shows files under all of the next {MOST_PASSED_OVER} versions of {project}'s role; nothing was signed"
            ))
            .hint(wants),
        }
    }
}

fn verified(
    project: &ProjectName,
    page: Result<Option<Arc<VerifiedPage>>, Arc<Refusal>>,
) -> anyhow::Result<Option<Arc<VerifiedPage>>> {
    page.map_err(|refusal| anyhow!(refusal.what()))
        .with_context(|| format!("the page of {project} is refused, and nothing was signed"))
        .hint("look at what is wrong: wheelmark explain PROJECT")
}

/// What is to be signed next for a project.
pub(crate) struct Next {
    pub(crate) page: Vec<u8>,
    pub(crate) role: Targets,
    name: RoleName,
}

impl Next {
    /// The page before with other entries, in this version.
    pub(crate) fn of(
        project: &ProjectName,
        base: Option<&ProjectPage>,
        files: Vec<PageFile>,
        version: u64,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let expires = now.checked_add(LIFE).context("the clock is off")?;
        Self::until(project, base, files, version, expires)
    }

    /// The same, with the end that somebody else has given it.
    pub(crate) fn until(
        project: &ProjectName,
        base: Option<&ProjectPage>,
        files: Vec<PageFile>,
        version: u64,
        expires: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut page = base
            .cloned()
            .unwrap_or_else(|| ProjectPage::new(project.clone()));
        page.files = files;
        // What is listed there besides follows from the files.
        page.versions.clear();
        let bytes = page.to_json();
        let targets = targets_of_page(&page, &bytes)
            .ok_or_else(|| anyhow!("the page lists a file without its length or sha256"))?;
        let name = project_role(project);
        let mut role = Targets {
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: Timestamp::from_second(expires.as_second())?,
            targets,
            delegations: None,
            extra: BTreeMap::new(),
        };
        role.state_role(&name);
        Ok(Self {
            page: bytes,
            role,
            name,
        })
    }

    /// What it is known by until it is published: the digest of what is signed.
    pub(crate) fn id(&self) -> Sha256 {
        Sha256::of(&self.role.to_canonical())
    }

    /// The same with the handovers that lead to the keys that sign it.
    pub(crate) fn carrying(mut self, handovers: &Handovers) -> Self {
        self.role.state_handovers(handovers);
        self
    }

    /// The digest of its page.
    pub(crate) fn page_sha256(&self) -> Sha256 {
        Sha256::of(&self.page)
    }

    /// Signs it with all of these keys, and looks that what came back is good.
    pub(crate) fn sign(&self, keys: &[HeldKey]) -> anyhow::Result<Vec<u8>> {
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| &*key.signer).collect();
        let signed = sign_role(&self.role.to_canonical(), &signers)
            .context("nothing was signed, and nothing was sent")?;
        let all = u32::try_from(signers.len()).unwrap_or(u32::MAX);
        let named = RoleKeys::new(signers.iter().map(|signer| signer.key()), all);
        let by_id = signers
            .iter()
            .map(|signer| (signer.key().keyid().clone(), signer.key().clone()));
        verify::<Targets>(&signed, &by_id.collect(), &named).with_context(|| {
            format!(
                "a signature of {} is wrong, and nothing was sent",
                self.name
            )
        })?;
        Ok(signed)
    }
}

/// Asks whether to go on, unless that was said.
pub(crate) fn confirm(question: &str, is_said: bool) -> anyhow::Result<()> {
    use std::io::{IsTerminal as _, Write as _};
    if is_said {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("nobody can be asked: {question}"))
            .hint("in a script, look at what is shown first, and then say --yes");
    }
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let answer = console::Term::stderr().read_line()?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(anyhow!("nothing was signed")).hint("it was not confirmed"),
    }
}

/// The beginning of a digest or an id, as it is shown.
pub(crate) fn short(text: &str) -> String {
    let plain = text.chars().filter(char::is_ascii_alphanumeric);
    plain.take(16).collect()
}
