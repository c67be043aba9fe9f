//! `Author-email` and `Maintainer-email`: what RFC 822 allows in a `From:` header (core metadata
//! specification). Names and comments may be anything; the addresses must be addresses.

use super::RuleError;
use crate::CoreMetadata;

/// Longest part before the `@`, in bytes (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_LEN: usize = 64;

/// Longest domain, in bytes (RFC 5321 §4.5.3.1.2, less the final dot and the length of the root).
const MAX_DOMAIN_LEN: usize = 253;

/// Longest part of a domain between two dots, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL_LEN: usize = 63;

impl CoreMetadata {
    pub(super) fn check_mail_addresses(&self) -> Result<(), RuleError> {
        for field in ["Author-email", "Maintainer-email"] {
            // Tools of old wrote UNKNOWN for what they did not know.
            let given = |value: &&str| !matches!(*value, "" | "UNKNOWN");
            if let Some(value) = self.get(field).filter(given) {
                check(value).map_err(|(address, why)| RuleError::MailAddress {
                    field,
                    address: address.chars().take(200).collect(),
                    why,
                })?;
            }
        }
        Ok(())
    }
}

/// The first address that is none, and what is wrong with it.
fn check(value: &str) -> Result<(), (String, &'static str)> {
    let mut any = false;
    for mailbox in Mailboxes(value) {
        let address = match mailbox {
            Mailbox::Named(address) => address,
            // `Doe, Jane <jane@example.org>`: a name with a comma that nobody quoted.
            Mailbox::Bare(text) if !text.contains('@') => continue,
            Mailbox::Bare(text) => text,
        };
        any = true;
        if !address.is_empty() {
            check_address(&address).map_err(|why| (address, why))?;
        }
    }
    if any {
        Ok(())
    } else {
        Err((value.trim().to_owned(), "has no `@`"))
    }
}

fn check_address(address: &str) -> Result<(), &'static str> {
    let (local, domain) = address.rsplit_once('@').ok_or("has no `@`")?;
    if local.is_empty() {
        return Err("has nothing before the `@`");
    }
    if local.len() > MAX_LOCAL_LEN {
        return Err("is too long before the `@`");
    }
    let atom = |c: char| {
        // RFC 5322 §3.2.3, with what RFC 6532 adds.
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    if !local
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(atom))
    {
        return Err("has other characters before the `@` than an address can have");
    }
    if domain.len() > MAX_DOMAIN_LEN {
        return Err("is too long behind the `@`");
    }
    let label = |label: &str| {
        let plain = |c: char| {
            c == '-' || c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphanumeric())
        };
        !label.is_empty()
            && label.len() <= MAX_LABEL_LEN
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(plain)
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    if !domain.split('.').all(label)
        || !domain.contains('.')
        || !last.contains(|c: char| c.is_alphabetic())
    {
        return Err("has no domain such as `example.org` behind the `@`");
    }
    Ok(())
}

/// One entry of the list.
enum Mailbox {
    /// What stood between `<` and `>`.
    Named(String),
    /// What stood there without them, comments left out.
    Bare(String),
}

/// The entries of a list, in order; empty ones are left out.
struct Mailboxes<'a>(&'a str);

impl Iterator for Mailboxes<'_> {
    type Item = Mailbox;

    fn next(&mut self) -> Option<Mailbox> {
        while !self.0.is_empty() {
            if let Some(mailbox) = self.read() {
                return Some(mailbox);
            }
        }
        None
    }
}

impl Mailboxes<'_> {
    /// Reads to the next comma that is in no quotes, comment or brackets.
    fn read(&mut self) -> Option<Mailbox> {
        let (mut bare, mut named) = (String::new(), None::<String>);
        let (mut quoted, mut comments, mut bracketed) = (false, 0_usize, false);
        let mut characters = self.0.char_indices();
        let mut end = self.0.len();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' if quoted || comments > 0 => drop(characters.next()),
                '"' if comments == 0 && !bracketed => quoted = !quoted,
                _ if quoted => {}
                '(' if !bracketed => comments += 1,
                ')' if comments > 0 => comments -= 1,
                _ if comments > 0 => {}
                '<' if !bracketed => {
                    bracketed = true;
                    named = Some(String::new());
                }
                '>' if bracketed => bracketed = false,
                ',' if !bracketed => {
                    end = at;
                    break;
                }
                c if bracketed => named.get_or_insert_default().push(c),
                c => bare.push(c),
            }
        }
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        match named {
            Some(address) => Some(Mailbox::Named(address.trim().to_owned())),
            None if bare.trim().is_empty() => None,
            None => Some(Mailbox::Bare(bare.trim().to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(value: &str, expect: &str) {
        let told = super::check(value);
        let told = told.map_or_else(
            |(address, why)| format!("{address} {why}"),
            |()| "ok".to_owned(),
        );
        assert_eq!(told, expect, "{value:?}");
    }

    #[test]
    fn what_people_write_passes() {
        for good in [
            "jane@example.org",
            "Jane Doe <jane@example.org>",
            "Jane Q. Doe <jane.doe+pypi@mail.example.co.uk>",
            "\"Doe, Jane\" <jane@example.org>, bob@example.com",
            "Doe, Jane <jane@example.org>",
            "\"Jane \\\"JD\\\" Doe\" <jane@example.org>",
            "jane@example.org (Jane, who (also) writes)",
            "Jane <jane@example.org>,\nBob <bob@example.org>,",
            "=?utf-8?q?J=C3=BCrgen?= <j@example.org>",
            "Jürgen <jürgen@müller.example>",
            "dev@build.corp.local",
            "Jane <>",
            "o'brien@x.io",
            "a@xn--bcher-kva.example",
        ] {
            check(good, "ok");
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        check("jane", "jane has no `@`");
        check("Jane Doe", "Jane Doe has no `@`");
        check("jane at example.org", "jane at example.org has no `@`");
        check("Jane <jane>", "jane has no `@`");
        check("@example.org", "@example.org has nothing before the `@`");
        let characters = "has other characters before the `@` than an address can have";
        check(
            "jane doe@example.org",
            &format!("jane doe@example.org {characters}"),
        );
        check("a@b.c; d@e.f", &format!("a@b.c; d@e.f {characters}"));
        check("ok@a.b, .x@a.b", &format!(".x@a.b {characters}"));
        check("j..d@a.b", &format!("j..d@a.b {characters}"));
        let domain = "has no domain such as `example.org` behind the `@`";
        for bad in [
            "a@localhost",
            "a@b_c.org",
            "a@-b.org",
            "a@b..org",
            "a@b.org.",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@b.c d",
        ] {
            check(bad, &format!("{bad} {domain}"));
        }
        let long = "a".repeat(65);
        check(
            &format!("{long}@b.c"),
            &format!("{long}@b.c is too long before the `@`"),
        );
        let long = "a.".repeat(130);
        check(
            &format!("a@{long}c"),
            &format!("a@{long}c is too long behind the `@`"),
        );
    }
}
