//! The signed state while the pending changes are made to it.

mod room;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::{MAX_SHA512_FILENAME_LEN, ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectStatus, Status, TakenAway};
use wheelmark_store::{Change, ListedHashes, NewFile, SignedRelease};
use wheelmark_tuf::{
    DelegatedRole, Key, RoleName, Sha256, Sha512, TargetInfo, TargetPath, Targets,
};

use super::Skipped;
use super::draft::Drafts;
use super::entry::{page_file, status_reason, target_info, yanked_of};
use super::judge::{self, Examined};
use super::release::{self, Accepted, Refusal};
use super::taken_away::TakenDraft;
use crate::channel::{Channel, Pending, Place};
use crate::gather::Incoming;
use crate::handed::said;
use crate::intent::NamedFile;
use crate::journal_writer::JournalWriter;
use crate::lifetimes::whole_seconds;
use crate::listed::{self, SecondName};
use crate::roles::Family;
use crate::state::State;

/// The signed state while the pending changes are made to it.
pub(super) struct Changes<'a> {
    pub(super) state: &'a State,
    pub(super) now: Timestamp,
    /// The bins that the changes need, and those due for renewal.
    pub(super) roles: HashMap<RoleName, Targets>,
    pub(super) pages: Drafts,
    pub(super) present: HashMap<ObjectPath, Option<u64>>,
    /// What is wrong with provenance.
    pub(super) flaws: HashMap<ObjectPath, String>,
    /// Below which URL provenance is served.
    pub(super) provenance_below: Option<Arc<str>>,
    /// Which of the bins are to be signed.
    pub(super) changed: BTreeSet<RoleName>,
    /// The plain names that change: what they lead to, `None` where they go.
    pub(super) names: BTreeMap<(ProjectName, String), Option<NamedFile>>,
    /// The armoured certificates of projects that get others, `None` where they get none.
    pub(super) certificates: BTreeMap<ProjectName, Option<String>>,
    /// Which hashes of files are to be listed.
    pub(super) listed: ListedHashes,
    /// Whether that was asked for: then all pages are gone through, also where they list it already.
    pub(super) all_anew: bool,
    /// The SHA-512 of files that do not list it yet.
    pub(super) sha512: HashMap<ObjectPath, Sha512>,
    /// The second names that are promised.
    pub(super) seconds: Vec<SecondName>,
    /// What projects' own people have signed, by the row that brings it.
    pub(super) releases: HashMap<Place, Incoming>,
    /// What of that becomes part of the snapshot.
    pub(super) released: BTreeMap<ProjectName, Accepted>,
    /// Whether projects can be claimed.
    pub(super) takes_claims: bool,
    /// For how long a notice stands before other keys take the place of lost ones, where they can.
    pub(super) recovery_delay: Option<SignedDuration>,
    /// What is taken away from claimed projects.
    pub(super) taken: HashMap<ProjectName, TakenDraft>,
    /// Projects of which whoever runs the index wants something.
    pub(super) ordered: BTreeSet<ProjectName>,
    /// Projects that the index answers for again.
    pub(super) returned: BTreeSet<ProjectName>,
    /// Beyond how many bytes a list of claims is split.
    pub(super) split_above: Option<usize>,
    /// Versions that another file has in the tree.
    pub(super) skipped: &'a Skipped,
}

impl Changes<'_> {
    /// Makes one change, or says why not. A refused change leaves everything as it was; one that
    /// asks for what is so already is made. `journal` says who writes the journal of the uploads.
    pub(super) fn take(&mut self, row: &Pending, journal: JournalWriter) -> Result<(), String> {
        let (change, writer) = (&row.change, row.place.channel.writer(journal));
        if let Some(project) = change.project()
            && self.released.contains_key(project)
        {
            return Err(format!("{project}: {}", Refusal::Meanwhile));
        }
        match change {
            Change::ProjectSigned(release) => self
                .release(release, row.place)
                .map_err(|refusal| format!("{}: {}", release.project, said(&refusal))),
            Change::ClaimEnded { project } => {
                writer.to_published()?;
                self.end_claim(project)
            }
            Change::RecoveryAsked(asked) => self.ask_recovery(asked),
            Change::RecoveryEnded { project } => self.end_recovery(project),
            Change::Unreadable(why) => Err(format!("unreadable change: {why}")),
            Change::FileAdded(file) => self.add(file, writer),
            Change::HashesSet { listed } => {
                writer.to_published()?;
                // What is asked for in one turn after the other is not done in one.
                if self.all_anew && *listed != self.listed {
                    return Err(
                        "another change of hashes begins only now: wait until all list both"
                            .to_owned(),
                    );
                }
                listed::step(self.listed, *listed, self.state.behind.values().copied())?;
                self.listed = *listed;
                self.all_anew = true;
                Ok(())
            }
            // All roles are due then, and signed without more ado.
            Change::Renewal => writer.to_published(),
            Change::FileRemoved {
                project,
                filename,
                reason,
            } => {
                writer.to_published()?;
                self.remove(project, filename, reason.as_deref())
            }
            Change::FileRestored { project, filename } => {
                writer.to_published()?;
                self.restore(project, filename)
            }
            Change::FileYanked {
                project,
                filename,
                yanked,
            } => {
                writer.to_published()?;
                self.yank(project, filename, yanked.as_deref())
            }
            Change::StatusSet {
                project,
                status,
                reason,
            } => {
                writer.to_published()?;
                self.set_status(project, status, reason.as_deref())
            }
            Change::CertificatesSet {
                project,
                certificates,
                required,
                in_place_of,
            } => {
                writer.to_published()?;
                self.set_certificates(project, certificates.as_deref(), *required, *in_place_of)
            }
        }
    }

    /// Takes in what a project's own people have signed, all of it or nothing.
    fn release(&mut self, release: &SignedRelease, place: Place) -> Result<(), Refusal> {
        if place.channel != Channel::Journal {
            return Err(Refusal::Ordered);
        }
        let project = &release.project;
        let incoming = self.releases.remove(&place).ok_or(Refusal::Lost)?;
        let takes_over = release.claim.is_some() || release.recovers.is_some();
        if takes_over && !self.takes_claims {
            return Err(Refusal::NotTaken);
        }
        // What whoever runs the index asks for comes first, whatever stands before it in time.
        if self.pages.is_touched(project)
            || self.ordered.contains(project)
            || self.taken_from(project).is_touched()
        {
            return Err(Refusal::Meanwhile);
        }
        let (state, skipped) = (self.state, self.skipped);
        let notice = self.taken_from(project).list().recovery.clone();
        let recovery = (notice.as_ref(), self.recovery_delay);
        let (present, now) = (&self.present, self.now);
        let mut accepted =
            release::judge(state, skipped, release, &incoming, present, recovery, now)?;
        self.demand_open(project, &accepted)?;
        if let Some((keys, role)) = accepted.claim.take() {
            let listed = self.state.snapshot.as_bytes().len();
            if !room::is_left(listed, self.released.len()) {
                return Err(Refusal::SnapshotFull);
            }
            self.claim(project, keys, role, &accepted.before)?;
        }
        self.see_since(project, &accepted)?;
        if let Some((keys, role)) = accepted.handed.take() {
            self.delegate(project, |below| release::replace(below, keys, role))?;
        }
        // Whoever can still sign has not lost their keys; and those who have them are found now.
        if self.drop_notice(project) {
            tracing::warn!(%project, recovered = release.recovers.is_some(), "nobody asks for other keys any more");
        }
        for entry in &accepted.new {
            let filename = entry.filename.as_str().to_owned();
            let named = NamedFile::of(project, entry);
            self.names.insert((project.clone(), filename), named);
        }
        self.released.insert(project.clone(), accepted);
        Ok(())
    }

    /// Delegates to a project's own role, and takes the project out of the bins: what the index
    /// signs says nothing of it any more.
    fn claim(
        &mut self,
        project: &ProjectName,
        keys: Vec<Key>,
        role: DelegatedRole,
        files: &[PageFile],
    ) -> Result<(), Refusal> {
        self.delegate(project, |below| release::delegate(below, keys, role))?;
        let page = page_target(project);
        let bin = self.state.bin(Family::Simple, &page);
        if let Some(content) = self.roles.get_mut(&bin)
            && content.targets.remove(&page).is_some()
        {
            self.changed.insert(bin);
        }
        for entry in files {
            if let Ok(target) = file_target(project, entry.filename.as_str()) {
                self.take_target(&target);
            }
        }
        Ok(())
    }

    /// The target of a file that the index answers for: also of a project whose claim has just ended.
    fn unclaimed(&self, project: &ProjectName, filename: &str) -> Result<TargetPath, String> {
        if self.returned.contains(project) {
            return judge::target(project, filename);
        }
        judge::unclaimed(self.state, project, filename)
    }

    /// Whether the index answers for a project.
    fn unclaimed_project(&self, project: &ProjectName) -> Result<(), String> {
        match self.returned.contains(project) {
            true => Ok(()),
            false => judge::unclaimed_project(self.state, project),
        }
    }

    /// Takes a project's delegation back, and lists its page and its files in the bins as they stand.
    /// The index answers for all of it from then on; clients that know the claim refuse that.
    fn end_claim(&mut self, project: &ProjectName) -> Result<(), String> {
        if self.returned.contains(project) {
            return Ok(());
        }
        if !self.end_delegation(project) {
            return Err(match self.state.delegation_of(project) {
                Some(_) => {
                    format!("{project} is claimed with an offline key, and a ceremony ends that")
                }
                None => format!("{project} is not claimed"),
            });
        }
        // What was taken away stays away: the page that the index signs again is the one that everybody
        // saw.
        let list = std::mem::replace(
            self.taken_from(project).edit(),
            TakenAway::nothing(project.clone()),
        );
        self.pages.take_away(project, &list);
        let page = self.pages.of(project);
        // Rendered once more, and listed in its bin.
        page.relist(Vec::new());
        let files: Vec<PageFile> = page.files().cloned().collect();
        for entry in files {
            self.target_anew(project, &entry);
        }
        self.returned.insert(project.clone());
        Ok(())
    }

    fn add(&mut self, file: &NewFile, writer: JournalWriter) -> Result<(), String> {
        let page = self.pages.of(&file.project);
        let examined = judge::new_file(self.state, writer, file, page, &self.present, self.now)?;
        match examined {
            Examined::New(filename, target) => {
                judge::provenance(file, &self.flaws)?;
                let below = self.provenance_below.as_deref();
                let entry = page_file(file, filename, writer, below, self.now);
                let entry = self.as_listed(&file.project, entry)?;
                self.list(&file.project, target, entry)
            }
            Examined::Back(target, entry) => {
                let entry = self.as_listed_now(&file.project, *entry);
                self.list(&file.project, target, entry)
            }
            Examined::There => Ok(()),
        }
    }

    /// The entry of a new file with the hashes that are to be listed.
    fn as_listed(&self, project: &ProjectName, entry: PageFile) -> Result<PageFile, String> {
        if self.listed == ListedHashes::default() {
            return Ok(entry);
        }
        let filename = entry.filename.as_str();
        if !self.listed.sha256() && filename.len() > MAX_SHA512_FILENAME_LEN {
            return Err(format!(
                "{filename}: a name of {} bytes is too long for an index that names files after their \
                 sha512, at most {MAX_SHA512_FILENAME_LEN} are allowed",
                filename.len()
            ));
        }
        match listed::relisted(&entry, self.listed, self.sha512_of(project, &entry)) {
            Some(entry) => Ok(entry),
            // Nobody has read it for what is asked for only now: a later turn does.
            None if self.all_anew => Ok(entry),
            None => Err(format!(
                "{filename} is not in the tree with the sha256 that it came with"
            )),
        }
    }

    /// The entry of a file that comes back, with the hashes that are to be listed, as far as they are
    /// known.
    fn as_listed_now(&self, project: &ProjectName, entry: PageFile) -> PageFile {
        let sha512 = self.sha512_of(project, &entry);
        listed::relisted(&entry, self.listed, sha512).unwrap_or(entry)
    }

    /// The SHA-512 of a file that does not list it, where it was read for that.
    fn sha512_of(&self, project: &ProjectName, entry: &PageFile) -> Option<Sha512> {
        let sha256 = Sha256(entry.sha256()?.into());
        let path = ObjectPath::file(project, &sha256, entry.filename.as_str()).ok()?;
        self.sha512.get(&path).copied()
    }

    /// Lists the hashes anew of all files of a project, as far as they are known.
    pub(super) fn relist(&mut self, project: &ProjectName) {
        let is_released = self.released.contains_key(project);
        if is_released || judge::unclaimed_project(self.state, project).is_err() {
            return;
        }
        let listed = self.listed;
        let page = self.pages.of(project);
        if !page.is_known() {
            return;
        }
        let others: Vec<PageFile> = page
            .files()
            .filter(|file| !listed::conforms(file, listed))
            .cloned()
            .collect();
        let relisted = others
            .iter()
            .filter_map(|entry| listed::relisted(entry, listed, self.sha512_of(project, entry)));
        let mut relisted: Vec<PageFile> = relisted.collect();
        relisted.retain(|entry| !self.is_contradicted(project, entry));
        let page = self.pages.of(project);
        // Names that were lost come back with it.
        let named = page
            .files()
            .filter_map(|file| SecondName::of_file(project, file));
        self.seconds.extend(named);
        for entry in page.relist(relisted) {
            self.target_anew(project, &entry);
        }
    }

    fn remove(
        &mut self,
        project: &ProjectName,
        filename: &str,
        reason: Option<&str>,
    ) -> Result<(), String> {
        if self.is_claimed(project) {
            return self.withdraw(project, filename, reason);
        }
        let target = self.unclaimed(project, filename)?;
        let page = self.pages.of(project);
        if page.removed(filename).is_some() {
            return Ok(());
        }
        let known = page
            .remove(filename, whole_seconds(self.now))
            .map_err(|full| full.to_string())?;
        if !known {
            return Err(not_listed(filename));
        }
        self.take_target(&target);
        self.names
            .insert((project.clone(), filename.to_owned()), None);
        Ok(())
    }

    fn restore(&mut self, project: &ProjectName, filename: &str) -> Result<(), String> {
        if self.is_claimed(project) {
            return self.give_back(project, filename);
        }
        let target = self.unclaimed(project, filename)?;
        let page = self.pages.of(project);
        if page.file(filename).is_some() {
            return Ok(());
        }
        let Some(removed) = page.removed(filename).cloned() else {
            return Err(format!("{} was not removed", filename.escape_debug()));
        };
        if page.status() == &Status::Quarantined {
            return Err(format!("{project} is quarantined: it lists no files"));
        }
        let entry = judge::brought_back(project, &removed, removed.yanked.clone(), &self.present)?;
        let entry = self.as_listed_now(project, entry);
        self.list(project, target, entry)
    }

    fn yank(
        &mut self,
        project: &ProjectName,
        filename: &str,
        yanked: Option<&str>,
    ) -> Result<(), String> {
        if self.is_claimed(project) {
            return self.yank_signed(project, filename, yanked);
        }
        self.unclaimed(project, filename)?;
        let known = self
            .pages
            .of(project)
            .yank(filename, yanked_of(yanked))
            .map_err(|full| full.to_string())?;
        if known {
            Ok(())
        } else {
            Err(not_listed(filename))
        }
    }

    fn set_status(
        &mut self,
        project: &ProjectName,
        word: &str,
        reason: Option<&str>,
    ) -> Result<(), String> {
        let status = match Status::from(word.to_owned()) {
            Status::Other(word) => {
                return Err(format!("{} is no state of a project", word.escape_debug()));
            }
            status => status,
        };
        if self.is_claimed(project) {
            return self.set_signed_status(project, status, status_reason(reason));
        }
        let page = self.pages.of(project);
        if !page.is_known() {
            return Err(format!("{project} is not in the index"));
        }
        let (mut gone, mut back) = (Vec::new(), Vec::new());
        match (page.status(), &status) {
            (Status::Quarantined, Status::Quarantined) => {}
            (_, Status::Quarantined) => gone = page.withhold(),
            (Status::Quarantined, _) => {
                for entry in page.withheld() {
                    judge::complete(project, entry, &self.present)
                        .map_err(|why| format!("{why}: restore it, or remove that file first"))?;
                }
                back = page.release();
            }
            (_, _) => {}
        }
        page.set_status(ProjectStatus {
            status,
            reason: status_reason(reason),
            ..ProjectStatus::default()
        });
        for filename in gone {
            if let Ok(target) = file_target(project, &filename) {
                self.take_target(&target);
            }
            self.names.insert((project.clone(), filename), None);
        }
        for entry in back {
            let next = self.as_listed_now(project, entry.clone());
            // One for which the page has no room stays as it was.
            let listed = self.pages.of(project).relist(vec![next]).pop();
            self.name_and_target(project, &listed.unwrap_or(entry));
        }
        Ok(())
    }

    fn set_certificates(
        &mut self,
        project: &ProjectName,
        certificates: Option<&str>,
        required: bool,
        in_place_of: Option<Sha256>,
    ) -> Result<(), String> {
        self.unclaimed_project(project)?;
        let page = self.pages.of(project);
        if !page.is_known() {
            return Err(format!("{project} is not in the index"));
        }
        let bound = certificates.map(|text| judge::certificates(text, required));
        let bound = bound.transpose()?;
        if page.certificates() == bound.as_ref() {
            return Ok(());
        }
        let known = page.certificates().map(|known| Sha256(known.sha256.into()));
        if known != in_place_of {
            return Err(format!(
                "the certificates of {project} were changed meanwhile: look at them, and ask for it once more"
            ));
        }
        page.bind_certificates(bound);
        let text = certificates.map(str::to_owned);
        self.certificates.insert(project.clone(), text);
        Ok(())
    }

    /// Lists a file, in its page and in its bin, and gives it its names.
    fn list(
        &mut self,
        project: &ProjectName,
        target: TargetPath,
        entry: PageFile,
    ) -> Result<(), String> {
        let filename = entry.filename.as_str().to_owned();
        let (Some(info), Some(named)) = (target_info(&entry), NamedFile::of(project, &entry))
        else {
            return Err(format!("{filename} is signed without its length or sha256"));
        };
        let second = SecondName::of_file(project, &entry);
        let (bin, content) = bin_of(self.state, &mut self.roles, &target);
        if content
            .targets
            .get(&target)
            .is_some_and(|known| contradict(known, &info))
        {
            return Err(format!(
                "{filename} is signed with another sha256 in {bin}, which never changes"
            ));
        }
        self.pages
            .of(project)
            .add(entry)
            .map_err(|full| full.to_string())?;
        content.targets.insert(target, info);
        self.changed.insert(bin);
        self.seconds.extend(second);
        self.names.insert((project.clone(), filename), Some(named));
        Ok(())
    }

    /// Lists other hashes of a file in its bin.
    fn target_anew(&mut self, project: &ProjectName, entry: &PageFile) {
        let target = file_target(project, entry.filename.as_str()).ok();
        let (Some(target), Some(info)) = (target, target_info(entry)) else {
            return;
        };
        let (bin, content) = bin_of(self.state, &mut self.roles, &target);
        content.targets.insert(target, info);
        self.changed.insert(bin);
        self.seconds.extend(SecondName::of_file(project, entry));
    }

    /// Whether a file's own target speaks of other bytes than its entry.
    fn is_contradicted(&mut self, project: &ProjectName, entry: &PageFile) -> bool {
        let target = file_target(project, entry.filename.as_str()).ok();
        let (Some(target), Some(info)) = (target, target_info(entry)) else {
            return true;
        };
        let (_, content) = bin_of(self.state, &mut self.roles, &target);
        let known = content.targets.get(&target);
        known.is_none_or(|known| contradict(known, &info))
    }

    /// Lists a released file in its bin, as it was, and gives it its names.
    fn name_and_target(&mut self, project: &ProjectName, entry: &PageFile) {
        let filename = entry.filename.as_str();
        let (Ok(target), Some(info), Some(named)) = (
            file_target(project, filename),
            target_info(entry),
            NamedFile::of(project, entry),
        ) else {
            return;
        };
        let (bin, content) = bin_of(self.state, &mut self.roles, &target);
        content.targets.insert(target, info);
        self.changed.insert(bin);
        self.seconds.extend(SecondName::of_file(project, entry));
        self.names
            .insert((project.clone(), filename.to_owned()), Some(named));
    }

    /// Takes a file out of its bin, if it stands there.
    fn take_target(&mut self, target: &TargetPath) {
        let (bin, content) = bin_of(self.state, &mut self.roles, target);
        if content.targets.remove(target).is_some() {
            self.changed.insert(bin);
        }
    }
}

/// Whether two targets speak of other bytes.
fn contradict(one: &TargetInfo, other: &TargetInfo) -> bool {
    let sha512 = one.hashes.sha512().zip(other.hashes.sha512());
    one.length != other.length
        || one.sha256() != other.sha256()
        || sha512.is_some_and(|(one, other)| one != other)
}

/// The bin of a file, with its content.
fn bin_of<'a>(
    state: &State,
    roles: &'a mut HashMap<RoleName, Targets>,
    target: &TargetPath,
) -> (RoleName, &'a mut Targets) {
    let bin = state.bin(Family::Packages, target);
    let content = roles.get_mut(&bin).expect("gathered with the change");
    (bin, content)
}

pub(super) fn not_listed(filename: &str) -> String {
    format!("{} is not in the index", filename.escape_debug())
}
