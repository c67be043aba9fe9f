//! What a tree must do, wherever it is kept.

use bytes::Bytes;
use wheelmark_objects::{Creation, LockError, ObjectError, ObjectPath};
use wheelmark_tuf::Sha256;

/// The operations of a backend, under the names and with the meaning of `Directory`'s.
///
/// It exists for this suite alone: the program uses each backend as what it is.
pub(crate) trait Backend: Clone {
    type Lock;
    type Home;

    /// A place where no tree is yet.
    async fn home() -> Self::Home;
    /// The tree in that place, as another process would open it.
    async fn open(home: &Self::Home) -> Self;
    async fn lock(&self) -> Result<Self::Lock, LockError>;
    async fn create(&self, path: &ObjectPath, bytes: Bytes) -> Result<Creation, ObjectError>;
    async fn create_all(
        &self,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<Vec<Creation>, ObjectError>;
    /// Uploads `bytes` and gives them their place.
    async fn place(&self, path: &ObjectPath, bytes: &[u8]) -> Result<Creation, ObjectError>;
    async fn link(&self, from: &ObjectPath, to: &ObjectPath) -> Result<Creation, ObjectError>;
    async fn link_all(
        &self,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<Vec<Result<Creation, ObjectError>>, ObjectError>;
    async fn unname_all(
        &self,
        lock: &Self::Lock,
        paths: Vec<ObjectPath>,
    ) -> Result<(), ObjectError>;
    async fn replace(
        &self,
        lock: &Self::Lock,
        path: &ObjectPath,
        bytes: Bytes,
    ) -> Result<(), ObjectError>;
    async fn replace_all(
        &self,
        lock: &Self::Lock,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<(), ObjectError>;
    async fn read(&self, path: &ObjectPath, max_len: u64) -> Result<Option<Bytes>, ObjectError>;
    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, ObjectError>;
}

/// Makes a module of tests that run the suite against one backend.
macro_rules! conformance {
    ($name:ident, $backend:ty) => {
        mod $name {
            use super::*;
            suite::conformance!(@tests $backend:
                an_object_is_created_once,
                other_bytes_are_refused,
                an_absent_object_is_none,
                reading_has_a_limit,
                of_many_creators_one_wins,
                a_batch_is_created_and_created_again,
                a_large_batch_is_created,
                a_batch_that_meets_other_bytes_is_refused,
                a_batch_may_name_an_object_twice,
                an_upload_is_placed_once,
                an_object_gets_a_second_name,
                a_second_name_is_never_taken_from_another,
                many_objects_get_their_names,
                a_second_name_goes_and_comes_back,
                nothing_but_second_names_goes,
                only_what_may_change_is_replaced,
                a_reader_sees_one_version_or_the_other,
                there_is_one_writer,
                what_was_written_is_there_for_the_next_process,
            );
        }
    };
    (@tests $backend:ty: $($test:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let home = <$backend as Backend>::home().await;
                suite::$test::<$backend>(&home).await;
            }
        )*
    };
}
pub(crate) use conformance;

const ROOMY: u64 = 1 << 20;

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn page(text: &[u8]) -> ObjectPath {
    ObjectPath::page(&"flask".parse().unwrap(), &Sha256::of(text))
}

fn file(text: &[u8]) -> ObjectPath {
    let filename = "flask-3.1.0-py3-none-any.whl";
    ObjectPath::file(&"flask".parse().unwrap(), &Sha256::of(text), filename).unwrap()
}

fn plain_file() -> ObjectPath {
    ObjectPath::plain_file(&"flask".parse().unwrap(), "flask-3.1.0-py3-none-any.whl").unwrap()
}

fn bin(number: usize) -> ObjectPath {
    ObjectPath::metadata(&format!("packages-{number:04x}").parse().unwrap(), 1)
}

fn is_different<T: std::fmt::Debug>(result: Result<T, ObjectError>, path: &ObjectPath) {
    match result {
        Err(ObjectError::Different { path: named }) => assert_eq!(&named, path),
        other => panic!("expected {path} to be different, found {other:?}"),
    }
}

pub(crate) async fn an_object_is_created_once<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let path = page(b"page");
    assert_eq!(
        tree.create(&path, bytes("page")).await.unwrap(),
        Creation::Created
    );
    assert_eq!(
        tree.create(&path, bytes("page")).await.unwrap(),
        Creation::AlreadySame
    );
    assert_eq!(tree.read(&path, ROOMY).await.unwrap(), Some(bytes("page")));
    assert_eq!(tree.size(&path).await.unwrap(), Some(4));
    assert_eq!(
        tree.create(&bin(0), Bytes::new()).await.unwrap(),
        Creation::Created
    );
    assert_eq!(tree.read(&bin(0), 0).await.unwrap(), Some(Bytes::new()));
}

pub(crate) async fn other_bytes_are_refused<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let path = page(b"page");
    tree.create(&path, bytes("page")).await.unwrap();
    for other in ["pagE", "pag", "page ", ""] {
        is_different(tree.create(&path, bytes(other)).await, &path);
        is_different(tree.place(&path, other.as_bytes()).await, &path);
    }
    assert_eq!(tree.read(&path, ROOMY).await.unwrap(), Some(bytes("page")));
}

pub(crate) async fn an_absent_object_is_none<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    for _ in 0..2 {
        assert_eq!(tree.read(&page(b""), ROOMY).await.unwrap(), None);
        assert_eq!(tree.size(&page(b"")).await.unwrap(), None);
        // Now its directory is there.
        tree.create(&page(b"other"), bytes("other")).await.unwrap();
    }
}

pub(crate) async fn reading_has_a_limit<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    tree.create(&bin(0), bytes("12345")).await.unwrap();
    assert_eq!(tree.read(&bin(0), 5).await.unwrap(), Some(bytes("12345")));
    match tree.read(&bin(0), 4).await {
        Err(ObjectError::TooLarge {
            path,
            length,
            limit,
        }) => {
            assert_eq!((path, length, limit), (bin(0), 5, 4));
        }
        other => panic!("expected a limit, found {other:?}"),
    }
}

pub(crate) async fn of_many_creators_one_wins<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let other = B::open(home).await;
    for round in 0..30 {
        let path = bin(round);
        let (a, b, c, d) = tokio::join!(
            tree.create(&path, bytes("same")),
            other.create(&path, bytes("same")),
            tree.create(&path, bytes("different")),
            other.place(&path, b"same"),
        );
        let stored = tree.read(&path, ROOMY).await.unwrap().unwrap();
        let mut created = 0;
        for (result, wrote) in [(a, "same"), (b, "same"), (c, "different"), (d, "same")] {
            match result {
                Ok(creation) => {
                    assert_eq!(stored, wrote);
                    created += usize::from(creation == Creation::Created);
                }
                Err(error) => {
                    assert_ne!(stored, wrote);
                    is_different::<()>(Err(error), &path);
                }
            }
        }
        assert_eq!(created, 1);
    }
}

fn batch(count: usize) -> Vec<(ObjectPath, Bytes)> {
    (0..count)
        .map(|number| (bin(number), Bytes::from(format!("bin {number}"))))
        .collect()
}

async fn create_batch<B: Backend>(home: &B::Home, count: usize) {
    let tree = B::open(home).await;
    tree.create(&bin(1), bytes("bin 1")).await.unwrap();
    let mut expected = vec![Creation::Created; count];
    expected[1] = Creation::AlreadySame;
    assert_eq!(tree.create_all(batch(count)).await.unwrap(), expected);
    assert_eq!(
        tree.create_all(batch(count)).await.unwrap(),
        vec![Creation::AlreadySame; count]
    );
    for (path, bytes) in batch(count) {
        assert_eq!(tree.read(&path, ROOMY).await.unwrap(), Some(bytes));
    }
}

pub(crate) async fn a_batch_is_created_and_created_again<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    assert_eq!(tree.create_all(Vec::new()).await.unwrap(), []);
    create_batch::<B>(home, 5).await;
}

pub(crate) async fn a_large_batch_is_created<B: Backend>(home: &B::Home) {
    create_batch::<B>(home, 1500).await;
}

pub(crate) async fn a_batch_that_meets_other_bytes_is_refused<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    tree.create(&bin(3), bytes("not bin 3")).await.unwrap();
    for count in [5, 600] {
        is_different(tree.create_all(batch(count)).await, &bin(3));
    }
    assert_eq!(
        tree.read(&bin(3), ROOMY).await.unwrap(),
        Some(bytes("not bin 3"))
    );
}

pub(crate) async fn a_batch_may_name_an_object_twice<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let twice = |second| vec![(bin(0), bytes("one")), (bin(0), bytes(second))];
    let created = tree.create_all(twice("one")).await.unwrap();
    assert_eq!(created, [Creation::Created, Creation::AlreadySame]);
    is_different(tree.create_all(twice("two")).await, &bin(0));
}

pub(crate) async fn an_upload_is_placed_once<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let wheel = vec![7; 300_000];
    let path = file(&wheel);
    assert_eq!(tree.place(&path, &wheel).await.unwrap(), Creation::Created);
    assert_eq!(
        tree.place(&path, &wheel).await.unwrap(),
        Creation::AlreadySame
    );
    let mut other = wheel.clone();
    other[299_999] = 8;
    is_different(tree.place(&path, &other).await, &path);
    assert_eq!(
        tree.read(&path, ROOMY).await.unwrap(),
        Some(Bytes::from(wheel))
    );
}

pub(crate) async fn an_object_gets_a_second_name<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let (from, to) = (file(b"wheel"), plain_file());
    match tree.link(&from, &to).await {
        Err(ObjectError::Missing { path }) => assert_eq!(path, from),
        other => panic!("expected nothing to link, found {other:?}"),
    }
    tree.place(&from, b"wheel").await.unwrap();
    assert_eq!(tree.link(&from, &to).await.unwrap(), Creation::Created);
    assert_eq!(tree.link(&from, &to).await.unwrap(), Creation::AlreadySame);
    assert_eq!(tree.read(&to, ROOMY).await.unwrap(), Some(bytes("wheel")));
    assert_eq!(
        tree.create(&to, bytes("wheel")).await.unwrap(),
        Creation::AlreadySame
    );
}

pub(crate) async fn a_second_name_is_never_taken_from_another<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    tree.create(&file(b"one"), bytes("one")).await.unwrap();
    tree.create(&file(b"two"), bytes("two")).await.unwrap();
    tree.create(&plain_file(), bytes("one")).await.unwrap();
    assert_eq!(
        tree.link(&file(b"one"), &plain_file()).await.unwrap(),
        Creation::AlreadySame
    );
    is_different(tree.link(&file(b"two"), &plain_file()).await, &plain_file());
    assert_eq!(
        tree.read(&plain_file(), ROOMY).await.unwrap(),
        Some(bytes("one"))
    );
}

pub(crate) async fn many_objects_get_their_names<B: Backend>(home: &B::Home) {
    const MANY: usize = 400;
    let tree = B::open(home).await;
    let project = "flask".parse().unwrap();
    let content = |n: usize| Bytes::from(format!("content {n}"));
    let name = |n: usize| format!("flask-{n}.tar.gz");
    let object = |n| ObjectPath::file(&project, &Sha256::of(&content(n)), &name(n)).unwrap();
    let plain = |n| ObjectPath::plain_file(&project, &name(n)).unwrap();
    let objects = (0..MANY).map(|n| (object(n), content(n))).collect();
    tree.create_all(objects).await.unwrap();
    // One is missing, and one has a name that is taken.
    let mut links: Vec<_> = (0..MANY).map(|n| (object(n), plain(n))).collect();
    links[7].0 = object(MANY);
    tree.create(&plain(9), bytes("foreign")).await.unwrap();

    for again in [false, true] {
        let linked = tree.link_all(links.clone()).await.unwrap();
        assert_eq!(linked.len(), MANY);
        for (n, done) in linked.into_iter().enumerate() {
            match n {
                7 => assert!(matches!(done, Err(ObjectError::Missing { .. })), "{done:?}"),
                9 => is_different(done, &plain(9)),
                _ if again => assert_eq!(done.unwrap(), Creation::AlreadySame),
                _ => assert_eq!(done.unwrap(), Creation::Created),
            }
        }
    }
    let read = tree.read(&plain(MANY - 1), ROOMY).await.unwrap();
    assert_eq!(read, Some(content(MANY - 1)));
}

pub(crate) async fn a_second_name_goes_and_comes_back<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let lock = tree.lock().await.unwrap();
    tree.place(&file(b"1"), b"1").await.unwrap();
    tree.link(&file(b"1"), &plain_file()).await.unwrap();
    for _ in 0..2 {
        tree.unname_all(&lock, vec![plain_file()]).await.unwrap();
        assert_eq!(tree.size(&plain_file()).await.unwrap(), None);
    }
    assert_eq!(tree.size(&file(b"1")).await.unwrap(), Some(1));
    let again = tree.link(&file(b"1"), &plain_file()).await.unwrap();
    assert_eq!(again, Creation::Created);
    // Not even the folder of it is there.
    let other = ObjectPath::plain_file(&"jinja2".parse().unwrap(), "jinja2-3.tar.gz").unwrap();
    tree.unname_all(&lock, vec![other]).await.unwrap();
}

pub(crate) async fn nothing_but_second_names_goes<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let lock = tree.lock().await.unwrap();
    tree.place(&file(b"1"), b"1").await.unwrap();
    tree.link(&file(b"1"), &plain_file()).await.unwrap();
    for path in [file(b"1"), page(b"1"), bin(1), ObjectPath::timestamp()] {
        let refused = tree
            .unname_all(&lock, vec![plain_file(), path.clone()])
            .await;
        assert!(
            matches!(&refused, Err(ObjectError::NotReplaceable { path: named }) if *named == path),
            "{refused:?}"
        );
    }
    for path in [file(b"1"), plain_file()] {
        assert_eq!(tree.size(&path).await.unwrap(), Some(1));
    }
}

pub(crate) async fn only_what_may_change_is_replaced<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let lock = tree.lock().await.unwrap();
    let project = "flask".parse().unwrap();
    for path in [
        ObjectPath::timestamp(),
        ObjectPath::simple_json(&project),
        ObjectPath::simple_html(&project),
        ObjectPath::simple_list_json(),
        ObjectPath::simple_list_html(),
    ] {
        for text in ["first", "second, longer", ""] {
            tree.replace(&lock, &path, bytes(text)).await.unwrap();
            assert_eq!(tree.read(&path, ROOMY).await.unwrap(), Some(bytes(text)));
        }
    }
    for path in [bin(0), page(b""), file(b""), plain_file()] {
        tree.create(&path, bytes("stays")).await.unwrap();
        let changes = vec![
            (ObjectPath::timestamp(), bytes("goes")),
            (path.clone(), bytes("goes")),
        ];
        let result = tree.replace_all(&lock, changes).await;
        assert!(
            matches!(result, Err(ObjectError::NotReplaceable { path: named }) if named == path)
        );
        assert_eq!(tree.read(&path, ROOMY).await.unwrap(), Some(bytes("stays")));
    }
    assert_eq!(
        tree.read(&ObjectPath::timestamp(), ROOMY).await.unwrap(),
        Some(Bytes::new())
    );
}

pub(crate) async fn a_reader_sees_one_version_or_the_other<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let lock = tree.lock().await.unwrap();
    let version = |number: usize| Bytes::from(vec![number as u8; 20_000 + 1000 * number]);
    tree.replace(&lock, &ObjectPath::timestamp(), version(0))
        .await
        .unwrap();
    let write = async {
        for number in 1..40 {
            tree.replace(&lock, &ObjectPath::timestamp(), version(number))
                .await
                .unwrap();
        }
    };
    let read = async {
        let mut newest = 0;
        while newest < 39 {
            let seen = tree
                .read(&ObjectPath::timestamp(), ROOMY)
                .await
                .unwrap()
                .unwrap();
            let number = usize::from(seen[0]);
            assert_eq!(seen, version(number));
            assert!(number >= newest);
            newest = number;
        }
    };
    tokio::join!(write, read);
}

pub(crate) async fn there_is_one_writer<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    let other = B::open(home).await;
    let lock = tree.lock().await.unwrap();
    for rival in [&tree, &other] {
        assert!(matches!(rival.lock().await, Err(LockError::Held { .. })));
    }
    tree.replace(&lock, &ObjectPath::timestamp(), bytes("1"))
        .await
        .unwrap();
    drop(lock);
    let lock = other.lock().await.unwrap();
    other
        .replace(&lock, &ObjectPath::timestamp(), bytes("2"))
        .await
        .unwrap();
    assert_eq!(
        tree.read(&ObjectPath::timestamp(), 1).await.unwrap(),
        Some(bytes("2"))
    );
}

pub(crate) async fn what_was_written_is_there_for_the_next_process<B: Backend>(home: &B::Home) {
    let tree = B::open(home).await;
    tree.create_all(batch(3)).await.unwrap();
    drop(tree);
    let tree = B::open(home).await;
    assert_eq!(
        tree.create_all(batch(3)).await.unwrap(),
        [Creation::AlreadySame; 3]
    );
}
