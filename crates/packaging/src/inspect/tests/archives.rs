//! Makes archives.

use std::io::{Cursor, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub(super) const WHEEL: &str = "demo-1.0-py3-none-any.whl";
pub(super) const SDIST: &str = "demo-1.0.tar.gz";
pub(super) const METADATA: &str = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
pub(super) const WHEEL_FILE: &str =
    "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

pub(super) fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

/// A zip archive of these files.
pub(super) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(files, options())
}

/// A zip archive of these files, not compressed.
pub(super) fn stored_zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(
        files,
        options().compression_method(CompressionMethod::Stored),
    )
}

pub(super) fn zip_with(files: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, contents) in files {
        writer.start_file(*path, options).unwrap();
        writer.write_all(contents).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The files of a wheel: these, and those of a `.dist-info` directory with a right `RECORD`.
pub(super) struct WheelFiles {
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) directory: String,
    pub(super) metadata: String,
    pub(super) wheel: String,
    /// In place of the one that would be right.
    pub(super) record: Option<String>,
}

impl Default for WheelFiles {
    fn default() -> WheelFiles {
        WheelFiles {
            files: vec![("demo/__init__.py".to_owned(), b"answer = 42\n".to_vec())],
            directory: "demo-1.0.dist-info".to_owned(),
            metadata: METADATA.to_owned(),
            wheel: WHEEL_FILE.to_owned(),
            record: None,
        }
    }
}

impl WheelFiles {
    /// Every file in its place, `RECORD` last.
    pub(super) fn all(self) -> Vec<(String, Vec<u8>)> {
        let directory = self.directory;
        let mut files = self.files;
        files.push((format!("{directory}/METADATA"), self.metadata.into_bytes()));
        files.push((format!("{directory}/WHEEL"), self.wheel.into_bytes()));
        let line = |(path, contents): &(String, Vec<u8>)| {
            format!("{path},{},{}\n", sha256(contents), contents.len())
        };
        let right: String = files.iter().map(line).collect();
        let record = self
            .record
            .unwrap_or_else(|| format!("{right}{directory}/RECORD,,\n"));
        files.push((format!("{directory}/RECORD"), record.into_bytes()));
        files
    }

    pub(super) fn zip(self) -> Vec<u8> {
        let files = self.all();
        zip(&borrow(&files))
    }
}

/// A digest as `RECORD` has it.
pub(super) fn sha256(contents: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, contents);
    format!("sha256={}", URL_SAFE_NO_PAD.encode(digest))
}

pub(super) fn borrow(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files
        .iter()
        .map(|(path, contents)| (path.as_str(), contents.as_slice()))
        .collect()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A header of a tar archive, with its checksum.
pub(super) fn header(kind: u8, path: &[u8], link: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..path.len()].copy_from_slice(path);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

/// Writes the checksum of a header that was changed.
pub(super) fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A tar archive, entry by entry.
#[derive(Default)]
pub(super) struct Tar(pub(super) Vec<u8>);

impl Tar {
    /// With a top directory and its `PKG-INFO`.
    pub(super) fn demo() -> Tar {
        Tar::default()
            .directory("demo-1.0/")
            .file("demo-1.0/PKG-INFO", METADATA.as_bytes())
    }

    pub(super) fn entry(mut self, kind: u8, path: &str, link: &str, body: &[u8]) -> Tar {
        self.0.extend_from_slice(&header(
            kind,
            path.as_bytes(),
            link.as_bytes(),
            body.len() as u64,
        ));
        self.body(body)
    }

    pub(super) fn body(mut self, body: &[u8]) -> Tar {
        self.0.extend_from_slice(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn raw(mut self, block: &[u8; 512]) -> Tar {
        self.0.extend_from_slice(block);
        self
    }

    pub(super) fn file(self, path: &str, body: &[u8]) -> Tar {
        self.entry(b'0', path, "", body)
    }

    pub(super) fn directory(self, path: &str) -> Tar {
        self.entry(b'5', path, "", b"")
    }

    /// A pax header for the next entry.
    pub(super) fn pax(self, records: &[(&str, &str)]) -> Tar {
        let body: String = records
            .iter()
            .map(|(keyword, value)| record(keyword, value))
            .collect();
        self.entry(b'x', "PaxHeader", "", body.as_bytes())
    }

    /// Writes the end mark and compresses.
    pub(super) fn gz(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        gzip(&self.0)
    }
}

fn record(keyword: &str, value: &str) -> String {
    let rest = format!(" {keyword}={value}\n");
    let length = (1..)
        .find(|digits| (rest.len() + digits).to_string().len() == *digits)
        .unwrap()
        + rest.len();
    format!("{length}{rest}")
}
