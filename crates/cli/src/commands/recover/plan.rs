//! `wheelmark recover plan`: what changed since the last state that is known to be good.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use wheelmark_mirror::{DirectoryPlace, Place, root_of_fingerprint};
use wheelmark_packaging::simple::{ProjectPage, TakenAway};
use wheelmark_recovery::{
    Compared, Contents, Differing, FORM, LastGood, Plan, Present, ProjectChanges, RoleChange,
    RoleWhat, Signed, State, VersionedFile, changes, compare,
};
use wheelmark_repository::Lifetimes;
use wheelmark_tuf::{RoleName, Sha256, without_controls};

use super::folder::Folder;
use super::good_tree::{GoodTree, list_of, page_of};
use super::reading::read;
use super::source::{Followed, Named, Source};
use super::supports::{Copy, Sides, Witnesses};
use super::words;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// List what changed since the last state that is known to be good
///
///   wheelmark recover plan --last-good /backup/index -o recovery
///   wheelmark recover plan --last-good https://mirror.example/simple/ -o recovery
///   wheelmark recover plan --last-good 4711 -o recovery
///
/// Follows both states from the first root and verifies them, whether they have expired or not, and puts
/// them side by side: who signs what, which projects sign for themselves, and every file, yank and state of
/// every project. What is found goes into recovery/plan.json, which is a text for people to read and
/// change; recovery/last-good/ gets the tree of the last good state, with those of its files that the index
/// lacks. Nothing of the index is changed.
///
/// The last good state is a directory with a copy (a backup, or what `wheelmark mirror` keeps), the URL of a
/// mirror, or the number of a snapshot that is still in the index's own tree (`wheelmark index
/// snapshot-log`). A copy is better than a number: whoever held the index's machine could have changed what
/// its disk says of the past in a way that its own keys sign.
///
/// Changes that the keys of sealed projects have signed are kept; about all others somebody has to decide
/// (`wheelmark recover decide`). Given again for the same directory, it compares anew and keeps what was
/// decided: so after something was published meanwhile. The last good state can then be recovery/last-good, the
/// one that is there: a mirror that it came from has gone on, perhaps.
///
/// Exit code: 0 if there is a plan, 1 if there is none.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// The state to go back to: a directory with a copy, a backup, a URL, or the number of a snapshot
    #[arg(long, value_name = "DIR|BACKUP|URL|SNAPSHOT")]
    last_good: String,

    /// Another copy of the index, a directory or a URL: what it has in common with the present state is told as
    /// a support. Name copies that whoever broke in did not feed; may be given several times. One that cannot be
    /// read is left out, and told of
    #[arg(long, value_name = "DIR|URL")]
    copy: Vec<String>,

    /// A trusted_root.json to believe of attestations, in place of Sigstore's public instance; may be several
    #[arg(long, value_name = "FILE")]
    trusted_root: Vec<PathBuf>,

    /// Where the recovery is, or is to be
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What was planned.
struct Made {
    plan: Plan,
    /// Decisions that an earlier plan had.
    taken_over: usize,
    /// Objects that the index lacks, or has with other bytes.
    brought: u64,
    files: [usize; 2],
    /// Copies that were named and could not be read to the end.
    copies_left_out: Vec<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let data = Data::open_existing(&args.data)?;
    let folder = Folder::at(&args.out);
    folder.demand_own()?;
    let earlier = folder.earlier()?;
    let is_own = folder.is_last_good(Path::new(&args.last_good));
    let named = match &earlier {
        Some(earlier) if is_own => Named::Planned(earlier.last_good.snapshot),
        _ => Named::read(&args.last_good)?,
    };
    if earlier.is_none() && folder.is_used()? {
        return Err(anyhow!(
            "{} is not empty, and no recovery",
            args.out.display()
        ))
        .hint("name a directory that is not there, or that an earlier `recover plan` made");
    }
    let source = match &named {
        Named::Snapshot(_) => Source::tree(&data.tree())?,
        Named::Planned(_) => Source::tree(&folder.last_good())?,
        Named::Tree(path) => Source::tree(path)?,
        Named::Url(url) => Source::web(url, context)?,
    };
    let copies = args.copy.iter().map(|name| Copy {
        name: name.clone(),
        source: Source::of_copy(name, context),
    });
    let copies = copies.collect();
    folder.make()?;
    let from = match (&named, &earlier) {
        (Named::Snapshot(version), _) => format!("snapshot {version} of the index's own tree"),
        (Named::Planned(_), Some(earlier)) => earlier.last_good.from.clone(),
        _ => args.last_good.clone(),
    };
    let making = Making {
        named,
        from,
        fingerprint: data.settings().root_fingerprint,
        tree: data.tree(),
        source,
        folder,
        earlier,
        copies,
        trusted: args.trusted_root.clone(),
        context: context.clone(),
    };
    let made = tokio::task::spawn_blocking(move || making.make()).await??;
    tell(&args, &made)?;
    Ok(ExitCode::SUCCESS)
}

struct Making {
    named: Named,
    from: String,
    fingerprint: Sha256,
    tree: PathBuf,
    source: Source,
    folder: Folder,
    earlier: Option<Plan>,
    copies: Vec<Copy>,
    trusted: Vec<PathBuf>,
    context: Context,
}

impl Making {
    fn make(mut self) -> anyhow::Result<Made> {
        let copies = std::mem::take(&mut self.copies);
        let index = DirectoryPlace::new(&self.tree, 1, None);
        let root = root_of_fingerprint(&index, &self.fingerprint)
            .context("the root by which this index is known is not in its tree")
            .hint(
                "bring metadata/ of the tree back from a copy first: every root has to be there",
            )?;
        let present = Followed::of_place(&index, &root)
            .context("what is published cannot be followed from the root by which this index is known")
            .hint("copy the metadata that is damaged from a backup to its path; `wheelmark index audit` names it")?;
        let good = match &self.named {
            Named::Snapshot(version) => {
                Followed::of_snapshot(&index, &present.set, &root, *version)?
            }
            Named::Planned(file) => {
                let source = &self.source;
                Followed::of_planned(source, &index, &present.set, &root, *file)
                    .context("last-good/ is not the last good state any more")
                    .hint("name the copy that it was made from")?
            }
            _ => Followed::of_place(&self.source, &root)
                .with_context(|| format!("{} is no state of this index", self.from))
                .hint("name a copy of this very index: both are followed from the same root")?,
        };
        let trusted = std::mem::take(&mut self.trusted);
        let witnesses = Witnesses::new(copies, &root, trusted, &self.context);
        let last_good = self.last_good(&good);
        self.demand_same_ground(&last_good)?;
        self.demand_past(&last_good)?;
        witnesses.demand_one(&good)?;

        let mut tree = GoodTree::begin(&self.folder.next_tree(), &self.source, &index)?;
        roots(&tree, &index, last_good.root)?;
        let (then, unread) = read(&self.source, &good, |role, version, bytes| {
            tree.metadata(role, version, bytes)
        })?;
        if let Some(lacking) = unread.first() {
            return Err(anyhow!(
                "{} of the last good state is not there as it was signed: {}",
                lacking.role,
                lacking.why
            ))
            .hint("name a whole copy: `wheelmark verify DIR` says whether one is");
        }
        self.roles_in_nobodys_hands(&tree, &good, &then)?;
        let (now, _) = read(&index, &present, |_, _, _| Ok(()))?;
        let Compared {
            mut roles,
            claims,
            projects: differing,
        } = compare(&then, &now);

        roles.extend(other_content(&index, &good));

        let mut projects = Vec::with_capacity(differing.len());
        for one in &differing {
            let changes = self.changes_of(&index, one, &witnesses)?;
            if !changes.is_empty() {
                let project = one.project.clone();
                let [page, list] = [one.page[1], one.list[1]];
                projects.push(ProjectChanges {
                    project,
                    page: page.map(|page| page.sha256),
                    list: list.map(|list| list.sha256),
                    changes,
                });
            }
        }
        let changed: BTreeSet<_> = differing.iter().map(|one| &one.project).collect();
        for (project, page) in then.pages() {
            tree.page(project, page, changed.contains(project))?;
        }
        for (project, list) in then.lists() {
            tree.list(project, list)?;
        }

        let mut plan = Plan {
            form: FORM,
            made: self.context.clock.now(),
            index: self.fingerprint,
            last_good,
            present: present_of(&present)?,
            roles,
            claims,
            projects,
            left_out: 0,
        };
        let taken_over = self
            .earlier
            .as_ref()
            .map_or(0, |earlier| plan.take_over(earlier));
        plan.decide_the_usual();
        plan.shorten()
            .context("so much changed that no plan can hold it")?;
        let staged = self.folder.stage(&plan)?;
        let brought = tree.finish(&self.folder.last_good())?;
        staged.put_in_place()?;
        Ok(Made {
            copies_left_out: witnesses.left_out(),
            plan,
            taken_over,
            brought,
            files: [then.count(), now.count()],
        })
    }

    fn last_good(&self, good: &Followed) -> LastGood {
        let expires = good.set.snapshot().expires;
        LastGood {
            from: self.from.clone(),
            root: good.set.root().version,
            snapshot: good.snapshot_file(),
            expires,
            // A snapshot is signed for so long.
            dated: expires
                .checked_sub(Lifetimes::default().online)
                .unwrap_or(expires),
        }
    }

    /// A last good state is from before now.
    fn demand_past(&self, last_good: &LastGood) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        if last_good.dated > now {
            return Err(anyhow!(
                "the last good snapshot holds until {}, longer than an index signs one for: it is from the future, or nobody's",
                last_good.expires
            ))
            .hint("look at this machine's clock; if it is right, name another last good state");
        }
        Ok(())
    }

    /// A ceremony that was begun stands on one last good state.
    fn demand_same_ground(&self, last_good: &LastGood) -> anyhow::Result<()> {
        let Some(earlier) = &self.earlier else {
            return Ok(());
        };
        if earlier.index != self.fingerprint {
            return Err(anyhow!(
                "{} is the recovery of another index",
                self.folder.path().display()
            ))
            .hint("name another directory");
        }
        if earlier.last_good.snapshot != last_good.snapshot && self.folder.has_ceremony() {
            return Err(anyhow!(
                "a ceremony was begun here on another last good state, snapshot {}",
                earlier.last_good.snapshot.version
            ))
            .hint("name another directory, or give that ceremony up first: `wheelmark recover abandon`");
        }
        Ok(())
    }

    /// What the snapshot lists and nobody delegates to any more: a role that was listed once may not vanish.
    fn roles_in_nobodys_hands(
        &self,
        tree: &GoodTree<'_>,
        good: &Followed,
        then: &State,
    ) -> anyhow::Result<()> {
        for (name, listed) in &good.set.snapshot().meta {
            let role: Option<RoleName> = name
                .strip_suffix(".json")
                .and_then(|name| name.parse().ok());
            let Some(role) = role.filter(|role| !then.has_read(role)) else {
                continue;
            };
            let file = role.versioned_file_name(listed.version);
            let limit = wheelmark_tuf::limits::MAX_TARGETS_LENGTH;
            if let Some(bytes) = self.source.metadata(&file, limit)? {
                tree.metadata(&role, listed.version, &bytes)?;
            }
        }
        Ok(())
    }

    /// What changed in one project. The last good state is whole; what cannot be read of the present one, is a
    /// change.
    fn changes_of(
        &self,
        index: &DirectoryPlace,
        differing: &Differing,
        witnesses: &Witnesses,
    ) -> anyhow::Result<Vec<wheelmark_recovery::Change>> {
        let Differing {
            project,
            page: [page_then, page_now],
            list: [list_then, list_now],
            ..
        } = differing;
        let page = |signed: &Option<Signed>| -> anyhow::Result<Option<ProjectPage>> {
            let read = signed
                .as_ref()
                .map(|signed| page_of(&self.source, project, signed));
            Ok(read.transpose()?.map(|(_, page)| page))
        };
        let list = |signed: &Option<Signed>| -> anyhow::Result<Option<TakenAway>> {
            let read = signed
                .as_ref()
                .map(|signed| list_of(&self.source, project, signed));
            Ok(read.transpose()?.map(|(_, list)| list))
        };
        let told = |error: anyhow::Error| {
            tracing::warn!(%project, "of the present state: {error:#}");
        };
        let (page_then, list_then) = (page(page_then)?, list(list_then)?);
        let page_now = page_now.as_ref().and_then(|signed| {
            let read = page_of(index, project, signed).map_err(told);
            Some(read.ok()?.1)
        });
        let list_now = list_now.as_ref().and_then(|signed| {
            let read = list_of(index, project, signed).map_err(told);
            Some(read.ok()?.1)
        });
        let mut changes = changes(
            differing,
            Contents {
                page: page_then.as_ref(),
                list: list_then.as_ref(),
            },
            Contents {
                page: page_now.as_ref(),
                list: list_now.as_ref(),
            },
        );
        let sides = Sides {
            project,
            then: page_then.as_ref(),
            good: &self.source,
            now: page_now.as_ref(),
            index,
        };
        witnesses.ask(&sides, &mut changes)?;
        Ok(changes)
    }
}

/// Every root up to the one that was in force. They are taken from the index, whose chain was followed: not every
/// copy has those of before its own first one.
fn roots(tree: &GoodTree<'_>, index: &DirectoryPlace, newest: u64) -> anyhow::Result<()> {
    let role = RoleName::root();
    for version in 1..=newest {
        let name = role.versioned_file_name(version);
        let root = index.metadata(&name, wheelmark_tuf::limits::MAX_ROOT_LENGTH)?;
        let root = root
            .with_context(|| format!("metadata/{name} is not in the index's tree"))
            .hint("copy it there from a backup: every root has to be there")?;
        tree.metadata(&role, version, &root)?;
    }
    Ok(())
}

/// That the index's own tree has another content under the version of the last good snapshot. Whoever wrote there
/// may have planted it: it is told, and stops nothing.
fn other_content(index: &DirectoryPlace, good: &Followed) -> Option<RoleChange> {
    let (role, snapshot) = (RoleName::snapshot(), good.snapshot_file());
    let name = role.versioned_file_name(snapshot.version);
    let limit = wheelmark_tuf::limits::MAX_SNAPSHOT_LENGTH;
    let other = Sha256::of(&index.metadata(&name, limit).ok().flatten()?);
    (other != snapshot.sha256).then(|| RoleChange {
        role,
        what: RoleWhat::Rewritten,
        then: format!("version {}, sha256 {}", snapshot.version, snapshot.sha256),
        now: format!("metadata/{name} of the index has sha256 {other}"),
    })
}

fn present_of(present: &Followed) -> anyhow::Result<Present> {
    let set = &present.set;
    let timestamp = present.timestamp.as_ref();
    let timestamp = timestamp.context("the published state has no timestamp")?;
    Ok(Present {
        root: set.root().version,
        snapshot: present.snapshot_file(),
        timestamp: VersionedFile {
            version: set.timestamp().version,
            sha256: Sha256::of(timestamp),
        },
    })
}

fn tell(args: &Args, made: &Made) -> anyhow::Result<()> {
    let plan = &made.plan;
    if args.json {
        let mut told = words::to_json(plan);
        told["taken_over"] = made.taken_over.into();
        told["objects_brought"] = made.brought.into();
        told["copies_left_out"] = json!(made.copies_left_out);
        told["files"] = json!({ "then": made.files[0], "now": made.files[1] });
        return print_line(&told.to_string());
    }
    let mut lines = words::summary(plan);
    if made.brought > 0 {
        lines.push(format!(
            "  objects   {} of the last good state are not in the index as they were: they are in last-good/",
            made.brought
        ));
    }
    for copy in &made.copies_left_out {
        lines.push(format!(
            "  left out  {} could not be read, or not to its end, as a copy of this index (the log says why): the last good state is not held against it, either; bring it back, and plan again, if you can",
            without_controls(copy)
        ));
    }
    if made.taken_over > 0 {
        lines.push(format!(
            "  decided   {} as in the plan before",
            made.taken_over
        ));
    }
    lines.extend(words::next(plan, &args.out));
    print_line(&lines.join("\n"))
}
