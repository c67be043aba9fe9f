//! An index of the test's own: keys, tree, store, a clock that the test moves.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "a test binary may use a part of this alone")]

use std::io::Write as _;
use std::ops::{Deref, DerefMut};

use wheelmark_objects::{ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_repository::{
    BinForm, Engine, JournalWriter, Lifetimes, LogPlace, OnlineKeys, OpenError,
};
use wheelmark_store::{
    Actor, Admission, Checked, NewFile, NewToken, Outcome, Scope, Seq, UserName, format_token,
};
use wheelmark_tuf::{
    Cached, Clock, Found, Limits, Refresh, Sha256, Target, TargetPath, TrustedSet, Verified,
};

pub(crate) struct TestIndex(wheelmark_testing::Index);

impl Deref for TestIndex {
    type Target = wheelmark_testing::Index;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for TestIndex {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl TestIndex {
    pub(crate) async fn new(bins: u32, form: BinForm) -> Self {
        Self::new_in(std::env::temp_dir(), bins, form).await
    }

    pub(crate) async fn new_in(
        parent: impl AsRef<std::path::Path>,
        bins: u32,
        form: BinForm,
    ) -> Self {
        Self::new_at(parent, bins, form, 1_780_000_000).await
    }

    /// One that begins at that second.
    pub(crate) async fn new_at(
        parent: impl AsRef<std::path::Path>,
        bins: u32,
        form: BinForm,
        second: i64,
    ) -> Self {
        let index = wheelmark_testing::Index::laid(parent.as_ref(), bins, form, second).await;
        Self(index)
    }

    pub(crate) async fn engine(&self) -> Engine {
        self.try_engine().await.unwrap()
    }

    /// An engine that takes everything: who writes the journal is whoever runs the index.
    pub(crate) async fn try_engine(&self) -> Result<Engine, OpenError> {
        self.engine_of(JournalWriter::Operator).await
    }

    pub(crate) async fn engine_of(&self, writer: JournalWriter) -> Result<Engine, OpenError> {
        Engine::open(
            self.tree.clone(),
            self.store.clone(),
            self.logged(),
            self.clock.clone(),
            Lifetimes::default(),
            writer,
        )
        .await
    }

    /// The online key, with its log.
    pub(crate) fn logged(&self) -> OnlineKeys {
        OnlineKeys::from(self.online.clone()).logged(self.log())
    }

    /// Where the log of what the online key signs is.
    pub(crate) fn log(&self) -> LogPlace {
        LogPlace::new(self.folder.path().join("signing-log"))
    }

    /// Somebody who may upload everything.
    pub(crate) async fn bearer(&self) -> wheelmark_store::Bearer {
        self.bearer_of("alice", "alice-1", Scope::Admin).await
    }

    /// Somebody with a token, who is added if nobody has the name.
    pub(crate) async fn bearer_of(
        &self,
        user: &str,
        id: &str,
        scope: Scope,
    ) -> wheelmark_store::Bearer {
        let text = format_token(&Sha256::of(id.as_bytes()).0);
        let by = Actor::Operator {
            account: "root".to_owned(),
        };
        let user: UserName = user.parse().unwrap();
        let now = self.clock.now();
        drop(self.store.add_user(&user, &by, now).await);
        let token = NewToken {
            id: id.to_owned(),
            user,
            scope,
            secret_sha256: Sha256::of(text.as_bytes()),
            expires_at: None,
            note: String::new(),
        };
        self.store.create_token(&token, &by, now).await.unwrap();
        match self.store.check_token(&text, now).await.unwrap() {
            Checked::Good(bearer) => bearer,
            other => panic!("not good: {other:?}"),
        }
    }

    /// Places a file in the tree and describes it, as the web process does.
    pub(crate) async fn place(&self, filename: &str, content: &[u8]) -> NewFile {
        let project = wheelmark_packaging::DistributionFilename::parse(filename)
            .unwrap()
            .project()
            .clone();
        let file = NewFile {
            project,
            filename: filename.to_owned(),
            sha256: Sha256::of(content),
            size: content.len() as u64,
            uploaded_at: self.clock.now(),
            requires_python: None,
            core_metadata_sha256: None,
            chunks_sha256: None,
            gpg_signature: None,
            provenance_sha256: None,
            uploaded_by: "test".into(),
            back_signed: false,
            yanked: None,
        };
        self.place_as(&file, content).await;
        file
    }

    /// Places the content of a file in the tree.
    pub(crate) async fn place_as(&self, file: &NewFile, content: &[u8]) {
        let path = ObjectPath::file(&file.project, &file.sha256, &file.filename).unwrap();
        let mut temp = tempfile::NamedTempFile::new_in(self.tree.incoming()).unwrap();
        temp.write_all(content).unwrap();
        self.tree.place(&path, temp).await.unwrap();
    }

    /// Writes to the store's rows as an intruder would; how many rows it concerned.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        let path = self.folder.path().join("catalogue.sqlite");
        let url = format!("sqlite://{}", path.display());
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
            .await
            .unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
        done.rows_affected()
    }

    /// Places a file and admits it to the journal.
    pub(crate) async fn upload(&self, filename: &str, content: &[u8]) -> Seq {
        let file = self.place(filename, content).await;
        match self.store.admit(file).await.unwrap() {
            Admission::Recorded(seq) => seq,
            other => panic!("{filename} was not recorded: {other:?}"),
        }
    }

    pub(crate) async fn published(&self, seq: Seq) -> bool {
        matches!(
            self.store.outcome(seq).await.unwrap(),
            Some(Outcome::Published { .. })
        )
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("repository").join(path)).ok()
    }

    /// What a fresh client comes to trust, reading the tree as any client would.
    pub(crate) fn client(&self) -> TrustedSet {
        let mut refresh = Refresh::new(
            &self.root,
            Cached::default(),
            self.clock.now(),
            Limits::default(),
        )
        .unwrap();
        while let Some(need) = refresh.need() {
            let answer = self.bytes(&format!("metadata/{}", need.path));
            (refresh, _) = refresh.supply(answer).unwrap();
        }
        refresh.finish().unwrap()
    }

    /// Looks a target up as a fresh client.
    pub(crate) fn find(&self, path: &TargetPath) -> Option<Verified<Target>> {
        let trusted = self.client();
        let mut lookup = trusted.lookup(path);
        while let Some(need) = lookup.need() {
            let bytes = self
                .bytes(&format!("metadata/{}", need.fetch.path))
                .unwrap();
            lookup.supply(bytes).unwrap();
        }
        match lookup.finish().unwrap() {
            Found::Target(target) => Some(target),
            Found::Absent { .. } => None,
        }
    }

    /// A project's page, verified.
    pub(crate) fn page(&self, project: &str) -> Option<ProjectPage> {
        let project: ProjectName = project.parse().unwrap();
        let target = self.find(&page_target(&project))?;
        let bytes = self
            .bytes(&format!("targets/{}", target.hash_named()))
            .expect("a signed page is in the tree");
        target.check(&bytes).unwrap();
        Some(ProjectPage::parse(&bytes).unwrap())
    }

    /// The file names on a project's verified page, each checked against the bytes in the tree
    /// and against the file's own target.
    pub(crate) fn files(&self, project: &str) -> Vec<String> {
        let Some(page) = self.page(project) else {
            return Vec::new();
        };
        page.files
            .iter()
            .map(|file| {
                let name = file.filename.as_str();
                let target = self
                    .find(&file_target(&page.name, name).unwrap())
                    .unwrap_or_else(|| panic!("{name} is on the page but no bin lists it"));
                let bytes = self
                    .bytes(&format!("targets/{}", target.hash_named()))
                    .unwrap_or_else(|| panic!("{name} is signed but not in the tree"));
                target.check(&bytes).unwrap();
                assert_eq!(file.sha256().unwrap().0, Sha256::of(&bytes).0);
                assert_eq!(
                    self.bytes(&format!("packages/{}/{name}", page.name)),
                    Some(bytes)
                );
                name.to_owned()
            })
            .collect()
    }

    /// Every metadata file in the tree but the timestamp, by name.
    pub(crate) fn versions(&self) -> std::collections::BTreeMap<String, Vec<u8>> {
        let folder = self.folder.path().join("repository/metadata");
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .filter(|(name, _)| name != "timestamp.json")
            .collect()
    }
}
