//! What JSON of others may be before it is parsed, and how bytes stand in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not parsed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// More bytes than it may have.
    Length,
    /// Lists and objects in one another, more than there may be.
    Depth,
}

/// Refuses what is too long or too deep, in one pass and without taking memory.
///
/// It goes by brackets outside of strings alone: whether the text is JSON is for the parser.
pub(crate) fn bounded(text: &[u8], longest: usize, deepest: usize) -> Result<(), Excess> {
    if text.len() > longest {
        return Err(Excess::Length);
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > deepest {
                    return Err(Excess::Depth);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Bytes that stand in JSON as base64: the standard alphabet, padded, and no other spelling of
/// the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Base64, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(Base64)
            .map_err(|error| D::Error::custom(format!("not base64: {error}")))
    }
}

/// A SHA-256 digest that stands in JSON as base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let Base64(bytes) = Base64::deserialize(deserializer)?;
        bytes
            .try_into()
            .map(Digest)
            .map_err(|_| D::Error::custom("not a SHA-256 digest, which has 32 bytes"))
    }
}

/// A number that stands in JSON as a string of digits, as protobuf writes those of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal(pub(crate) u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Protobuf's are signed.
        match text.parse::<u64>() {
            Ok(number) if digits && i64::try_from(number).is_ok() => Ok(Decimal(number)),
            _ => Err(D::Error::custom(
                "not a number of 63 bits as a string of digits",
            )),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{Base64, Decimal, Digest, Excess, bounded};

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert_eq!(bounded(br#"{"a":[{}]}"#, 100, 3), Ok(()));
        assert_eq!(bounded(br#"{"a":[{}]}"#, 100, 2), Err(Excess::Depth));
        assert_eq!(bounded(br#"{"[[[[\"{{{{":1}"#, 100, 1), Ok(()));
        assert_eq!(bounded(br#"[],[],[]"#, 100, 1), Ok(()));
        assert_eq!(bounded(b"12345", 4, 1), Err(Excess::Length));
        // A backslash means something in a string alone.
        assert_eq!(bounded(br#"\"[["#, 100, 1), Ok(()));
        assert_eq!(bounded(br#""\\"[["#, 100, 1), Err(Excess::Depth));
    }

    #[test]
    fn bytes_and_numbers_have_one_spelling() {
        let read = |text: &str| serde_json::from_str::<Base64>(text).is_ok();
        assert!(read(r#""AQ==""#));
        for wrong in [r#""AQ""#, r#""AR==""#, r#""A Q==""#, r#""-w==""#, "5"] {
            assert!(!read(wrong), "{wrong}");
        }
        assert!(serde_json::from_str::<Digest>(r#""AQ==""#).is_err());
        let read = |text: &str| serde_json::from_str::<Decimal>(text).map(|Decimal(n)| n);
        assert_eq!(
            read(r#""9223372036854775807""#).unwrap(),
            u64::try_from(i64::MAX).unwrap()
        );
        for wrong in [
            r#""9223372036854775808""#,
            r#""+1""#,
            r#""-1""#,
            r#""""#,
            "1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
