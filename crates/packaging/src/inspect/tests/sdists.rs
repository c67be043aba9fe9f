use std::io::Cursor;

use super::archives::{METADATA, SDIST, Tar, gzip, zip};
use super::{check, open, story};
use crate::inspect::core_metadata;

#[test]
fn gives_the_metadata_and_its_bytes() {
    let inspected = open(SDIST, &Tar::demo().gz()).unwrap();
    assert_eq!(inspected.metadata_bytes, METADATA.as_bytes());
    assert_eq!(inspected.metadata.name.as_str(), "demo");
    check("Demo-1.0.0.tgz", &Tar::demo().gz(), "accepted demo 1.0");
}

#[test]
fn accepts_what_different_tools_write() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let long = format!("demo-1.0/{}/file.py", ["directory"; 20].join("/"));
    for (path, contents) in [("demo-1.0/PKG-INFO", METADATA), (long.as_str(), "x")] {
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, path, contents.as_bytes())
            .unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    check(SDIST, &gzip(&bytes), "accepted demo 1.0");

    let dotted = Tar::default()
        .directory("./")
        .directory("./demo-1.0/")
        .file("./demo-1.0/PKG-INFO", METADATA.as_bytes());
    check(SDIST, &dotted.gz(), "accepted demo 1.0");

    let pax = Tar::default()
        .entry(b'g', "pax_global_header", "", b"19 comment=abcdefg\n")
        .pax(&[
            ("path", "demo-1.0/PKG-INFO"),
            ("mtime", "1.5"),
            ("SCHILY.xattr.user.x", "y"),
        ])
        .file("ignored", METADATA.as_bytes());
    check(SDIST, &pax.gz(), "accepted demo 1.0");

    let links = Tar::demo()
        .file("demo-1.0/d/x", b"x")
        .entry(b'2', "demo-1.0/d/up", "../PKG-INFO", b"")
        .entry(b'1', "demo-1.0/y", "demo-1.0/d/x", b"");
    check(SDIST, &links.gz(), "accepted demo 1.0");

    // Without the end mark, and with a file of the oldest format.
    let mut old = super::archives::header(b'\0', b"demo-1.0/PKG-INFO", b"", METADATA.len() as u64);
    old[257..265].fill(0);
    super::archives::seal(&mut old);
    let bare = Tar::default().raw(&old).body(METADATA.as_bytes());
    check(SDIST, &gzip(&bare.0), "accepted demo 1.0");

    // Not any more (PEP 625); what there is, is read.
    let zipped = zip(&[
        ("demo-1.0/PKG-INFO", METADATA.as_bytes()),
        ("demo-1.0/setup.py", b""),
    ]);
    let filename = "demo-1.0.zip".parse().unwrap();
    let existing = core_metadata(Cursor::new(&zipped), &filename);
    assert_eq!(story(existing), "accepted demo 1.0");
    check(
        "demo-1.0.zip",
        &zipped,
        "`demo-1.0.zip` is in a format that is not accepted any more",
    );
}

#[test]
fn name_and_version_are_those_of_the_file() {
    let bytes = Tar::demo().gz();
    check(
        "other-1.0.tar.gz",
        &bytes,
        "the file is named for the project `other`, its metadata is for `demo`",
    );
    check(
        "demo-1.0.1.tar.gz",
        &bytes,
        "the file is named for version 1.0.1, its metadata is for 1.0",
    );
}

#[test]
fn there_is_one_directory_with_pkg_info() {
    check(
        SDIST,
        &Tar::default().directory("demo-1.0").gz(),
        "the archive has no file `demo-1.0/PKG-INFO`",
    );
    check(
        SDIST,
        &Tar::default().gz(),
        "the archive has no file `PKG-INFO`",
    );
    check(
        SDIST,
        &Tar::default().file("PKG-INFO", METADATA.as_bytes()).gz(),
        "the archive has no file `PKG-INFO/PKG-INFO`",
    );
    let nested = Tar::default().file("demo-1.0/demo.egg-info/PKG-INFO", METADATA.as_bytes());
    check(
        SDIST,
        &nested.gz(),
        "the archive has no file `demo-1.0/PKG-INFO`",
    );
    let beside = Tar::demo().file("other/PKG-INFO", METADATA.as_bytes());
    check(
        SDIST,
        &beside.gz(),
        "the source distribution has `other` beside its one directory `demo-1.0`",
    );
    let linked = Tar::default()
        .file("demo-1.0/x", METADATA.as_bytes())
        .entry(b'2', "demo-1.0/PKG-INFO", "x", b"");
    check(
        SDIST,
        &linked.gz(),
        "the archive has no file `demo-1.0/PKG-INFO`",
    );
    let zipped = zip(&[("demo-1.0/PKG-INFO", METADATA.as_bytes()), ("other", b"")]);
    let existing = core_metadata(Cursor::new(&zipped), &"demo-1.0.zip".parse().unwrap());
    assert!(story(existing).starts_with("the source distribution has `other` beside"));
}

#[test]
fn licence_files_are_there() {
    let metadata = "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nLicense-File: LICENSE\n";
    let sdist = || Tar::default().file("demo-1.0/PKG-INFO", metadata.as_bytes());
    check(
        SDIST,
        &sdist().gz(),
        "License-File names `demo-1.0/LICENSE`, and the archive has no such file",
    );
    check(
        SDIST,
        &sdist().file("demo-1.0/LICENSE", b"MIT").gz(),
        "accepted",
    );
}

#[test]
fn what_is_no_gzip_data_is_said_to_be_none() {
    check(SDIST, b"", "the archive is damaged or cut short");
    check(
        SDIST,
        b"<html>not found</html>",
        "the archive is damaged or cut short",
    );
    check(
        SDIST,
        &gzip(b"<html>not found</html>"),
        "the archive is damaged or cut short",
    );
    check(
        SDIST,
        &gzip(&[b'x'; 2048]),
        "not an acceptable tar archive: entry 0 has a malformed header",
    );
    let whole = Tar::demo().gz();
    for length in [1, 10, whole.len() / 2, whole.len() - 1] {
        check(
            SDIST,
            &whole[..length],
            "the archive is damaged or cut short",
        );
    }
    let mut damaged = whole.clone();
    let crc = whole.len() - 8;
    damaged[crc] ^= 1;
    check(SDIST, &damaged, "the archive is damaged or cut short");
    check(
        "demo-1.0.tar.bz2",
        &whole,
        "`demo-1.0.tar.bz2` is in a format that is not accepted any more",
    );
}

#[test]
fn a_failing_reader_is_no_verdict() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    impl std::io::Seek for Broken {
        fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
            Ok(1000)
        }
    }
    for filename in [SDIST, super::archives::WHEEL] {
        let told = super::inspect(Broken, &filename.parse().unwrap());
        assert!(
            matches!(told, Err(super::InspectError::Io(_))),
            "{filename}: {told:?}"
        );
    }
}

/// What is in an existing file is read without today's rules.
#[test]
fn an_existing_file_is_read_as_it_is() {
    let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.6.*\nHome-page: none\n";
    let sdist = Tar::default()
        .file("demo-1.0/PKG-INFO", metadata.as_bytes())
        .gz();
    check(
        SDIST,
        &sdist,
        "the core metadata is not valid: Requires-Python `>=3.6.*`",
    );
    let existing = core_metadata(Cursor::new(&sdist), &SDIST.parse().unwrap()).unwrap();
    assert_eq!(
        existing.metadata.requires_python.as_deref(),
        Some(">=3.6.*")
    );
}
