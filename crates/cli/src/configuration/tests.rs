#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn parsed(text: &str) -> Written {
    parse(text, Path::new("/etc/wheelmark/wheelmark.toml")).unwrap()
}

fn joined(system: &str, user: &str) -> Configuration {
    Configuration::joined(parsed(system), parsed(user))
}

/// What a person reads of an error.
fn problem(text: &str) -> String {
    let error = parse(text, Path::new("/home/ada/wheelmark.toml")).unwrap_err();
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join("\n")
}

const RULE: &str = r#"
[[map]]
projects = ["acme-*"]
indexes = ["https://pkg.acme.example/simple"]
"#;

#[test]
fn a_whole_file() {
    let written = parsed(&format!(
        "strict = true\ntunnel = [\"github.com\"]\n{RULE}threshold = 1\nterminating = false\n{RULE}"
    ));
    assert_eq!(written.strict, Some(true));
    assert_eq!(
        written.tunnel,
        Some(BTreeSet::from(["github.com".to_owned()]))
    );
    let [first, second] = &written.rules[..] else {
        panic!("{:?}", written.rules)
    };
    assert_eq!(
        first.indexes[0].as_str(),
        "https://pkg.acme.example/simple/"
    );
    assert!(!first.terminating);
    assert_eq!(
        (second.threshold, second.terminating),
        (1, true),
        "what holds where nothing is said"
    );
    assert_eq!(
        second.origin.to_string(),
        "/etc/wheelmark/wheelmark.toml, [[map]] 2"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_file_its_line_and_the_known_ones() {
    for (text, line, key, known) in [
        ("\nstrickt = true\n", "line 2", "`strickt`", "`strict`"),
        (
            &format!("{RULE}treshold = 2\n")[..],
            "line 5",
            "`treshold`",
            "`threshold`",
        ),
    ] {
        let said = problem(text);
        for part in ["/home/ada/wheelmark.toml", line, key, known] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for text in [
        "strict = 1",
        "[[map]]\nprojects = [\"a\"]\n",
        "[[map]]\nindexes = [\"https://a.example/simple/\"]\n",
        "[[map]]\nprojects = [\"a\"]\nindexes = [\"a\"]\n",
        "[[map]]\nprojects = [\"a\"]\nindexes = [\"https://u:p@a.example/simple/\"]\n",
        "[[map]]\nprojects = [\"a\"]\nindexes = [\"https://a.example/simple/\"]\nthreshold = -1\n",
    ] {
        assert!(problem(text).contains("/home/ada/wheelmark.toml"), "{text}");
    }
}

#[test]
fn strictness_is_added_and_never_taken_away() {
    for (system, user, expected) in [
        ("", "", false),
        ("", "strict = true", true),
        ("strict = true", "", true),
        ("strict = true", "strict = false", true),
        ("strict = false", "strict = true", true),
        ("strict = false", "", false),
    ] {
        assert_eq!(joined(system, user).strict, expected, "{system} {user}");
    }
}

#[test]
fn the_systems_rules_come_first_and_stay() {
    let other = RULE.replace("acme-*", "*").replace("acme.", "evil.");
    let both = joined(RULE, &other);
    let projects: Vec<_> = both.rules().iter().map(|r| r.projects[0].clone()).collect();
    assert_eq!(projects, ["acme-*", "*"]);
    assert_eq!(both.system_rules().len(), 1);
    assert_eq!(joined("", &other).rules().len(), 1);
    assert_eq!(joined(RULE, "").rules().len(), 1);
}

#[test]
fn tunnels_are_the_users_within_what_the_system_allows() {
    let check = |system: &str, user: &str, expected: &[&str]| {
        let tunnel = joined(system, user).tunnel;
        assert!(tunnel.iter().eq(expected), "{system} {user}: {tunnel:?}");
    };
    check("", "", &[]);
    check("", "tunnel = ['a']", &["a"]);
    check("tunnel = []", "tunnel = ['a']", &[]);
    check("tunnel = ['a', 'b']", "", &["a", "b"]);
    check("tunnel = ['a', 'b']", "tunnel = []", &[]);
    check("tunnel = ['a', 'b']", "tunnel = ['b', 'c']", &["b"]);
}
