//! Somebody who signs for a project, and what they sign.

use jiff::SignedDuration;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use wheelmark_packaging::simple::{PageFile, ProjectPage, ReleasedFile};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_repository::{project_role, targets_of_page};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{
    Bearer, ClaimedKey, NewClaim, NewFile, NewKeys, ReleaseError, ReleaseParts, ReleasedBy, Seq,
    SignedRelease,
};
use wheelmark_tuf::{Clock as _, Role as _, SPEC_VERSION, Sha256, Targets};

use super::index::TestIndex;

/// A key of somebody's own.
pub(crate) fn key(index: &TestIndex, name: &str) -> FileKey {
    FileKey::create(&index.folder.path().join(name), &mut UnwrapErr(SysRng)).unwrap()
}

/// A release before it is signed, to be spoilt by a test.
pub(crate) struct Draft {
    pub(crate) project: ProjectName,
    pub(crate) role: Targets,
    pub(crate) page: ProjectPage,
    /// In place of what the page is rendered as.
    pub(crate) page_bytes: Option<Vec<u8>>,
    /// Whether the role's targets follow from the page.
    pub(crate) lists_page: bool,
    pub(crate) claim: Option<NewClaim>,
    pub(crate) keys: Option<NewKeys>,
    pub(crate) recovers: Option<NewClaim>,
    pub(crate) files: Vec<NewFile>,
    pub(crate) received_at: jiff::Timestamp,
}

/// The next release of a project: its page as it is, and these files, placed in the tree.
pub(crate) async fn draft(
    index: &TestIndex,
    project: &str,
    version: u64,
    new: &[(&str, &[u8])],
) -> Draft {
    let now = index.clock.now();
    let name: ProjectName = project.parse().unwrap();
    let mut page = index
        .page(project)
        .unwrap_or_else(|| ProjectPage::new(name.clone()));
    page.versions.clear();
    let mut files = Vec::new();
    for (filename, content) in new {
        let file = index.place(filename, content).await;
        let metadata = Sha256::of(b"core metadata");
        if filename.ends_with(".whl") {
            let path = wheelmark_objects::ObjectPath::file_metadata(&name, &metadata, filename);
            let objects = vec![(path.unwrap(), "core metadata".into())];
            index.tree.create_all(objects).await.unwrap();
        }
        let entry = ReleasedFile {
            filename: DistributionFilename::parse_for(&name, filename).unwrap(),
            sha256: file.sha256.0.into(),
            size: file.size,
            signed_at: now,
            requires_python: None,
            core_metadata_sha256: filename.ends_with(".whl").then(|| metadata.0.into()),
            chunks_sha256: None,
        };
        page.files.push(PageFile::released(&name, entry));
        files.push(file);
    }
    let mut role = Targets {
        spec_version: SPEC_VERSION.to_owned(),
        version,
        expires: now + SignedDuration::from_hours(24 * 365),
        targets: std::collections::BTreeMap::new(),
        delegations: None,
        extra: std::collections::BTreeMap::new(),
    };
    role.state_role(&project_role(&name));
    Draft {
        project: name,
        role,
        page,
        page_bytes: None,
        lists_page: true,
        claim: None,
        keys: None,
        recovers: None,
        files,
        received_at: now,
    }
}

/// A claim of these keys.
pub(crate) fn claim(keys: &[&FileKey], threshold: u32) -> NewClaim {
    let keys = keys.iter().map(|key| ClaimedKey {
        keyid: key.key().keyid().as_str().to_owned(),
        key: key.key().to_value(),
        maintainer: "alice".to_owned(),
    });
    NewClaim {
        keys: keys.collect(),
        threshold,
    }
}

impl Draft {
    /// Signs it and hands it in, as the web process does.
    pub(crate) async fn hand_in(
        self,
        index: &TestIndex,
        bearer: &Bearer,
        keys: &[&FileKey],
    ) -> Result<Seq, ReleaseError> {
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
        let sign = |canonical: &[u8]| sign_role(canonical, &signers).unwrap();
        self.hand_in_as(index, bearer, sign).await
    }

    /// The same, where `sign` makes the file of what is signed.
    pub(crate) async fn hand_in_as(
        mut self,
        index: &TestIndex,
        bearer: &Bearer,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<Seq, ReleaseError> {
        let page = self.page_bytes.unwrap_or_else(|| self.page.to_json());
        if self.lists_page {
            self.role.targets = targets_of_page(&self.page, &page).unwrap();
        }
        let metadata = sign(&self.role.to_canonical());
        let release = SignedRelease {
            project: self.project,
            metadata_sha256: Sha256::of(&metadata),
            page_sha256: Sha256::of(&page),
            received_at: self.received_at,
            claim: self.claim,
            keys: self.keys,
            recovers: self.recovers,
        };
        let parts = ReleaseParts { metadata, page };
        let by = ReleasedBy {
            bearer,
            address: None,
            at: release.received_at,
        };
        let admitting = index
            .store
            .admit_release(release, &parts, &self.files, &[], by);
        admitting.await
    }
}
