//! What is accepted reads the same for other readers, whatever was changed in it.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::archives::{
    METADATA, SDIST, Tar, WHEEL, WheelFiles, borrow, gzip, seal, stored_zip, zip,
};
use super::open;

/// Every file of a zip archive, as a library that walks the central directory reads it.
fn by_directory(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let mut contents = Vec::new();
            file.read_to_end(&mut contents).unwrap();
            (file.name().unwrap().into_owned(), contents)
        })
        .collect()
}

/// The same, as a library that walks the local headers reads it.
fn by_headers(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut rest = bytes;
    let mut files = BTreeMap::new();
    while let Some(mut file) = zip::read::read_zipfile_from_stream(&mut rest).unwrap() {
        let mut contents = Vec::new();
        file.read_to_end(&mut contents).unwrap();
        files.insert(file.name().unwrap().into_owned(), contents);
    }
    files
}

/// Every ordinary file of a tar archive, as a library reads it.
fn by_tar(bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        (entry.path_bytes().into_owned(), contents)
    });
    entries.collect()
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3)
}

fn change(bytes: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    for (at, value) in changes {
        bytes[at.index(bytes.len())] = *value;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn on_zip_archives(changes in changes(), stored in any::<bool>()) {
        let files = WheelFiles::default().all();
        let mut bytes = if stored { stored_zip(&borrow(&files)) } else { zip(&borrow(&files)) };
        change(&mut bytes, &changes);
        if let Ok(inspected) = open(WHEEL, &bytes) {
            let seen = by_directory(&bytes);
            prop_assert_eq!(&seen["demo-1.0.dist-info/METADATA"], &inspected.metadata_bytes);
            prop_assert_eq!(seen, by_headers(&bytes));
        }
    }

    #[test]
    fn on_tar_archives(changes in changes()) {
        let mut tar = Tar::demo().file("demo-1.0/a", b"body").pax(&[("path", "demo-1.0/b")]).file("x", b"more");
        tar.0.resize(tar.0.len() + 1024, 0);
        change(&mut tar.0, &changes);
        // Headers stand at these places; what was changed in them is not to be refused for the
        // checksum alone.
        for at in [0, 512, 1536, 2560, 3584] {
            let block: &mut [u8; 512] = (&mut tar.0[at..at + 512]).try_into().unwrap();
            seal(block);
        }
        if let Ok(inspected) = open(SDIST, &gzip(&tar.0)) {
            let seen = by_tar(&tar.0);
            prop_assert_eq!(&seen[&b"demo-1.0/PKG-INFO"[..]], &inspected.metadata_bytes);
            prop_assert!(seen.keys().all(|path| path.starts_with(b"demo-1.0")), "{seen:?}");
        }
    }
}

/// The places that the property above seals are those of headers.
#[test]
fn an_unchanged_archive_is_accepted() {
    let tar = Tar::demo()
        .file("demo-1.0/a", b"body")
        .pax(&[("path", "demo-1.0/b")])
        .file("x", b"more");
    for at in [0, 512, 1536, 2560, 3584] {
        assert_eq!(&tar.0[at + 257..at + 262], b"ustar");
    }
    assert!(open(SDIST, &gzip(&tar.0)).is_ok());
    assert_eq!(
        by_tar(&tar.0)[&b"demo-1.0/PKG-INFO"[..]],
        METADATA.as_bytes()
    );
    let files = WheelFiles::default().all();
    assert_eq!(
        by_headers(&zip(&borrow(&files))),
        files.into_iter().collect()
    );
}
