//! Canonical JSON, and a parser that accepts nothing ambiguous.
//!
//! Signatures are made over the canonical form: members sorted by code point, no white
//! space, integers only, and no escapes in strings but `\"` and `\\`. Every other
//! character stands for itself, control characters included, so the form of a text with a
//! line feed is *not* JSON; [`crate::assemble`] escapes those when it writes a file.
//!
//! The form is that of TUF §4.2 as the reference implementation writes it.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::limits::MAX_JSON_DEPTH;
use crate::shown::Shown;

/// Why bytes were not accepted as JSON.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not UTF-8, or followed by something else.
    #[error("not valid json")]
    Syntax(#[source] serde_json::Error),
    /// An object names a member twice: two readers could see two different things.
    #[error("the member `{}` occurs twice in one object", Shown(.name))]
    DuplicateMember {
        /// The name that occurs twice.
        name: String,
    },
    /// A number that is not an integer of 64 bits: the canonical form has no others.
    #[error("the number {number} is not an integer of 64 bits")]
    NotAnInteger {
        /// The number, as far as it could be read.
        number: f64,
    },
    /// Arrays and objects nest deeper than [`MAX_JSON_DEPTH`].
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit that was passed.
        limit: usize,
    },
}

/// Reads one JSON value from `bytes`, which must hold nothing else.
///
/// # Errors
///
/// When the bytes are not JSON, or hold a number that is not an integer, a member named
/// twice, or more levels than [`MAX_JSON_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    let refusal = RefCell::new(None);
    let strict = Strict {
        levels_left: MAX_JSON_DEPTH,
        refusal: &refusal,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| refusal.take().unwrap_or(ParseError::Syntax(error)))
}

/// The canonical form of `value`: the bytes that are signed and hashed.
///
/// A value that came from [`parse`] has exactly one form. A number that is not an integer
/// has none and is written as it stands; [`parse`] never returns one.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    // The order of a `Map` depends on a feature that any other crate may switch on.
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
    out.push(b'{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Reads a value and remembers why it refused one.
#[derive(Clone, Copy)]
struct Strict<'a> {
    levels_left: usize,
    refusal: &'a RefCell<Option<ParseError>>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, refusal: ParseError) -> E {
        let error = E::custom(&refusal);
        self.refusal.replace(Some(refusal));
        error
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Strict {
                levels_left,
                ..self
            }),
            None => Err(self.refuse(ParseError::TooDeep {
                limit: MAX_JSON_DEPTH,
            })),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a json value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Err(self.refuse(ParseError::NotAnInteger { number }))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(ParseError::DuplicateMember { name }));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn check(input: &str, canonical: &str) {
        let value = parse(input.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(encode(&value)).unwrap(),
            canonical,
            "from {input}"
        );
    }

    #[test]
    fn one_form_for_each_value() {
        check(" { \"b\" : 1 , \"a\" : [ ] } ", r#"{"a":[],"b":1}"#);
        check(
            r#"{"B":1,"a":2,"é":3,"😀":4,"ﬀ":5}"#,
            r#"{"B":1,"a":2,"é":3,"ﬀ":5,"😀":4}"#,
        );
        check(r#""\u00e9\/\"\\""#, "\"é/\\\"\\\\\"");
        check(r#""a\nb\u0001""#, "\"a\nb\u{1}\"");
        check("[true,false,null]", "[true,false,null]");
        check("18446744073709551615", "18446744073709551615");
        check("-9223372036854775808", "-9223372036854775808");
        check(r#"{"":{}}"#, r#"{"":{}}"#);
    }

    fn refused(input: &str) -> ParseError {
        parse(input.as_bytes()).expect_err(input)
    }

    #[test]
    fn nothing_ambiguous() {
        for number in ["1.0", "1e3", "-0", "18446744073709551616", "0.1"] {
            assert!(
                matches!(refused(number), ParseError::NotAnInteger { .. }),
                "{number}"
            );
        }
        assert!(matches!(
            refused(r#"[{"a":1,"b":2,"a":1}]"#),
            ParseError::DuplicateMember { name } if name == "a"
        ));
        let message = refused(r#"{"\u001b[2J":1,"\u001b[2J":1}"#).to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
        let long = "x".repeat(100_000);
        let message = refused(&format!(r#"{{"{long}":1,"{long}":1}}"#)).to_string();
        assert!(message.len() < 300, "{} bytes", message.len());
        // The same name, written differently.
        assert!(matches!(
            refused(r#"{"a":1,"\u0061":1}"#),
            ParseError::DuplicateMember { .. }
        ));
        for text in [
            "",
            "{",
            "nul",
            "1 2",
            "{\"a\":1,}",
            "\"\n\"",
            "NaN",
            "'a'",
            "\u{feff}1",
            "01",
        ] {
            assert!(matches!(refused(text), ParseError::Syntax(_)), "{text}");
        }
        assert!(matches!(
            parse(b"\"\xff\"").unwrap_err(),
            ParseError::Syntax(_)
        ));
        assert!(matches!(refused(r#""\ud800""#), ParseError::Syntax(_)));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(nested(MAX_JSON_DEPTH).as_bytes()).is_ok());
        for levels in [MAX_JSON_DEPTH + 1, 100_000] {
            assert!(matches!(
                refused(&nested(levels)),
                ParseError::TooDeep { .. }
            ));
        }
    }
}
