//! Who runs a command, for the audit log.

use wheelmark_store::Actor;

/// Where accounts have their names.
const PASSWD: &str = "/etc/passwd";

/// Whoever runs this command, by their account on this machine.
pub(super) fn operator() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string(PASSWD).unwrap_or_default();
    let account = name_of(uid, &accounts).map_or_else(|| format!("uid {uid}"), str::to_owned);
    // Said by the environment, so it can be anything; whoever is root can write anything anyway.
    let sudo = std::env::var("SUDO_USER").ok();
    let account = match sudo.filter(|sudo| uid == 0 && !sudo.is_empty() && *sudo != account) {
        Some(sudo) => format!("{account} (sudo by {sudo})"),
        None => account,
    };
    Actor::Operator { account }
}

fn name_of(uid: u32, accounts: &str) -> Option<&str> {
    let uid = uid.to_string();
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid.as_str())).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nbad line\nindex:x:100:1::/:/bin/false\n";
        assert_eq!(name_of(0, accounts), Some("root"));
        assert_eq!(name_of(100, accounts), Some("index"));
        assert_eq!(name_of(1, accounts), None);
        assert_eq!(name_of(10, accounts), None);
    }
}
