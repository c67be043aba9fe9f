//! The netrc file, which pip, uv and curl read too.

use std::path::Path;

use zeroize::Zeroizing;

use super::{Credential, CredentialsError};

/// Longest netrc file that is read, in bytes.
pub const MAX_NETRC_LEN: u64 = 1 << 20;

/// The entries of a file by host; none if it is not there.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Credential)>, CredentialsError> {
    let io = |source| CredentialsError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
        // /dev/null, with which people turn netrc off, is no file.
        Ok(found) if !found.is_file() => return Ok(Vec::new()),
        Ok(found) if found.len() > MAX_NETRC_LEN => {
            return Err(CredentialsError::Malformed {
                path: path.to_owned(),
                problem: format!("more than {MAX_NETRC_LEN} bytes"),
            });
        }
        Ok(_) => {}
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(io)?);
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

/// An entry as far as it was read.
#[derive(Default)]
struct Entry {
    host: Option<String>,
    user: String,
    secret: Option<Zeroizing<String>>,
}

/// Reads what can be read; other programs own this file, so what is not known is passed over.
fn parse(text: &str) -> Vec<(String, Credential)> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut words = Words { rest: text };
    while let Some(word) = words.keyword() {
        match word.as_str() {
            "machine" => entries.push(Entry {
                host: words.value().map(|name| name.to_string()),
                ..Entry::default()
            }),
            "default" => entries.push(Entry::default()),
            "login" | "user" => {
                let name = words.value();
                if let (Some(entry), Some(name)) = (entries.last_mut(), name) {
                    entry.user = name.to_string();
                }
            }
            "password" => {
                let secret = words.value();
                if let Some(entry) = entries.last_mut() {
                    entry.secret = secret;
                }
            }
            "account" => {
                words.value();
            }
            // A macro goes on to the first empty line.
            "macdef" => words.skip_macro(),
            _ => {}
        }
    }
    let entries = entries.into_iter();
    let whole = entries.filter_map(|Entry { host, user, secret }| {
        let credential = Credential {
            user,
            secret: secret?,
        };
        Some((host?, credential))
    });
    whole.collect()
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// The next word that is no part of a comment. A comment begins where a keyword could, and goes
    /// to the end of its line.
    fn keyword(&mut self) -> Option<Zeroizing<String>> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return self.value();
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
        }
    }

    /// The next word, whatever it begins with: up to a blank, or in quotes with `\` before what
    /// means itself.
    fn value(&mut self) -> Option<Zeroizing<String>> {
        self.rest = self.rest.trim_start();
        let mut word = Zeroizing::new(String::new());
        let mut letters = self.rest.char_indices();
        let quoted = self.rest.starts_with('"');
        if quoted {
            letters.next();
        }
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => word.extend(letters.next().map(|(_, letter)| letter)),
                '"' if quoted => {
                    end = at + 1;
                    break;
                }
                blank if !quoted && blank.is_whitespace() => {
                    end = at;
                    break;
                }
                letter => word.push(letter),
            }
        }
        let found = end > 0;
        self.rest = &self.rest[end..];
        found.then_some(word)
    }

    fn skip_macro(&mut self) {
        // The rest of its own line is its name.
        let mut lines = self.rest.split_inclusive('\n');
        let mut end = lines.next().map_or(0, str::len);
        for line in lines {
            end += line.len();
            if line.trim().is_empty() {
                break;
            }
        }
        self.rest = &self.rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_others_write_them() {
        let check = |text: &str, expected: &[(&str, &str, &str)]| {
            let read = parse(text);
            let read: Vec<_> = read
                .iter()
                .map(|(host, c)| (host.as_str(), c.user.as_str(), c.secret.as_str()))
                .collect();
            assert_eq!(read, expected, "{text:?}");
        };
        check("", &[]);
        check("machine", &[]);
        check("machine a", &[]);
        check("machine a login u", &[]);
        check("machine a password p", &[("a", "", "p")]);
        check("machine a login u password p", &[("a", "u", "p")]);
        check(
            "# one\nmachine a\n\tlogin u # its name\n\tpassword p\n\nmachine b login v password q",
            &[("a", "u", "p"), ("b", "v", "q")],
        );
        check(
            "machine a login \"u v\" account x password \"p\\\"q\\\\r\"",
            &[("a", "u v", "p\"q\\r")],
        );
        check("default login u password p", &[]);
        check("login u password p machine a password q", &[("a", "", "q")]);
        check(
            "machine a login u password p\nmacdef init\nmachine evil login x\npassword y\n\nmachine b password q",
            &[("a", "u", "p"), ("b", "", "q")],
        );
        // What begins with `#` is a value like others: it must not shift those behind it to
        // another host.
        check(
            "machine a login u password #S3cret\nmachine b login v password q",
            &[("a", "u", "#S3cret"), ("b", "v", "q")],
        );
        check(
            "machine a login #u password p # end\r\nmachine b password q",
            &[("a", "#u", "p"), ("b", "", "q")],
        );
        check(
            "macdef init\r\nmachine evil password x\r\n\r\nmachine b password q\r\n",
            &[("b", "", "q")],
        );
        check("machine a password \"unended", &[("a", "", "unended")]);
        check("machine a password \\", &[("a", "", "")]);
        check("machine a password ü", &[("a", "", "ü")]);
    }
}
