//! Content codings: which one a request gets, and how it is made.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// gzip level: 9 costs three times as much for a percent.
const GZIP_LEVEL: u32 = 6;

/// zstd level. Each object is compressed once, so it may cost some milliseconds.
const ZSTD_LEVEL: i32 = 9;

/// Below this many bytes a coding's own overhead eats what it saves.
const WORTHWHILE_LEN: usize = 256;

/// A form that bytes travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As they are.
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd` (RFC 8878)
    Zstd,
}

impl Coding {
    /// The value of `Content-Encoding`.
    pub(crate) fn header(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Zstd => Some("zstd"),
        }
    }

    /// What tells this form's entity tag from those of the others.
    pub(crate) fn tag_suffix(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => ".gz",
            Coding::Zstd => ".zst",
        }
    }

    /// The best coding that a request accepts (RFC 9110 §12.5.3). Identity is always taken when
    /// nothing else is, even if the request refuses it: that is an answer, an error is not.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Coding {
        let mut gzip = None;
        let mut zstd = None;
        let mut any = None;
        let elements = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for element in elements {
            let mut parts = element.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let accepted = parts
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .is_none_or(|(_, weight)| weight.trim().parse::<f32>().is_ok_and(|q| q > 0.0));
            if name.eq_ignore_ascii_case("zstd") {
                zstd = Some(accepted);
            } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                gzip = Some(accepted);
            } else if name == "*" {
                any = Some(accepted);
            }
        }
        if zstd.or(any).unwrap_or(false) {
            Coding::Zstd
        } else if gzip.or(any).unwrap_or(false) {
            Coding::Gzip
        } else {
            Coding::Identity
        }
    }

    /// The bytes in this form; none where it saves nothing.
    pub(crate) fn encode(self, bytes: &[u8]) -> io::Result<Option<Bytes>> {
        if bytes.len() < WORTHWHILE_LEN {
            return Ok(None);
        }
        let encoded = match self {
            Coding::Identity => return Ok(None),
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
                encoder.write_all(bytes)?;
                encoder.finish()?
            }
            Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL)?,
        };
        Ok((encoded.len() < bytes.len()).then(|| Bytes::from(encoded)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn the_best_accepted_coding_is_taken() {
        let check = |accept: &[&str], expected| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(Coding::negotiate(&headers), expected, "{accept:?}");
        };
        check(&[], Coding::Identity);
        check(&["gzip, deflate"], Coding::Gzip);
        check(&["gzip, deflate, br, zstd"], Coding::Zstd);
        check(&["deflate", "gzip"], Coding::Gzip);
        check(&["ZSTD;q=0.1, gzip;q=1"], Coding::Zstd);
        check(&["zstd;q=0, gzip"], Coding::Gzip);
        check(&["zstd; q=0.000, gzip;Q=0"], Coding::Identity);
        check(&["*"], Coding::Zstd);
        check(&["*;q=0"], Coding::Identity);
        check(&["zstd;q=0, *"], Coding::Gzip);
        check(&["identity"], Coding::Identity);
        check(&["gzip;q=nonsense"], Coding::Identity);
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_bytes() {
        let bytes = b"metadata ".repeat(1000);
        let zstd = Coding::Zstd.encode(&bytes).unwrap().unwrap();
        assert_eq!(zstd::bulk::decompress(&zstd, bytes.len()).unwrap(), bytes);
        let gzip = Coding::Gzip.encode(&bytes).unwrap().unwrap();
        let mut decoded = Vec::new();
        io::copy(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut decoded).unwrap();
        assert_eq!(decoded, bytes);
        assert!(zstd.len() < 200 && gzip.len() < 200);
    }

    #[test]
    fn what_saves_nothing_is_not_encoded() {
        assert_eq!(Coding::Gzip.encode(&[b'a'; 255]).unwrap(), None);
        let noise: Vec<u8> = (0..4096_u32)
            .flat_map(|n| {
                wheelmark_tuf::Sha256::of(&n.to_be_bytes())
                    .as_bytes()
                    .to_vec()
            })
            .collect();
        assert_eq!(Coding::Gzip.encode(&noise).unwrap(), None);
        assert_eq!(Coding::Zstd.encode(&noise).unwrap(), None);
    }
}
