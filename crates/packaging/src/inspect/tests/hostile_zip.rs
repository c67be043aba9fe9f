use super::archives::{WHEEL, WheelFiles, borrow, stored_zip, zip};
use super::check;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";

/// A well-formed wheel whose first entry is `demo/__init__.py`, not compressed.
fn good() -> Vec<u8> {
    stored_zip(&borrow(&WheelFiles::default().all()))
}

/// Offset of the first record with a signature.
fn find(bytes: &[u8], signature: [u8; 4]) -> usize {
    bytes.windows(4).position(|four| four == signature).unwrap()
}

/// Writes over a field of the first record with a signature.
fn patch(bytes: &mut [u8], signature: [u8; 4], field: usize, value: &[u8]) {
    let at = find(bytes, signature) + field;
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[track_caller]
fn check_patched(patches: &[([u8; 4], usize, &[u8])], expect: &str) {
    let mut bytes = good();
    for (signature, field, value) in patches {
        patch(&mut bytes, *signature, *field, value);
    }
    check(WHEEL, &bytes, expect);
}

#[test]
fn the_directory_may_not_lie() {
    let local = "not an acceptable zip archive: the local header of `demo/__init__.py` contradicts";
    check_patched(&[], "accepted");
    check_patched(&[(LOCAL, 30, b"evil/__init__.py")], local);
    check_patched(&[(LOCAL, 14, &[0; 4])], local);
    check_patched(&[(LOCAL, 22, &[9, 0, 0, 0])], local);
    check_patched(&[(LOCAL, 18, &[9, 0, 0, 0])], local);
    check_patched(&[(LOCAL, 8, &[8, 0])], local);
    check_patched(&[(LOCAL, 0, b"PK\x03\x05")], local);
    check_patched(&[(LOCAL, 26, &[0xff, 0xff])], local);
    let contents = "not an acceptable zip archive: `demo/__init__.py` does not unpack to the length and checksum";
    check_patched(&[(LOCAL, 14, &[0; 4]), (CENTRAL, 16, &[0; 4])], contents);
    check_patched(&[(CENTRAL, 24, &[9, 0, 0, 0])], contents);
    check_patched(
        &[(CENTRAL, 42, &[1, 0, 0, 0])],
        "not an acceptable zip archive: bytes at offset 0 belong to",
    );
    check_patched(&[(LOCAL, 30 + 16, b"evil")], contents);
}

#[test]
fn the_end_may_not_lie() {
    check_patched(
        &[(END, 10, &[1, 0]), (END, 8, &[1, 0])],
        "not an acceptable zip archive: the central directory is malformed",
    );
    check_patched(
        &[(END, 10, &[9, 0]), (END, 8, &[9, 0])],
        "not an acceptable zip archive: the central directory is malformed",
    );
    check_patched(
        &[(END, 8, &[1, 0])],
        "not an acceptable zip archive: the archive is one of several volumes",
    );
    check_patched(
        &[(END, 4, &[1, 0])],
        "not an acceptable zip archive: the archive is one of several volumes",
    );
    check_patched(
        &[(END, 16, &[0; 4])],
        "not an acceptable zip archive: the end record is contradictory",
    );
    check_patched(
        &[(END, 12, &[0xff; 4])],
        "not an acceptable zip archive: the end record is contradictory",
    );
    check_patched(
        &[(END, 8, &[0xff; 4])],
        "not an acceptable zip archive: the end record is contradictory",
    );
    check_patched(
        &[(CENTRAL, 0, b"PK\x01\x03")],
        "not an acceptable zip archive: the central directory is malformed",
    );
    check_patched(
        &[(CENTRAL, 28, &[0xff, 0xff])],
        "not an acceptable zip archive: the central directory is malformed",
    );
}

#[test]
fn there_is_nothing_before_between_or_behind() {
    let mut behind = good();
    behind.extend_from_slice(b"#!/bin/sh");
    check(
        WHEEL,
        &behind,
        "not an acceptable zip archive: the file does not end with a zip end record",
    );

    let mut comment = good();
    patch(&mut comment, END, 20, &[2, 0]);
    comment.extend_from_slice(b"hi");
    check(
        WHEEL,
        &comment,
        "not an acceptable zip archive: the file does not end with a zip end record",
    );

    let mut before = b"#!/usr/bin/env python\n".to_vec();
    before.extend_from_slice(&good());
    check(
        WHEEL,
        &before,
        "not an acceptable zip archive: the end record is contradictory",
    );

    // A second archive whose offsets have been moved to fit.
    let mut moved = b"#!".to_vec();
    moved.extend_from_slice(&good());
    for (signature, field) in [(END, 16), (CENTRAL, 42)] {
        let at = find(&moved, signature) + field;
        moved[at] += 2;
    }
    check(
        WHEEL,
        &moved,
        "not an acceptable zip archive: bytes at offset 0 belong to no entry",
    );

    // A second copy of the whole: the first is hidden from the directory.
    let twice = [good(), good()].concat();
    check(
        WHEEL,
        &twice,
        "not an acceptable zip archive: the end record is contradictory",
    );
}

/// Behind the real end record an entry's comment can hold another one, and a comment of the archive
/// can: whoever looks for the last one, or for the first one from the front, finds the other.
#[test]
fn comments_are_refused() {
    let mut bytes = good();
    let start = find(&bytes, CENTRAL);
    let comment = [&END[..], &[0; 18]].concat();
    bytes[start + 32] = u8::try_from(comment.len()).unwrap();
    let at = start + 46 + 16;
    bytes.splice(at..at, comment.iter().copied());
    let end = bytes.len() - 22;
    bytes[end + 12] += u8::try_from(comment.len()).unwrap();
    check(
        WHEEL,
        &bytes,
        "not an acceptable zip archive: `demo/__init__.py` has a comment in the central directory",
    );

    // An end record in the comment of the other, with and without fitting lengths.
    let mut hidden = good();
    let end: Vec<u8> = hidden[hidden.len() - 22..].to_vec();
    patch(&mut hidden, END, 20, &[22, 0]);
    hidden.extend_from_slice(&end);
    check(
        WHEEL,
        &hidden,
        "not an acceptable zip archive: the end record is contradictory",
    );
}

/// A file is one kind of archive to everybody. The first 512 bytes of a zip archive are a tar header
/// to Python and others as soon as its checksum is right, which is in what a file stores.
#[test]
fn a_zip_archive_is_no_tar_archive() {
    let path = "a".repeat(64);
    let with = |contents: &[u8]| {
        let mut files = WheelFiles::default();
        files.files.insert(0, (path.clone(), contents.to_vec()));
        stored_zip(&borrow(&files.all()))
    };
    let data = 30 + path.len();
    let mut contents = vec![0; 1024];
    check(WHEEL, &with(&contents), "accepted");
    contents[257 - data..265 - data].copy_from_slice(b"ustar\x0000");
    contents[124 - data..136 - data].copy_from_slice(b"00000000000\0");
    // The archive's own checksum of the file is among what is summed up: some filling hits.
    let polyglot = (0_u32..100_000).find_map(|filling| {
        contents[300..304].copy_from_slice(&filling.to_le_bytes());
        contents[148 - data..156 - data].copy_from_slice(b"010000\0 ");
        let bytes = with(&contents);
        let mut sealed: [u8; 512] = bytes[..512].try_into().unwrap();
        super::archives::seal(&mut sealed);
        contents[148 - data..156 - data].copy_from_slice(&sealed[148..156]);
        let bytes = with(&contents);
        let mut again: [u8; 512] = bytes[..512].try_into().unwrap();
        super::archives::seal(&mut again);
        (again[148..156] == bytes[148..156]).then_some(bytes)
    });
    let polyglot = polyglot.unwrap();
    let mut entries = tar::Archive::new(&polyglot[..]);
    assert!(entries.entries().unwrap().next().unwrap().is_ok());
    check(
        WHEEL,
        &polyglot,
        "not an acceptable zip archive: the file can be read as a tar archive as well",
    );
}

#[test]
fn paths_are_safe() {
    for path in [
        "../evil.py",
        "/etc/x",
        "a/../../x",
        "a\\b",
        "C:/x",
        "./a",
        "a//b",
        "\u{1}",
    ] {
        let bytes = zip(&[(path, b"")]);
        check(WHEEL, &bytes, "the archive has the unsafe path");
    }
    let latin1 = "not an acceptable zip archive: `demo/ä.py` uses a feature";
    let mut files = WheelFiles {
        files: vec![("demo/ä.py".to_owned(), Vec::new())],
        ..WheelFiles::default()
    }
    .zip();
    for (signature, field) in [(LOCAL, 7), (CENTRAL, 9)] {
        patch(&mut files, signature, field, &[0]);
    }
    check(WHEEL, &files, latin1);
}

#[test]
fn no_path_is_there_twice() {
    let twice = |second: &str| {
        let mut bytes = stored_zip(&[("demo/__init__.py", b"1"), ("demo/__init__.pX", b"2")]);
        while let Some(at) = bytes
            .windows(16)
            .position(|path| path == b"demo/__init__.pX")
        {
            bytes[at..at + 16].copy_from_slice(second.as_bytes());
        }
        bytes
    };
    check(
        WHEEL,
        &twice("demo/__init__.py"),
        "the archive has two entries for `demo/__init__.py`",
    );
    let nested = stored_zip(&[("demo", b"1"), ("demo/x", b"2")]);
    check(WHEEL, &nested, "the archive has two entries for `demo`");
}

#[test]
fn features_that_nobody_needs_are_refused() {
    let feature = "not an acceptable zip archive: `demo/__init__.py` uses a feature";
    for flags in [[1, 0], [0x20, 0], [0x40, 0], [0, 0x20], [8, 0]] {
        check_patched(&[(LOCAL, 6, &flags), (CENTRAL, 8, &flags)], feature);
    }
    check_patched(
        &[(LOCAL, 8, &[12, 0]), (CENTRAL, 10, &[12, 0])],
        "not an acceptable zip archive: `demo/__init__.py` uses compression method 12",
    );
    check_patched(
        &[(CENTRAL, 34, &[1, 0])],
        "not an acceptable zip archive: the archive is one of several volumes",
    );
    let mode = |mode: u32| (mode << 16).to_le_bytes();
    check_patched(
        &[(CENTRAL, 5, &[3]), (CENTRAL, 38, &mode(0o120_777))],
        "the archive has an unsafe link",
    );
    check_patched(
        &[(CENTRAL, 5, &[3]), (CENTRAL, 38, &mode(0o060_600))],
        "the archive has an entry at",
    );
}

/// Puts an extra field into the first local header and the first entry of the directory.
fn with_extra(local: &[u8], central: &[u8]) -> Vec<u8> {
    let mut bytes = good();
    let insert = |bytes: &mut Vec<u8>, signature, length_at: usize, at: usize, extra: &[u8]| {
        let start = find(bytes, signature);
        bytes[start + length_at] = u8::try_from(extra.len()).unwrap();
        bytes.splice(start + at..start + at, extra.iter().copied());
    };
    insert(&mut bytes, CENTRAL, 30, 46 + 16, central);
    insert(&mut bytes, LOCAL, 28, 30 + 16, local);
    let grow = |bytes: &mut [u8], at: usize, by: usize| {
        let field: &mut [u8; 4] = (&mut bytes[at..at + 4]).try_into().unwrap();
        *field = (u32::from_le_bytes(*field) + u32::try_from(by).unwrap()).to_le_bytes();
    };
    let second = find(&bytes, CENTRAL) + 46 + 16 + central.len();
    let end = find(&bytes, END);
    let mut at = second;
    while at < end {
        grow(&mut bytes, at + 42, local.len());
        let header = &bytes[at..];
        at += 46 + usize::from(header[28]) + usize::from(header[30]);
    }
    grow(&mut bytes, end + 12, central.len());
    grow(&mut bytes, end + 16, local.len());
    bytes
}

fn field(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
}

#[test]
fn extra_fields_say_nothing_else() {
    let numbers = |numbers: &[u64]| {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let refused = "not an acceptable zip archive: `demo/__init__.py` has malformed or misleading extra fields";
    check(WHEEL, &with_extra(b"", b""), "accepted");
    check(
        WHEEL,
        &with_extra(&field(0x5455, &[3, 0, 0, 0, 0]), &field(0x7875, b"x")),
        "accepted",
    );
    // Bazel writes ZIP64 fields that repeat the header.
    check(
        WHEEL,
        &with_extra(&field(1, &numbers(&[12, 12])), b""),
        "accepted",
    );
    check(
        WHEEL,
        &with_extra(&field(1, &numbers(&[12, 13])), b""),
        refused,
    );
    check(
        WHEEL,
        &with_extra(b"", &field(1, &numbers(&[12, 12, 1]))),
        refused,
    );
    check(WHEEL, &with_extra(b"", &field(1, &numbers(&[12]))), refused);
    check(WHEEL, &with_extra(b"", &field(1, b"1234")), refused);
    let twice = [field(1, &numbers(&[12, 12])), field(1, &numbers(&[12, 12]))].concat();
    check(WHEEL, &with_extra(b"", &twice), refused);
    check(
        WHEEL,
        &with_extra(b"", &field(0x7075, b"\x01\0\0\0\0evil.py")),
        refused,
    );
    check(
        WHEEL,
        &with_extra(&field(0x7075, b"\x01\0\0\0\0evil.py"), b""),
        refused,
    );
    check(WHEEL, &with_extra(b"abc", b""), refused);
    check(WHEEL, &with_extra(b"", &[1, 0, 9, 0, 0]), refused);
}

#[test]
fn zip64_ends_are_read_where_they_are_needed_only() {
    let make = |saturate: bool, entries: u64| {
        let mut bytes = good();
        let end = find(&bytes, END);
        let record: [u8; 22] = bytes[end..].try_into().unwrap();
        let number =
            |at: usize| u64::from(u32::from_le_bytes(record[at..at + 4].try_into().unwrap()));
        let (length, start) = (number(12), number(16));
        let mut zip64 = b"PK\x06\x06".to_vec();
        zip64.extend_from_slice(&44_u64.to_le_bytes());
        zip64.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [entries, entries, length, start] {
            zip64.extend_from_slice(&number.to_le_bytes());
        }
        zip64.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        zip64.extend_from_slice(&(end as u64).to_le_bytes());
        zip64.extend_from_slice(&[1, 0, 0, 0]);
        bytes.splice(end..end, zip64);
        if saturate {
            // The offset alone: it says the same, in the form of an archive too large for it.
            let end = bytes.len() - 22;
            bytes[end + 16..end + 20].fill(0xff);
        }
        bytes
    };
    let contradictory = "not an acceptable zip archive: the end record is contradictory";
    check(WHEEL, &make(false, 4), contradictory);
    // The full number has to be one that does not fit.
    check(WHEEL, &make(true, 4), contradictory);
    check(WHEEL, &make(true, 3), contradictory);
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 70 * 1024 * 1024];
    let bomb = zip(&[("demo/zeros", &zeros)]);
    assert!(bomb.len() < 200_000);
    check(
        WHEEL,
        &bomb,
        "the archive unpacks to more than 67108864 bytes",
    );

    // One that hides its length.
    let mut files = WheelFiles::default();
    let contents = zeros[..1_000_000].to_vec();
    files.files.insert(0, ("demo/zeros".to_owned(), contents));
    let mut files = files.all();
    let record = &mut files.last_mut().unwrap().1;
    *record = String::from_utf8(record.clone())
        .unwrap()
        .replace(",1000000", ",")
        .into_bytes();
    let mut wheel = zip(&borrow(&files));
    for (signature, at) in [(LOCAL, 22), (CENTRAL, 24)] {
        patch(&mut wheel, signature, at, &1000_u32.to_le_bytes());
    }
    check(
        WHEEL,
        &wheel,
        "not an acceptable zip archive: `demo/zeros` does not unpack to the length",
    );
}

#[test]
fn overlapping_entries_are_refused() {
    let mut bytes = good();
    let first = find(&bytes, CENTRAL) + 4;
    let second = first + find(&bytes[first..], CENTRAL);
    bytes[second + 42..second + 46].fill(0);
    check(
        WHEEL,
        &bytes,
        "not an acceptable zip archive: bytes at offset",
    );
}

#[test]
fn there_are_not_too_many_entries() {
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend_from_slice(&[0xfe, 0xff, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    check(
        WHEEL,
        &end,
        "not an acceptable zip archive: the central directory is malformed",
    );
}
