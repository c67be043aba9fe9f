use super::archives::{METADATA, SDIST, Tar, gzip, header, seal};
use super::check;
use crate::inspect::{MAX_EXTENDED_HEADER_LEN, MAX_PATH_LEN};

#[track_caller]
fn check_tar(tar: Tar, expect: &str) {
    check(SDIST, &tar.gz(), expect);
}

#[test]
fn paths_are_safe() {
    for path in [
        "../evil",
        "/etc/x",
        "demo-1.0/../../x",
        "demo-1.0/a\\b",
        "demo-1.0//x",
        "./../x",
        "././x",
        "",
        "x/./y",
    ] {
        check_tar(
            Tar::demo().file(path, b""),
            "the archive has the unsafe path",
        );
        check_tar(
            Tar::demo().pax(&[("path", path)]).file("demo-1.0/x", b""),
            "the archive has the unsafe path",
        );
    }
    check_tar(
        Tar::demo().raw(&header(b'0', b"demo-1.0/\xff", b"", 0)),
        "the archive has the unsafe path",
    );
    check_tar(
        Tar::demo().file("demo-1.0/x/", b"1"),
        "the archive has the unsafe path",
    );
    let long = format!("demo-1.0/{}", "a".repeat(MAX_PATH_LEN));
    check_tar(
        Tar::demo().pax(&[("path", &long)]).file("x", b""),
        "the archive has a path of 4105 bytes",
    );
    check_tar(
        Tar::demo()
            .entry(b'L', "././@LongLink", "", long.as_bytes())
            .file("x", b""),
        "the archive has a path of 4105 bytes",
    );
}

#[test]
fn links_stay_inside() {
    for target in [
        "/etc/passwd",
        "../x",
        "../demo-1.0/x",
        "a/../../x",
        "",
        "a/../PKG-INFO",
    ] {
        check_tar(
            Tar::demo().entry(b'2', "demo-1.0/link", target, b""),
            "the archive has an unsafe link at `demo-1.0/link`",
        );
    }
    for target in ["/etc/passwd", "../x", "demo-1.0", "demo-1.0/absent", ""] {
        check_tar(
            Tar::demo().entry(b'1', "demo-1.0/link", target, b""),
            "the archive has an unsafe link at `demo-1.0/link`",
        );
    }
    let pax =
        Tar::demo()
            .pax(&[("linkpath", "../../x")])
            .entry(b'2', "demo-1.0/link", "PKG-INFO", b"");
    check_tar(pax, "the archive has an unsafe link");
    let long = Tar::demo()
        .entry(b'K', "././@LongLink", "", b"/etc/passwd\0")
        .entry(b'2', "demo-1.0/link", "PKG-INFO", b"");
    check_tar(long, "the archive has an unsafe link");
    // Nothing is written through a link, before or after it.
    let through = Tar::demo()
        .entry(b'2', "demo-1.0/d", "e", b"")
        .file("demo-1.0/d/x", b"");
    check_tar(through, "the archive has two entries for `demo-1.0/d`");
    let earlier = Tar::demo()
        .file("demo-1.0/d/x", b"")
        .entry(b'2', "demo-1.0/d", "e", b"");
    check_tar(earlier, "the archive has two entries for `demo-1.0/d`");
}

#[test]
fn no_path_is_there_twice() {
    let again = Tar::demo().file("demo-1.0/PKG-INFO", b"Name: other\n");
    check_tar(again, "the archive has two entries for `demo-1.0/PKG-INFO`");
    check_tar(
        Tar::demo().file("./demo-1.0/PKG-INFO", b""),
        "the archive has two entries for `demo-1.0/PKG-INFO`",
    );
    check_tar(
        Tar::demo().directory("demo-1.0/").directory("demo-1.0"),
        "accepted",
    );
    check_tar(
        Tar::demo().file("demo-1.0/x", b"").directory("demo-1.0/x"),
        "the archive has two entries for `demo-1.0/x`",
    );
}

#[test]
fn sparse_files_are_refused() {
    check_tar(
        Tar::demo().entry(b'S', "demo-1.0/x", "", b""),
        "not an acceptable tar archive: entry 2 is a sparse file",
    );
    for keyword in ["GNU.sparse.major", "GNU.sparse.size", "GNU.sparse.name"] {
        let pax = Tar::demo().pax(&[(keyword, "1")]).file("demo-1.0/x", b"");
        check_tar(
            pax,
            "not an acceptable tar archive: entry 2 is a sparse file",
        );
    }
}

#[test]
fn only_files_directories_and_links() {
    for kind in [b'3', b'4', b'6'] {
        check_tar(
            Tar::demo().entry(kind, "demo-1.0/x", "", b""),
            "the archive has an entry at `demo-1.0/x` that is neither",
        );
    }
    for kind in [b'7', b'A', b'M', b'V', b'X', 0xff] {
        check_tar(
            Tar::demo().entry(kind, "demo-1.0/x", "", b""),
            "not an acceptable tar archive: entry 2 has the unknown type",
        );
    }
    for kind in [b'1', b'2', b'5'] {
        let with_body = Tar::demo().entry(kind, "demo-1.0/x", "y", b"body");
        check_tar(with_body, "the archive has two entries for `demo-1.0/x`");
    }
}

/// Some readers stop at a NUL, others take the whole field.
#[test]
fn names_end_at_the_first_nul() {
    let refused = "not an acceptable tar archive: entry 2 has a malformed header";
    for (at, bytes) in [
        (0, &b"demo-1.0/x\0evil"[..]),
        (157, b"PKG-INFO\0/etc/passwd"),
        (345, b"demo-1.0\0evil"),
    ] {
        let mut block = header(b'2', b"demo-1.0/x", b"PKG-INFO", 0);
        block[at..at + bytes.len()].copy_from_slice(bytes);
        seal(&mut block);
        check_tar(Tar::demo().raw(&block), refused);
    }
}

/// A file is one kind of archive to everybody.
#[test]
fn a_tar_archive_is_no_zip_archive() {
    let refused = "not an acceptable tar archive: the file can be read as a zip archive as well";
    // Stored, not deflated, so that the bytes of the zip archive are bytes of the file; its
    // comment takes in the rest of the tar archive and the end of the gzip data.
    let mut inner = super::archives::zip(&[("evil.py", b"x")]);
    let tar = |inner: &[u8]| {
        let mut tar = Tar::demo().file("demo-1.0/data.zip", inner);
        tar.0.resize(tar.0.len() + 1024, 0);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, &tar.0).unwrap();
        encoder.finish().unwrap()
    };
    check(SDIST, &tar(&inner), "accepted");
    let whole = tar(&inner);
    let end = whole
        .windows(4)
        .rposition(|four| four == b"PK\x05\x06")
        .unwrap();
    let comment = u16::try_from(whole.len() - end - 22).unwrap();
    let at = inner.len() - 2;
    inner[at..].copy_from_slice(&comment.to_le_bytes());
    let polyglot = tar(&inner);
    assert!(zip::ZipArchive::new(std::io::Cursor::new(&polyglot)).is_ok());
    check(SDIST, &polyglot, refused);
}

#[test]
fn no_two_files_are_one_where_case_does_not_count() {
    let twice = Tar::demo().file("demo-1.0/x", b"").file("demo-1.0/X", b"");
    check_tar(
        twice,
        "the archive has `demo-1.0/X` and `demo-1.0/x`, which are one file",
    );
    let link = Tar::demo()
        .file("demo-1.0/x", b"")
        .entry(b'2', "demo-1.0/X", "x", b"");
    check_tar(link, "the archive has `");
    let through = Tar::demo()
        .entry(b'2', "demo-1.0/D", "e", b"")
        .file("demo-1.0/d/x", b"");
    check_tar(through, "the archive has `demo-1.0/D` and `demo-1.0/d/x`");
}

/// Readers that take one length or the other see different entries from here on.
#[test]
fn a_length_is_said_once() {
    let refused =
        "not an acceptable tar archive: entry 3 has a malformed or contradictory extended header";
    check_tar(
        Tar::demo()
            .pax(&[("size", "4")])
            .file("demo-1.0/x", b"body"),
        "accepted",
    );
    check_tar(
        Tar::demo().pax(&[("size", "1024")]).file("demo-1.0/x", b""),
        refused,
    );
    check_tar(
        Tar::demo()
            .pax(&[("size", "0")])
            .file("demo-1.0/x", b"body"),
        refused,
    );
}

#[test]
fn extended_headers_say_everything_once() {
    let refused =
        "not an acceptable tar archive: entry 2 has a malformed or contradictory extended header";
    let third =
        "not an acceptable tar archive: entry 3 has a malformed or contradictory extended header";
    let path = ("path", "demo-1.0/x");
    check_tar(Tar::demo().pax(&[path]).file("x", b""), "accepted");
    check_tar(Tar::demo().pax(&[path, path]).file("x", b""), refused);
    check_tar(
        Tar::demo()
            .pax(&[path])
            .pax(&[("mtime", "1")])
            .file("x", b""),
        third,
    );
    check_tar(
        Tar::demo()
            .pax(&[path])
            .entry(b'L', "l", "", b"demo-1.0/y")
            .file("x", b""),
        third,
    );
    check_tar(Tar::demo().pax(&[path]), third);
    check_tar(
        Tar::demo().pax(&[("hdrcharset", "BINARY")]).file("x", b""),
        refused,
    );
    check_tar(
        Tar::demo()
            .entry(b'g', "g", "", b"16 path=demo/x\n\n")
            .file("x", b""),
        refused,
    );
    for body in [
        "9 a=b\n",
        "x a=b\n",
        "6 a=b",
        "6 ab\n\n",
        "5 =b\n",
        "99999999999999999999 a=b\n",
        "7 a=\0b\n",
        "0 a=b\n",
    ] {
        check_tar(
            Tar::demo()
                .entry(b'x', "x", "", body.as_bytes())
                .file("demo-1.0/x", b""),
            refused,
        );
    }
    for name in [&b"\0"[..], b"demo-1.0/x\0y"] {
        check_tar(
            Tar::demo()
                .entry(b'L', "l", "", name)
                .file("demo-1.0/x", b""),
            refused,
        );
    }
}

#[test]
fn headers_are_well_formed() {
    let refused = "not an acceptable tar archive: entry 2 has a malformed header";
    let with = |change: &dyn Fn(&mut [u8; 512])| {
        let mut block = header(b'0', b"demo-1.0/x", b"", 0);
        change(&mut block);
        Tar::demo().raw(&block)
    };
    check_tar(with(&|_| {}), "accepted");
    check_tar(with(&|block| block[0] = b'e'), refused);
    let sealed = |at: usize, bytes: &'static [u8]| {
        with(&move |block| {
            block[at..at + bytes.len()].copy_from_slice(bytes);
            seal(block);
        })
    };
    check_tar(sealed(124, b"0000000008\0"), refused);
    check_tar(sealed(124, b"-0000000001"), refused);
    check_tar(
        sealed(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        refused,
    );
    check_tar(sealed(124, b"\x80\xff\0\0\0\0\0\0\0\0\0\0"), refused);
    check_tar(sealed(124, b"000 00000000"), refused);
    check_tar(sealed(124, b"\x80\0\0\0\0\0\0\0\0\0\0\0"), "accepted");
    check_tar(sealed(124, b"           0"), "accepted");
    check_tar(sealed(257, b"ustar\x0001"), refused);
    check_tar(sealed(257, b"xstar\x0000"), refused);
    // An extended header is one only for those who do not look at the format.
    for kind in [b'x', b'g', b'L', b'K'] {
        let block = with(&move |block| {
            block[156] = kind;
            block[257..265].fill(0);
            seal(block);
        });
        check_tar(block, refused);
    }
    // And so is a prefix.
    check_tar(sealed(257, b"ustar  \0"), "accepted");
    let prefixed = |magic: &'static [u8; 8]| {
        with(&move |block| {
            block[..100].fill(0);
            block[0] = b'x';
            block[257..265].copy_from_slice(magic);
            block[345..353].copy_from_slice(b"demo-1.0");
            seal(block);
        })
    };
    check_tar(prefixed(b"ustar\x0000"), "accepted");
    check_tar(prefixed(b"ustar  \0"), refused);
    check_tar(prefixed(b"\0\0\0\0\0\0\0\0"), refused);
}

#[test]
fn there_is_nothing_behind_the_end() {
    let refused = "not an acceptable tar archive: there are bytes behind the end";
    let mut hidden = Tar::demo();
    hidden.0.resize(hidden.0.len() + 1024, 0);
    let hidden = hidden.file("demo-1.0/PKG-INFO", METADATA.as_bytes());
    check_tar(hidden, refused);
    let mut lone = Tar::demo();
    lone.0.resize(lone.0.len() + 512, 0);
    check_tar(lone.file("demo-1.0/x", b""), refused);
    let mut padded = Tar::demo();
    padded.0.resize(20 * 512, 0);
    check_tar(padded, "accepted");

    let mut second_member = Tar::demo().gz();
    second_member.extend_from_slice(&Tar::default().file("evil/PKG-INFO", b"").gz());
    check(SDIST, &second_member, refused);
    let mut zeros = Tar::demo().gz();
    zeros.push(0);
    check(SDIST, &zeros, refused);
    check(
        SDIST,
        &gzip(&Tar::demo().0[..1000]),
        "the archive is damaged or cut short: the tar archive ends within an entry",
    );
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 70 * 1024 * 1024];
    let bomb = Tar::demo().file("demo-1.0/x", &zeros).gz();
    check(
        SDIST,
        &bomb,
        "the archive unpacks to more than 67108864 bytes",
    );
    // Also behind the end.
    let mut padded = Tar::demo();
    padded.0.extend_from_slice(&zeros);
    check_tar(padded, "the archive unpacks to more than 67108864 bytes");

    let long = MAX_EXTENDED_HEADER_LEN + 1;
    for kind in [b'x', b'g', b'L', b'K'] {
        let tar = Tar::demo().raw(&header(kind, b"h", b"", long));
        check_tar(
            tar,
            "not an acceptable tar archive: entry 2 has an extended header of 262145 bytes",
        );
    }
    let huge = Tar::demo().raw(&header(b'0', b"demo-1.0/x", b"", 0o77_777_777_777));
    check_tar(
        huge,
        "the archive is damaged or cut short: the tar archive ends within an entry",
    );
    let metadata = vec![b'\n'; 9 * 1024 * 1024];
    check_tar(
        Tar::default().file("demo-1.0/PKG-INFO", &metadata),
        "`demo-1.0/PKG-INFO` is longer than 8388608 bytes",
    );
}

#[test]
fn there_are_not_too_many_entries() {
    let mut tar = Tar::demo();
    let block = header(b'5', b"demo-1.0", b"", 0);
    tar.0.extend_from_slice(&block.repeat(100_001));
    check_tar(tar, "the archive has more than 100000 entries");
}
