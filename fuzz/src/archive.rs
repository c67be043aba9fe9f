//! Makes archives, also such as no tool would make.

use std::io::Write;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;

/// A file of an archive.
pub type File<'a> = (&'a [u8], &'a [u8]);

/// A wheel's `RECORD` that is right for these files.
pub fn record(files: &[File<'_>]) -> Vec<u8> {
    let mut record = Vec::new();
    for (path, contents) in files {
        let digest = digest::digest(&digest::SHA256, contents);
        let digest = URL_SAFE_NO_PAD.encode(digest);
        record.push(b'"');
        record.extend(path.iter().flat_map(|byte| match byte {
            b'"' => vec![b'"', b'"'],
            byte => vec![*byte],
        }));
        record.extend_from_slice(format!("\",sha256={digest},{}\n", contents.len()).as_bytes());
    }
    record.extend_from_slice(b"demo-1.0.dist-info/RECORD,,\n");
    record
}

/// A zip archive with right headers around any paths and contents.
pub fn zip(files: &[File<'_>], deflated: bool) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (path, contents) in files {
        let mut crc = flate2::Crc::new();
        crc.update(contents);
        let packed = if deflated {
            deflate(contents)
        } else {
            contents.to_vec()
        };
        let ascii = path.is_ascii();
        let mut common = Vec::new();
        for number in [
            20,
            if ascii { 0 } else { 1 << 11 },
            if deflated { 8 } else { 0 },
            0,
            0x21,
        ] {
            common.extend_from_slice(&u16::to_le_bytes(number));
        }
        for number in [crc.sum(), short(packed.len()), short(contents.len())] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        common.extend_from_slice(&u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
        common.extend_from_slice(&[0, 0]);

        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&short(archive.len()).to_le_bytes());
        directory.extend_from_slice(path);

        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&common);
        archive.extend_from_slice(path);
        archive.extend_from_slice(&packed);
    }
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX).to_le_bytes();
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend_from_slice(&[count, count].concat());
    end.extend_from_slice(&short(directory.len()).to_le_bytes());
    end.extend_from_slice(&short(archive.len()).to_le_bytes());
    end.extend_from_slice(&[0, 0]);
    [archive, directory, end].concat()
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn deflate(contents: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(contents).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// A gzip member that holds the bytes as they are (RFC 1951, stored blocks): by far faster to make
/// and to read than compressed ones.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    for block in bytes.chunks(0xffff) {
        let length = u16::try_from(block.len()).expect("no chunk is longer");
        member.push(0);
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(block);
    }
    member.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&crc.amount().to_le_bytes());
    member
}

const BLOCK: usize = 512;

/// One entry of a tar archive, with its padding.
pub fn tar_entry(kind: u8, path: &[u8], link: &[u8], body: &[u8]) -> Vec<u8> {
    let mut entry = vec![0; BLOCK];
    entry[..path.len()].copy_from_slice(path);
    entry[100..108].copy_from_slice(b"0000644\0");
    entry[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
    entry[156] = kind;
    entry[157..157 + link.len()].copy_from_slice(link);
    entry[257..265].copy_from_slice(b"ustar\x0000");
    entry.extend_from_slice(body);
    entry.resize(entry.len().next_multiple_of(BLOCK), 0);
    seal(&mut entry);
    entry
}

/// Makes the checksum of every header right, so that a change elsewhere in it is not refused for
/// that alone.
pub fn seal(tar: &mut [u8]) {
    let mut rest = tar;
    while let Some((header, behind)) = rest.split_at_mut_checked(BLOCK) {
        let body = if header.iter().all(|byte| *byte == 0) {
            0
        } else {
            seal_header(header)
        };
        let skip = body.next_multiple_of(BLOCK).min(behind.len());
        rest = &mut behind[skip..];
    }
}

/// Returns the length that the header gives, as far as it is one.
fn seal_header(header: &mut [u8]) -> usize {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let digits = header[124..136].iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0_usize, |length, byte| {
        (length * 8 + usize::from(byte & 7)).min(1 << 30)
    })
}
