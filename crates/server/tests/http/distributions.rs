//! Distribution files that are in order.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

/// A wheel of `name` (written as in its file name), with `padding` more bytes in it that do not
/// compress.
pub(crate) fn wheel(name: &str, version: &str, padding: usize) -> Vec<u8> {
    wheel_saying(name, version, padding, &metadata(name, version))
}

/// The same with other core metadata.
pub(crate) fn wheel_saying(name: &str, version: &str, padding: usize, metadata: &str) -> Vec<u8> {
    let info = format!("{name}-{version}.dist-info");
    let files = [
        (format!("{name}/__init__.py"), b"VALUE = 1\n".to_vec()),
        (format!("{name}/data.bin"), noise(padding)),
        (format!("{info}/METADATA"), metadata.as_bytes().to_vec()),
        (
            format!("{info}/WHEEL"),
            b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                .to_vec(),
        ),
    ];
    let mut record = String::new();
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (path, content) in files {
        archive.start_file(path.as_str(), options).unwrap();
        archive.write_all(&content).unwrap();
        record.push_str(&format!("{path},{},\n", digest(&content)));
    }
    record.push_str(&format!("{info}/RECORD,,\n"));
    archive
        .start_file(format!("{info}/RECORD"), options)
        .unwrap();
    archive.write_all(record.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

/// A digest as RECORD has it.
fn digest(content: &[u8]) -> String {
    let digest = wheelmark_tuf::Sha256::of(content);
    format!("sha256={}", URL_SAFE_NO_PAD.encode(digest.as_bytes()))
}

/// A source distribution of `name` (written as in its file name).
pub(crate) fn sdist(name: &str, version: &str) -> Vec<u8> {
    let top = format!("{name}-{version}");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in [
        (format!("{top}/PKG-INFO"), metadata(name, version)),
        (
            format!("{top}/pyproject.toml"),
            "[build-system]\n".to_owned(),
        ),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn metadata(name: &str, version: &str) -> String {
    format!(
        "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: a <test> & more\n\
         Requires-Python: >=3.8\nRequires-Dist: other>=1\n\nText.\n"
    )
}

fn noise(len: usize) -> Vec<u8> {
    (0..len.div_ceil(32) as u64)
        .flat_map(|n| *wheelmark_tuf::Sha256::of(&n.to_be_bytes()).as_bytes())
        .take(len)
        .collect()
}
