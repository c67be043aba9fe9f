//! Files that are taken in together: objects first, then the journal, then the memory.

use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use wheelmark_objects::{ObjectPath, Outside, OutsideFile, TakenIn};
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Admission, NewFile};
use wheelmark_tuf::Sha256;

use super::{ByName, Pass, PassError};
use crate::content::{Body, Prepared};
use crate::known::{Remember, Row};
use crate::listed::Place;

/// Most files of a batch. Each may be open; a process may as a rule open a thousand.
const MOST_FILES: usize = 384;

/// Most bytes of a batch that lie in temporary files, beyond one file.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;

/// Most bytes of core metadata and chunk lists that a batch holds in memory, beyond one file's.
const MOST_HELD: u64 = 64 * 1024 * 1024;

/// Who brought a file, in the catalogue.
const BROUGHT_BY: &str = "sign-tree";

/// Files that wait to be taken in.
#[derive(Default)]
pub(super) struct Batch {
    files: Vec<Prepared>,
    names: ByName,
    temporary: u64,
    held: u64,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.files.len() >= MOST_FILES || self.temporary >= MOST_BYTES || self.held >= MOST_HELD
    }

    /// Whether a file of this name waits.
    pub(super) fn has(&self, project: &ProjectName, filename: &str) -> bool {
        let name = (project.clone(), filename.to_owned());
        self.names.contains_key(&name)
    }

    /// Adds a file, unless one of its name is there: then it comes back, with the digest of that.
    pub(super) fn add(&mut self, file: Prepared) -> Result<(), (Box<Prepared>, Sha256)> {
        let name = (
            file.listed.project.clone(),
            file.listed.filename.to_string(),
        );
        if let Some(first) = self.names.get(&name) {
            return Err((Box::new(file), *first));
        }
        if let Body::Temporary(_) = file.body {
            self.temporary += file.hashed.len;
        }
        let held = [&file.metadata, &file.hashed.chunks];
        self.held += held
            .into_iter()
            .flatten()
            .map(|bytes| bytes.len() as u64)
            .sum::<u64>();
        self.names.insert(name, file.hashed.sha256);
        self.files.push(file);
        Ok(())
    }
}

/// A file on its way into the tree.
struct Coming {
    prepared: Prepared,
    path: ObjectPath,
}

/// Whether a file has to be moved into the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    /// It is there.
    No,
    /// It does, and everybody may read it where it was.
    Public,
    /// It does, and not everybody may read it where it was.
    Private,
}

impl Pass {
    /// Takes in what waits, and writes down what was done.
    pub(super) async fn flush(&mut self) -> Result<(), PassError> {
        let batch = std::mem::take(&mut self.batch);
        let mut remember = std::mem::take(&mut self.touched);
        let (mut outside, mut coming) = (Vec::new(), Vec::new());
        for mut prepared in batch.files {
            let (project, filename) = (&prepared.listed.project, prepared.listed.filename.as_str());
            let path = match ObjectPath::file(project, &prepared.hashed.sha256, filename) {
                Ok(path) => path,
                Err(error) => {
                    self.report.skipped(filename.to_owned(), error.to_string());
                    continue;
                }
            };
            let body = std::mem::replace(&mut prepared.body, Body::Present);
            match self.open(&prepared, body) {
                Ok(file) => {
                    let coming_in = Coming { prepared, path };
                    match file {
                        Some(file) => {
                            let path = coming_in.path.clone();
                            let moved = if is_private(&file) {
                                Moved::Private
                            } else {
                                Moved::Public
                            };
                            outside.push(Outside { path, file });
                            coming.push((coming_in, moved));
                        }
                        None => coming.push((coming_in, Moved::No)),
                    }
                }
                Err(why) => {
                    let project = prepared.listed.project.clone();
                    let filename = prepared.listed.filename.to_string();
                    self.failed(&project, &filename, why).await?;
                }
            }
        }
        let mut taken = self
            .tree
            .take_in(outside, self.choices.sharing)
            .await?
            .into_iter();
        let mut here = Vec::with_capacity(coming.len());
        for (Coming { prepared, path }, moved) in coming {
            let taken = match moved {
                Moved::No => None,
                Moved::Public | Moved::Private => taken.next(),
            };
            let why = match taken {
                None => None,
                Some(TakenIn::Here(manner)) => {
                    self.report.counts.manner(manner);
                    if moved == Moved::Private {
                        let filename = prepared.listed.filename.to_string();
                        let place = prepared.listed.shown_place();
                        self.report.made_public(filename, place);
                    }
                    None
                }
                Some(TakenIn::Changed) => Some("it was written to after it was read".to_owned()),
                Some(TakenIn::Different) => Some(format!(
                    "{} is there with other bytes: it was changed in place; remove it, and run again",
                    self.tree.local_path(&path).display()
                )),
            };
            match why {
                None => here.push(prepared),
                Some(why) => {
                    let project = prepared.listed.project.clone();
                    let filename = prepared.listed.filename.to_string();
                    self.failed(&project, &filename, why).await?;
                }
            }
        }
        let here = self.place_companions(here).await?;
        self.admit(here, &mut remember).await?;
        // What admitting met.
        remember.append(&mut self.touched);
        if !remember.is_empty() {
            self.known.remember(&remember).await?;
        }
        self.known
            .settle_projects(&std::mem::take(&mut self.read))
            .await?;
        Ok(())
    }

    /// Opens what is to be taken in; nothing where it is in the tree.
    fn open(&self, prepared: &Prepared, body: Body) -> Result<Option<OutsideFile>, String> {
        match (body, &prepared.listed.place) {
            (Body::Temporary(file), _) => Ok(Some(OutsideFile::Ours(file))),
            (Body::Local(stamp), Place::Local(path)) => {
                let beneath = self.source.beneath().ok_or("its directory is gone")?;
                let file = beneath.file(path).map_err(|error| error.to_string())?;
                Ok(Some(OutsideFile::Theirs(file, stamp)))
            }
            (Body::Present | Body::Local(_), _) => Ok(None),
        }
    }

    async fn admit(
        &mut self,
        files: Vec<Prepared>,
        remember: &mut Vec<Remember>,
    ) -> Result<(), PassError> {
        if files.is_empty() {
            return Ok(());
        }
        let mut new = Vec::with_capacity(files.len());
        for prepared in &files {
            let (project, filename) = (&prepared.listed.project, prepared.listed.filename.as_str());
            let back_signed = self.known.was_there_before(project, filename).await?;
            new.push(self.new_file(prepared, back_signed));
        }
        let back_signed: Vec<bool> = new.iter().map(|file| file.back_signed).collect();
        let admissions = self.store.admit_all(new).await?;
        for ((prepared, admission), back_signed) in
            files.into_iter().zip(admissions).zip(back_signed)
        {
            let Prepared {
                listed,
                hashed,
                odd,
                ..
            } = prepared;
            let (project, filename) = (listed.project.clone(), listed.filename.to_string());
            let row = |sha256| Row::signed(sha256, listed.known_by.clone(), listed.yanked.clone());
            let seq = match admission {
                Admission::Recorded(seq) => {
                    self.asked += 1;
                    let counts = &mut self.report.counts;
                    match back_signed {
                        true => counts.back_signed += 1,
                        false => counts.signed_at_discovery += 1,
                    }
                    if let Some(why) = odd {
                        self.report.odd(filename.clone(), why);
                    }
                    seq
                }
                // Brought by a pass that was cut off before it had written that down.
                Admission::Same(seq) => {
                    self.report.counts.unchanged += 1;
                    seq
                }
                Admission::Different { existing } => {
                    // Counted when it was listed.
                    self.report.counts.listed -= 1;
                    let row = Row::signed(existing, None, listed.yanked.clone());
                    self.conflict(&listed, row, hashed.sha256).await?;
                    continue;
                }
            };
            self.progress.admitted(1);
            remember.push(Remember {
                row: row(hashed.sha256),
                project,
                filename,
                seq: Some(seq.0),
            });
        }
        Ok(())
    }

    fn new_file(&self, prepared: &Prepared, back_signed: bool) -> NewFile {
        let uploaded_at = prepared.uploaded_at.unwrap_or(self.now).min(self.now);
        NewFile {
            project: prepared.listed.project.clone(),
            filename: prepared.listed.filename.to_string(),
            sha256: prepared.hashed.sha256,
            size: prepared.hashed.len,
            uploaded_at: whole_microseconds(uploaded_at),
            requires_python: prepared.requires_python.clone(),
            core_metadata_sha256: prepared.metadata.as_deref().map(Sha256::of),
            chunks_sha256: prepared.hashed.chunks.as_deref().map(Sha256::of),
            gpg_signature: None,
            provenance_sha256: None,
            uploaded_by: BROUGHT_BY.to_owned(),
            back_signed,
            yanked: prepared.listed.yanked.clone(),
        }
    }
}

/// Whether somebody else's file is not for everybody to read.
fn is_private(file: &OutsideFile) -> bool {
    match file {
        OutsideFile::Ours(_) => false,
        OutsideFile::Theirs(file, _) => file
            .metadata()
            .is_ok_and(|metadata| metadata.mode() & 0o004 == 0),
    }
}

/// The time to the microsecond, which is what a page can hold (PEP 700).
fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
