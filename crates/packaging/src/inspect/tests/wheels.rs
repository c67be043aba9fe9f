use std::io::Cursor;

use super::archives::{
    METADATA, WHEEL, WHEEL_FILE, WheelFiles, borrow, options, sha256, stored_zip, zip, zip_with,
};
use super::{check, open, story};
use crate::inspect::core_metadata;

#[test]
fn gives_the_metadata_and_its_bytes() {
    let metadata = "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\nSummary: ä\nRequires-Python: >=3.9\n\nMore.\n";
    let wheel = WheelFiles {
        metadata: metadata.to_owned(),
        ..WheelFiles::default()
    };
    let inspected = open(WHEEL, &wheel.zip()).unwrap();
    assert_eq!(inspected.metadata_bytes, metadata.as_bytes());
    assert_eq!(inspected.metadata.requires_python.as_deref(), Some(">=3.9"));
    assert_eq!(inspected.metadata.summary.as_deref(), Some("ä"));
    assert_eq!(inspected.metadata.description.as_deref(), Some("More.\n"));
}

#[test]
fn accepts_what_different_tools_write() {
    let files = WheelFiles::default().all();
    check(WHEEL, &stored_zip(&borrow(&files)), "accepted demo 1.0");
    check(
        WHEEL,
        &zip_with(&borrow(&files), options().large_file(true)),
        "accepted demo 1.0",
    );
    let with_directories = |files: WheelFiles| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_directory("demo", options()).unwrap();
        for (path, contents) in files.all() {
            writer
                .start_file(path, options().unix_permissions(0o755))
                .unwrap();
            std::io::Write::write_all(&mut writer, &contents).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    check(
        WHEEL,
        &with_directories(WheelFiles::default()),
        "accepted demo 1.0",
    );
    let utf8 = WheelFiles {
        files: vec![
            ("demo/ä ö.py".to_owned(), Vec::new()),
            ("demo/a,b \"c\".txt".to_owned(), b"x".to_vec()),
        ],
        record: Some(format!(
            "demo/ä ö.py,{},0\r\n\"demo/a,b \"\"c\"\".txt\",{},1\r\n\
             demo-1.0.dist-info/METADATA,{},\r\ndemo-1.0.dist-info/WHEEL,{}=,\r\n",
            sha256(b""),
            sha256(b"x"),
            sha256(METADATA.as_bytes()),
            sha256(WHEEL_FILE.as_bytes()),
        )),
        ..WheelFiles::default()
    };
    check(WHEEL, &utf8.zip(), "accepted demo 1.0");
}

/// Data that comes before its lengths, as in a stream: not for a new file, and read in one that
/// exists if everything agrees.
#[test]
fn descriptors() {
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    for (path, contents) in WheelFiles::default().all() {
        writer.start_file(path, options()).unwrap();
        std::io::Write::write_all(&mut writer, &contents).unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    check(
        WHEEL,
        &bytes,
        "not an acceptable zip archive: `demo/__init__.py` has its length and checksum behind its data",
    );
    let existing = |bytes: &[u8]| core_metadata(Cursor::new(bytes), &WHEEL.parse().unwrap());
    assert_eq!(story(existing(&bytes)), "accepted demo 1.0");
    let descriptor = bytes
        .windows(4)
        .position(|four| four == [0x50, 0x4b, 7, 8])
        .unwrap();
    bytes[descriptor + 12] ^= 1;
    let told = story(existing(&bytes));
    assert!(
        told.contains("the local header of `demo/__init__.py` contradicts"),
        "{told}"
    );
}

#[test]
fn name_and_version_are_those_of_the_file() {
    let bytes = WheelFiles::default().zip();
    check("Demo-1.0.0-1-py3-none-any.whl", &bytes, "accepted demo 1.0");
    check(
        "other-1.0-py3-none-any.whl",
        &bytes,
        "the wheel should have one .dist-info directory",
    );
    check(
        "demo-1.1-py3-none-any.whl",
        &bytes,
        "the wheel should have one .dist-info directory",
    );
    let with = |metadata: &str| {
        WheelFiles {
            metadata: metadata.to_owned(),
            ..WheelFiles::default()
        }
        .zip()
    };
    check(
        WHEEL,
        &with("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"),
        "the file is named for the project `demo`, its metadata is for `other`",
    );
    check(
        WHEEL,
        &with("Metadata-Version: 2.1\nName: demo\nVersion: 1.0+local\n"),
        "the file is named for version 1.0, its metadata is for 1.0+local",
    );
    check(
        WHEEL,
        &with("Name: demo\nVersion: 1.0\n"),
        "the core metadata cannot be read: metadata has no Metadata-Version",
    );
    check(
        WHEEL,
        &with(
            "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nLicense: MIT\nLicense-Expression: MIT\n",
        ),
        "the core metadata is not valid: License and License-Expression exclude each other",
    );
}

#[test]
fn a_dist_info_directory_is_there_once() {
    let named = |directory: &str| {
        WheelFiles {
            directory: directory.to_owned(),
            ..WheelFiles::default()
        }
        .zip()
    };
    check(WHEEL, &named("Demo-1.0.0.dist-info"), "accepted demo 1.0");
    check(
        WHEEL,
        &named("demo.dist-info"),
        "the wheel should have one .dist-info directory",
    );
    check(
        WHEEL,
        &named("a/demo-1.0.dist-info"),
        "the wheel should have one .dist-info directory",
    );
    let second = WheelFiles {
        files: vec![("other-2.dist-info/METADATA".to_owned(), METADATA.into())],
        ..WheelFiles::default()
    };
    check(
        WHEEL,
        &second.zip(),
        "the wheel should have one .dist-info directory",
    );
    let less = |name: &str| {
        let files = WheelFiles::default().all();
        let kept: Vec<_> = borrow(&files)
            .into_iter()
            .filter(|(path, _)| !path.ends_with(name))
            .collect();
        zip(&kept)
    };
    for name in ["METADATA", "WHEEL"] {
        let told = format!("it lists `demo-1.0.dist-info/{name}`, which is not in the wheel");
        check(
            WHEEL,
            &less(name),
            &format!("the wheel's RECORD is wrong: {told}"),
        );
    }
    check(
        WHEEL,
        &less("RECORD"),
        "the archive has no file `demo-1.0.dist-info/RECORD`",
    );
    let neither = |name: &str| {
        let files = WheelFiles::default().all();
        let mut kept = files.clone();
        kept.retain(|(path, _)| !path.ends_with(name));
        let record = &mut kept.last_mut().unwrap().1;
        let lines = String::from_utf8(record.clone()).unwrap();
        let lines = lines.lines().filter(|line| !line.contains(name));
        *record = lines
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .into_bytes();
        zip(&borrow(&kept))
    };
    for name in ["METADATA", "WHEEL"] {
        check(
            WHEEL,
            &neither(name),
            &format!("the archive has no file `demo-1.0.dist-info/{name}`"),
        );
    }
}

#[test]
fn the_wheel_version_is_one() {
    let with = |wheel: &str| {
        WheelFiles {
            wheel: wheel.to_owned(),
            ..WheelFiles::default()
        }
        .zip()
    };
    check(
        WHEEL,
        &with("Wheel-Version: 1.9\nTag: py3-none-any\n"),
        "accepted demo 1.0",
    );
    for wheel in [
        "",
        "Wheel-Version: 2.0\n",
        "Wheel-Version: 1\n",
        "Wheel-Version: 1.0\nWheel-Version: 2.0\n",
        "x",
    ] {
        check(WHEEL, &with(wheel), "the WHEEL file is malformed");
    }
}

#[test]
fn the_tags_are_those_of_the_name() {
    let with = |filename: &str, tags: &str, expect: &str| {
        let wheel = WheelFiles {
            wheel: format!("Wheel-Version: 1.0\n{tags}"),
            ..WheelFiles::default()
        };
        check(filename, &wheel.zip(), expect);
    };
    with(WHEEL, "Tag: py3-none-any\n", "accepted");
    let both = "demo-1.0-py2.py3-none-any.whl";
    with(both, "Tag: py2-none-any\nTag: py3-none-any\n", "accepted");
    with(both, "Tag: py3-none-any\nTag: py2-none-any\n", "accepted");
    with(both, "Tag: py2.py3-none-any\n", "accepted");
    let refused = |filename: &str| {
        format!("`{filename}` is named for tags that its WHEEL file does not have")
    };
    with(both, "Tag: py3-none-any\n", &refused(both));
    with(WHEEL, "Tag: py2-none-any\nTag: py3-none-any\n", "accepted");
    // Built for any platform, named for some.
    let narrow = "demo-1.0-py3-none-macosx_11_0_arm64.whl";
    with(narrow, "Tag: py3-none-any\n", "accepted");
    with(narrow, "Tag: py3-none-linux_x86_64\n", &refused(narrow));
    with(WHEEL, "Tag: py3-none-linux_x86_64\n", &refused(WHEEL));
    with(WHEEL, "", &refused(WHEEL));
    with(WHEEL, "Tag: py3-none\n", &refused(WHEEL));
    with(WHEEL, "Tag: cp313-cp313-linux_x86_64\n", &refused(WHEEL));
    let linux = "demo-1.0-cp313-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
    with(
        linux,
        "Tag: cp313-abi3-manylinux2014_x86_64\nTag: cp313-abi3-manylinux_2_17_x86_64\n",
        "accepted",
    );
    // Sets of sets are not worked out at any length.
    let many = |letter: char| -> String {
        let tags: Vec<String> = (0..17).map(|n| format!("{letter}{n}")).collect();
        tags.join(".")
    };
    let set = format!("{}-{}-{}", many('a'), many('b'), many('c'));
    let filename = format!("d-1-{set}.whl");
    assert!(filename.len() < 255);
    let told = super::super::wheel::tags_for_tests(&filename, &[&set]);
    assert!(told.is_err());
    let long = vec!["a"; 300_000].join(".");
    let long = format!("{long}-{long}-{long}");
    assert!(super::super::wheel::tags_for_tests(WHEEL, &[&long]).is_err());
    let lines = vec!["py2-none-any"; 600];
    assert!(super::super::wheel::tags_for_tests(WHEEL, &lines).is_err());
}

#[test]
fn the_record_is_that_of_the_wheel() {
    let rest = format!(
        "demo-1.0.dist-info/METADATA,{},\ndemo-1.0.dist-info/WHEEL,{},\n",
        sha256(METADATA.as_bytes()),
        sha256(WHEEL_FILE.as_bytes())
    );
    let with = |line: &str| {
        WheelFiles {
            record: Some(format!("{line}\n{rest}")),
            ..WheelFiles::default()
        }
        .zip()
    };
    let right = sha256(b"answer = 42\n");
    check(
        WHEEL,
        &with(&format!("demo/__init__.py,{right},12")),
        "accepted",
    );
    check(
        WHEEL,
        &with(&format!("demo/__init__.py,{right},")),
        "accepted",
    );
    check(
        WHEEL,
        &with(""),
        "the wheel's RECORD is wrong: it does not list `demo/__init__.py`",
    );
    check(
        WHEEL,
        &with(&format!("demo/__init__.py,{right},13")),
        "the wheel's RECORD is wrong: it gives `demo/__init__.py` a length of 13 bytes, it has 12",
    );
    check(
        WHEEL,
        &with(&format!("demo/__init__.py,{right},\nx.py,,")),
        "the wheel's RECORD is wrong: it lists `x.py`, which is not",
    );
    check(
        WHEEL,
        &with(&format!(
            "demo/__init__.py,{right},\ndemo/__init__.py,{right},"
        )),
        "the wheel's RECORD is wrong: it lists `demo/__init__.py` twice",
    );
    check(
        WHEEL,
        &with("demo/__init__.py,,12"),
        "the wheel's RECORD is wrong: it has no digest of `demo/__init__.py`",
    );
    for line in [
        "demo/__init__.py",
        "demo/__init__.py,",
        "a,b,c,d",
        "\"a,,",
        "\"a\"b,,",
        "demo/__init__.py,,-1",
    ] {
        check(
            WHEEL,
            &with(line),
            "the wheel's RECORD is wrong: line 1 is not PATH,HASH,SIZE",
        );
    }
    let mut signed = WheelFiles::default();
    signed
        .files
        .push(("demo-1.0.dist-info/RECORD.jws".to_owned(), b"{}".to_vec()));
    signed.record = Some(format!("demo/__init__.py,{right},12\n{rest}"));
    check(WHEEL, &signed.zip(), "accepted");
}

#[test]
fn every_digest_of_the_record_is_computed() {
    let with = |stated: &str| {
        let files = WheelFiles::default().all();
        let (_, record) = files.last().unwrap();
        let record = String::from_utf8(record.clone()).unwrap();
        let right = sha256(b"answer = 42\n");
        assert!(record.contains(&right));
        WheelFiles {
            record: Some(record.replace(&right, stated)),
            ..WheelFiles::default()
        }
        .zip()
    };
    let other = "the wheel's RECORD is wrong: its digest of `demo/__init__.py` is not that of";
    check(WHEEL, &with(&sha256(b"answer = 43\n")), other);
    check(WHEEL, &with(&sha256(b"answer = 42\n")), "accepted");
    let long = |algorithm: &'static aws_lc_rs::digest::Algorithm, name: &str, of: &[u8]| {
        use base64::Engine as _;
        let digest = aws_lc_rs::digest::digest(algorithm, of);
        format!(
            "{name}={}",
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
        )
    };
    for (name, algorithm) in [
        ("sha384", &aws_lc_rs::digest::SHA384),
        ("sha512", &aws_lc_rs::digest::SHA512),
    ] {
        check(
            WHEEL,
            &with(&long(algorithm, name, b"answer = 42\n")),
            "accepted",
        );
        check(
            WHEEL,
            &with(&long(algorithm, name, b"answer = 43\n")),
            other,
        );
    }
    let form = "the wheel's RECORD is wrong: its digest `";
    for stated in [
        "md5=rL0Y20zC-Fzt72VPzMSk2A",
        "sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk",
        "sha256=x",
        "sha256=",
        "sha256",
        "SHA256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
        "sha256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        check(WHEEL, &with(stated), form);
    }
}

#[test]
fn no_two_files_are_one_where_case_does_not_count() {
    let with = |path: &str| {
        let mut wheel = WheelFiles::default();
        wheel.files.push((path.to_owned(), Vec::new()));
        wheel.zip()
    };
    let refused = "the archive has `";
    check(WHEEL, &with("demo/__INIT__.py"), refused);
    check(WHEEL, &with("DEMO/__init__.py"), refused);
    check(WHEEL, &with("Demo/__init__.py/x"), refused);
    check(WHEEL, &with("Demo/other.py"), "accepted");
}

#[test]
fn licence_files_are_there() {
    let with = |version: &str, path: &str| {
        let mut wheel = WheelFiles {
            metadata: format!(
                "Metadata-Version: {version}\nName: demo\nVersion: 1.0\nLicense-File: LICENSES/MIT\n"
            ),
            ..WheelFiles::default()
        };
        wheel.files.push((path.to_owned(), b"MIT".to_vec()));
        wheel.zip()
    };
    check(
        WHEEL,
        &with("2.4", "demo-1.0.dist-info/licenses/LICENSES/MIT"),
        "accepted",
    );
    check(WHEEL, &with("2.1", "demo-1.0.dist-info/MIT"), "accepted");
    check(
        WHEEL,
        &with("2.4", "demo-1.0.dist-info/LICENSES/MIT"),
        "License-File names `demo-1.0.dist-info/licenses/LICENSES/MIT`, and the archive has no such file",
    );
}

#[test]
fn what_is_no_zip_archive_is_said_to_be_none() {
    check(
        WHEEL,
        b"",
        "not an acceptable zip archive: the file does not end with",
    );
    check(
        WHEEL,
        b"<html>not found</html> and some more",
        "not an acceptable zip archive: the file does not end with",
    );
    let bytes = WheelFiles::default().zip();
    check(
        WHEEL,
        &bytes[..bytes.len() / 2],
        "not an acceptable zip archive: the file does not end with",
    );
}
