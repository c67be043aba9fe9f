//! JSON that two readers cannot read differently.
//!
//! A member that occurs twice is an error here, where most readers silently take one of the two.
//! Nesting is bounded. Members are kept sorted, so rendering is a function of the value.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Extra;

/// Deepest nesting of arrays and objects. The format itself needs four levels.
pub const MAX_JSON_DEPTH: usize = 32;

/// Why a JSON document does not have the form it should have.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than the limit for this kind of document.
    #[error("a document of {length} bytes is too long, at most {limit} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not JSON, or nested too deep, or with a member twice.
    #[error("the document is not plain JSON")]
    Syntax(#[source] serde_json::Error),
    /// A member that must be there is not.
    #[error("`{member}` is missing")]
    Missing {
        /// The member.
        member: &'static str,
    },
    /// A member has another type or form than the format gives it.
    #[error("`{member}` is not {expected}")]
    Type {
        /// The member.
        member: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// The version of the API is not one that can be read.
    #[error("version `{}` of the simple API is not supported", version.escape_debug())]
    ApiVersion {
        /// What `meta.api-version` holds.
        version: String,
    },
}

/// Parses one document.
pub(super) fn parse(bytes: &[u8], limit: usize) -> Result<Value, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLong {
            length: bytes.len(),
            limit,
        });
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(JsonError::Syntax)?;
    reader.end().map_err(JsonError::Syntax)?;
    Ok(value)
}

/// Writes a value without space between its tokens and with the members of every object sorted by
/// the code points of their names.
pub(super) fn render(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write(value, &mut out);
    out.into_bytes()
}

/// As [`render`] of `members` with one more member, an array. Its items are made and written one
/// after the other: a page can list a hundred thousand files.
pub(super) fn render_with_array(
    members: &Map<String, Value>,
    array: &str,
    items: impl Iterator<Item = Value>,
) -> Vec<u8> {
    let sorted: std::collections::BTreeMap<&str, &Value> = members
        .iter()
        .map(|(name, member)| (name.as_str(), member))
        .filter(|(name, _)| *name != array)
        .collect();
    let (before, behind): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|(name, _)| *name < array);
    let mut out = String::from("{");
    for (name, member) in before {
        write_string(name, &mut out);
        out.push(':');
        write(member, &mut out);
        out.push(',');
    }
    write_string(array, &mut out);
    out.push_str(":[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(&item, &mut out);
    }
    out.push(']');
    for (name, member) in behind {
        out.push(',');
        write_string(name, &mut out);
        out.push(':');
        write(member, &mut out);
    }
    out.push('}');
    out.into_bytes()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // `Map` may keep the order of insertion: that is for whoever builds the program to say.
            let sorted: std::collections::BTreeMap<_, _> = members.iter().collect();
            out.push('{');
            for (at, (name, member)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
        Value::String(text) => write_string(text, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

/// Escapes what JSON demands, and nothing else.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Takes the members of an object, by name and type.
pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn of(value: Value, member: &'static str) -> Result<Members, JsonError> {
        match value {
            Value::Object(members) => Ok(Members(members)),
            _ => Err(JsonError::Type {
                member,
                expected: "an object",
            }),
        }
    }

    /// Reads the `meta` object, and accepts every version 1.x (PEP 629). What it holds besides
    /// the version is returned.
    pub(super) fn take_meta(&mut self) -> Result<Extra, JsonError> {
        let meta = self
            .take("meta")
            .ok_or(JsonError::Missing { member: "meta" })?;
        let mut meta = Members::of(meta, "meta")?;
        let version = meta.need_string("api-version")?;
        let known = version.split_once('.').is_some_and(|(major, minor)| {
            major == "1" && !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
        });
        if known {
            Ok(meta.rest())
        } else {
            Err(JsonError::ApiVersion { version })
        }
    }

    /// The member's value; `null` counts as absent.
    pub(super) fn take(&mut self, member: &'static str) -> Option<Value> {
        self.0.remove(member).filter(|value| !value.is_null())
    }

    pub(super) fn take_string(
        &mut self,
        member: &'static str,
    ) -> Result<Option<String>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JsonError::Type {
                member,
                expected: "a string",
            }),
        }
    }

    pub(super) fn need_string(&mut self, member: &'static str) -> Result<String, JsonError> {
        self.take_string(member)?
            .ok_or(JsonError::Missing { member })
    }

    pub(super) fn take_array(
        &mut self,
        member: &'static str,
    ) -> Result<Option<Vec<Value>>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(JsonError::Type {
                member,
                expected: "an array",
            }),
        }
    }

    pub(super) fn take_bool(&mut self, member: &'static str) -> Result<Option<bool>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(JsonError::Type {
                member,
                expected: "true or false",
            }),
        }
    }

    pub(super) fn take_u64(&mut self, member: &'static str) -> Result<Option<u64>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(JsonError::Type {
                    member,
                    expected: "a whole number",
                }),
            },
        }
    }

    pub(super) fn take_time(
        &mut self,
        member: &'static str,
    ) -> Result<Option<jiff::Timestamp>, JsonError> {
        match self.take_string(member)? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(time) => Ok(Some(time)),
                Err(_) => Err(JsonError::Type {
                    member,
                    expected: "a time with an offset",
                }),
            },
        }
    }

    /// What has not been taken.
    pub(super) fn rest(self) -> Extra {
        self.0.into_iter().collect()
    }
}

/// Builds a value and refuses what is ambiguous.
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<Strict, E> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(E::custom(format_args!(
                "nested deeper than {MAX_JSON_DEPTH} levels"
            )));
        }
        Ok(Strict {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    /// The format itself has no fractions. They are read exactly (`float_roundtrip` of `serde_json`),
    /// so that a page with one renders the same twice.
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.deeper()?)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "the member `{}` occurs twice",
                    name.escape_debug()
                )));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
