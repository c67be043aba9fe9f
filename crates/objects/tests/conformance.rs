//! Every backend passes the same suite. A new one adds an `impl Backend` and one line below.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "conformance/suite.rs"]
mod suite;

use bytes::Bytes;
use tempfile::{NamedTempFile, TempDir};
use wheelmark_objects::{Creation, Directory, LockError, ObjectError, ObjectPath, WriterLock};

use suite::Backend;

impl Backend for Directory {
    type Lock = WriterLock;
    /// The tree's own directory, removed at the end of the test.
    type Home = TempDir;

    async fn home() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    async fn open(home: &TempDir) -> Directory {
        Directory::open(&home.path().join("tree")).await.unwrap()
    }

    async fn lock(&self) -> Result<WriterLock, LockError> {
        Directory::lock(self).await
    }

    async fn create(&self, path: &ObjectPath, bytes: Bytes) -> Result<Creation, ObjectError> {
        Directory::create(self, path, bytes).await
    }

    async fn create_all(
        &self,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<Vec<Creation>, ObjectError> {
        Directory::create_all(self, objects).await
    }

    async fn place(&self, path: &ObjectPath, bytes: &[u8]) -> Result<Creation, ObjectError> {
        let file = NamedTempFile::new_in(self.incoming()).unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Directory::place(self, path, file).await
    }

    async fn link(&self, from: &ObjectPath, to: &ObjectPath) -> Result<Creation, ObjectError> {
        Directory::link(self, from, to).await
    }

    async fn link_all(
        &self,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<Vec<Result<Creation, ObjectError>>, ObjectError> {
        Directory::link_all(self, links).await
    }

    async fn unname_all(
        &self,
        lock: &WriterLock,
        paths: Vec<ObjectPath>,
    ) -> Result<(), ObjectError> {
        Directory::unname_all(self, lock, paths).await
    }

    async fn replace(
        &self,
        lock: &WriterLock,
        path: &ObjectPath,
        bytes: Bytes,
    ) -> Result<(), ObjectError> {
        Directory::replace(self, lock, path, bytes).await
    }

    async fn replace_all(
        &self,
        lock: &WriterLock,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<(), ObjectError> {
        Directory::replace_all(self, lock, objects).await
    }

    async fn read(&self, path: &ObjectPath, max_len: u64) -> Result<Option<Bytes>, ObjectError> {
        Directory::read(self, path, max_len).await
    }

    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, ObjectError> {
        Directory::size(self, path).await
    }
}

suite::conformance!(directory, Directory);
