use super::archives::{METADATA, WHEEL, WheelFiles, borrow, options, stored_zip, zip, zip_with};
use super::{check, open};

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
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
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
        record: Some(
            "demo/ä ö.py,sha256=x,0\r\n\"demo/a,b \"\"c\"\".txt\",sha256=x,1\r\n\
             demo-1.0.dist-info/METADATA,sha256=x,\r\ndemo-1.0.dist-info/WHEEL,,\r\n"
                .to_owned(),
        ),
        ..WheelFiles::default()
    };
    check(WHEEL, &utf8.zip(), "accepted demo 1.0");
}

/// Data that comes before its lengths, as in a stream.
#[test]
fn accepts_descriptors_that_agree() {
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    for (path, contents) in WheelFiles::default().all() {
        writer.start_file(path, options()).unwrap();
        std::io::Write::write_all(&mut writer, &contents).unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    check(WHEEL, &bytes, "accepted demo 1.0");
    let descriptor = bytes
        .windows(4)
        .position(|four| four == [0x50, 0x4b, 7, 8])
        .unwrap();
    bytes[descriptor + 12] ^= 1;
    check(
        WHEEL,
        &bytes,
        "not an acceptable zip archive: the local header of `demo/__init__.py` contradicts",
    );
}

#[test]
fn name_and_version_are_those_of_the_file() {
    let bytes = WheelFiles::default().zip();
    check(
        "demo-1.0.0-1-py2.py3-none-any.whl",
        &bytes,
        "accepted demo 1.0",
    );
    check(
        "Demo-1.0-cp313-cp313-linux_x86_64.whl",
        &bytes,
        "accepted demo 1.0",
    );
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
    for name in ["METADATA", "WHEEL", "RECORD"] {
        check(
            WHEEL,
            &less(name),
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
    check(WHEEL, &with("Wheel-Version: 1.9\n"), "accepted demo 1.0");
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
fn the_record_is_that_of_the_wheel() {
    let rest = "demo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/WHEEL,,\n";
    let with = |line: &str| {
        WheelFiles {
            record: Some(format!("{line}\n{rest}")),
            ..WheelFiles::default()
        }
        .zip()
    };
    check(WHEEL, &with("demo/__init__.py,sha256=x,12"), "accepted");
    check(
        WHEEL,
        &with(""),
        "the wheel's RECORD is wrong: it does not list `demo/__init__.py`",
    );
    check(
        WHEEL,
        &with("demo/__init__.py,,13"),
        "the wheel's RECORD is wrong: it gives `demo/__init__.py` a length of 13 bytes, it has 12",
    );
    check(
        WHEEL,
        &with("demo/__init__.py,,\nx.py,,"),
        "the wheel's RECORD is wrong: it lists `x.py`, which is not",
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
    signed.record = Some(format!("demo/__init__.py,,12\n{rest}"));
    check(WHEEL, &signed.zip(), "accepted");
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
