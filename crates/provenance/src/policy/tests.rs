#![expect(clippy::unwrap_used, reason = "a test may panic")]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use wheelmark_packaging::DistributionFilename;

use super::*;
use crate::chain::Chain;
use crate::identity::{Claims, Identity, Subject};

fn parse(text: &str) -> Result<PolicyFile, Vec<Mistake>> {
    PolicyFile::parse(text, "wheelmark.toml", &["strict", "map"])
}

fn policy(texts: &[&str]) -> Policy {
    Policy::new(texts.iter().map(|text| parse(text).unwrap()).collect())
}

fn name(filename: &str) -> DistributionFilename {
    DistributionFilename::parse(filename).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A file of today's ordinary kind, so many days old.
fn facts(file: &DistributionFilename, days: i64) -> Facts<'_> {
    Facts {
        file,
        chain: Chain::IndexSigned,
        visible_since: Some(now() - SignedDuration::from_hours(24 * days)),
        mark: Mark::AtUpload,
        attested: Attested::NotLookedAt,
        openpgp: SignedBy::NotLookedAt,
    }
}

#[test]
fn ages_are_written_as_people_say_them() {
    let day = 24 * 3600;
    for (text, seconds, shown) in [
        ("7 days", 7 * day, "7 days"),
        ("1 day", day, "1 day"),
        ("36 hours", 36 * 3600, "36 hours"),
        ("2 weeks", 14 * day, "14 days"),
        ("90minutes", 5400, "90 minutes"),
        ("0 days", 0, "0 days"),
        (" 1  week ", 7 * day, "7 days"),
    ] {
        let age: Age = text.parse().unwrap();
        assert_eq!(age.duration(), SignedDuration::from_secs(seconds), "{text}");
        assert_eq!(age.to_string(), shown);
    }
    for text in [
        "",
        "7",
        "days",
        "-1 days",
        "1.5 days",
        "7 fortnights",
        "7 d",
        "seven days",
    ] {
        assert_eq!(text.parse::<Age>(), Err(AgeError::Form), "{text}");
    }
    for text in [
        "99999999999999999999 days",
        "18446744073709551615 weeks",
        "600 weeks",
    ] {
        assert_eq!(text.parse::<Age>(), Err(AgeError::TooLong), "{text}");
    }
}

const FOUR_WAYS: &str = r#"
strict = true

[everything]
chain = "index-signed"
min-age = "7 days"

[[for]]
projects = ["acme-*"]
min-age = "0 days"

[[for]]
projects = ["flask"]
versions = ">=3,<4"
min-age = "14 days"
back-signed = "refuse"

[[for]]
projects = ["flask", "werkzeug"]
files = "sdists"
min-age = "30 days"
"#;

/// What becomes of each line for a file: `-` for others, `=` decided before, `+` holds, `!` fails.
fn signs(texts: &[&str], facts: &Facts<'_>) -> String {
    let policy = policy(texts);
    let decision = policy.decide(facts, now());
    let sign = |line: &Line<'_>| match line.outcome {
        Outcome::NotForIt(_) => '-',
        Outcome::DecidedBefore { .. } => '=',
        Outcome::Holds(_) => '+',
        Outcome::Fails(_) => '!',
    };
    decision.lines.iter().map(sign).collect()
}

#[test]
fn the_first_rule_for_a_file_decides_in_each_respect() {
    // Lines: acme's age; flask 3's age, its back-signed; sdists' age; everything's chain and age.
    for (file, days, expected) in [
        ("acme_core-1.0-py3-none-any.whl", 0, "+---+="),
        ("other-1.0-py3-none-any.whl", 6, "----+!"),
        ("other-1.0-py3-none-any.whl", 7, "----++"),
        ("flask-3.1-py3-none-any.whl", 13, "-!+-+="),
        ("flask-3.1-py3-none-any.whl", 14, "-++-+="),
        ("flask-3.1.tar.gz", 20, "-++=+="),
        ("flask-4.0-py3-none-any.whl", 8, "----++"),
        ("flask-4.0.tar.gz", 8, "---!+="),
        ("werkzeug-1.0.tar.gz", 31, "---++="),
    ] {
        let file = name(file);
        let found = signs(&[FOUR_WAYS], &facts(&file, days));
        assert_eq!(found, expected, "{} of {days} days", file.as_str());
    }
}

#[test]
fn a_line_says_where_it_stands_and_why_it_came_out_so() {
    let policy = policy(&[FOUR_WAYS]);
    let file = name("flask-3.1-py3-none-any.whl");
    let decision = policy.decide(&facts(&file, 13), now());
    let (line, shortfall) = decision.failing().next().unwrap();
    assert_eq!((line.source, line.line), ("wheelmark.toml", 15));
    assert_eq!(line.rule.to_string(), "[[for]] 2");
    assert_eq!(line.who, "flask >=3, <4");
    assert_eq!(line.demand.to_string(), "min-age = \"14 days\"");
    assert_eq!(
        shortfall.to_string(),
        "it is too new: there since 2026-11-09 12:00 UTC, 13 days ago, and has to be 14 days old, \
         which it is on 2026-11-23 12:00 UTC"
    );
    let decided = decision.lines.last().unwrap();
    assert_eq!(decided.outcome, Outcome::DecidedBefore { line: 15 });
}

#[test]
fn what_every_file_decides_has_to_hold() {
    let mild = "[everything]\nmin-age = \"0 days\"\nchain = \"unsigned\"";
    let strict = "[everything]\nmin-age = \"7 days\"";
    let file = name("demo-1.0-py3-none-any.whl");
    for texts in [[mild, strict], [strict, mild]] {
        assert!(!policy(&texts).decide(&facts(&file, 6), now()).holds());
        assert!(policy(&texts).decide(&facts(&file, 7), now()).holds());
    }
}

/// Whether a file of thirty days, with that change, is as one demand asks.
fn check<'a>(
    file: &'a DistributionFilename,
    demand: &str,
    change: impl FnOnce(&mut Facts<'a>),
    expected: bool,
) {
    let mut facts = facts(file, 30);
    change(&mut facts);
    let policy = policy(&[&format!("[everything]\n{demand}")]);
    let found = policy.decide(&facts, now());
    assert_eq!(found.holds(), expected, "{demand}: {:?}", found.lines);
}

#[test]
fn every_demand_by_what_is_known() {
    let file = name("demo-1.0-py3-none-any.whl");
    for (asked, at) in Chain::ALL
        .into_iter()
        .enumerate()
        .map(|(at, chain)| (chain, at))
    {
        for (found, chain) in Chain::ALL.into_iter().enumerate() {
            check(
                &file,
                &format!("chain = \"{asked}\""),
                |f| f.chain = chain,
                found >= at,
            );
        }
    }
    check(
        &file,
        "min-age = \"7 days\"",
        |f| f.visible_since = None,
        false,
    );
    check(
        &file,
        "min-age = \"0 days\"",
        |f| f.visible_since = None,
        true,
    );
    let tomorrow = now() + SignedDuration::from_hours(24);
    check(
        &file,
        "min-age = \"1 minute\"",
        |f| f.visible_since = Some(tomorrow),
        false,
    );
    check(&file, "back-signed = \"refuse\"", |_| {}, true);
    check(
        &file,
        "back-signed = \"refuse\"",
        |f| f.mark = Mark::Back(now()),
        false,
    );
    check(
        &file,
        "back-signed = \"refuse\"",
        |f| f.mark = Mark::None,
        false,
    );
    check(
        &file,
        "back-signed = \"accept\"",
        |f| f.mark = Mark::Back(now()),
        true,
    );
    let person = |name: &str| {
        let subject = Subject::Email(format!("{name}@example.org"));
        Identity::new(
            subject,
            "https://accounts.example.org".to_owned(),
            Claims::default(),
        )
    };
    let (ada, eve) = ([person("ada")], [person("eve")]);
    let both = [person("eve"), person("ada")];
    let by_ada = "attested-by = [\"ada@example.org+https://accounts.example.org\"]";
    let as_table = "attested-by = [{ kind = \"OIDC\", issuer = \"https://accounts.example.org\", subject = \"ada@example.org\" }]";
    for asked in [by_ada, as_table] {
        check(&file, asked, |_| {}, false);
        check(
            &file,
            asked,
            |f| f.attested = Attested::Nobody("none".to_owned()),
            false,
        );
        check(&file, asked, |f| f.attested = Attested::By(&eve), false);
        check(&file, asked, |f| f.attested = Attested::By(&ada), true);
        check(&file, asked, |f| f.attested = Attested::By(&both), true);
        check(&file, asked, |f| f.attested = Attested::By(&[]), false);
    }
    let ours = "0123456789ABCDEF0123456789ABCDEF01234567";
    let theirs = "1123456789ABCDEF0123456789ABCDEF01234567";
    let openpgp = format!("openpgp = [\"{ours}\"]");
    let by = |who: &str| SignedBy::Certificates(vec![who.parse().unwrap()]);
    check(&file, &openpgp, |_| {}, false);
    check(&file, &openpgp, |f| f.openpgp = by(ours), true);
    check(&file, &openpgp, |f| f.openpgp = by(theirs), false);
    check(
        &file,
        &openpgp,
        |f| f.openpgp = SignedBy::Nobody("none".to_owned()),
        false,
    );
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_was_meant() {
    for (text, line, column, what) in [
        (
            "[everythin]\nchain = \"unsigned\"",
            1,
            2,
            "did you mean `everything`?",
        ),
        ("strickt = true", 1, 1, "did you mean `strict`?"),
        (
            "zzz = 1",
            1,
            1,
            "what is known: `everything`, `for`, `strict`, `map`",
        ),
        (
            "[everything]\nmin-aeg = \"7 days\"",
            2,
            1,
            "did you mean `min-age`?",
        ),
        (
            "[everything]\nprojects = [\"a\"]\nmin-age = \"1 day\"",
            2,
            1,
            "belongs into a `[[for]]`",
        ),
        ("[everything]\nmin-age = 7", 2, 11, "\"7 days\""),
        ("[everything]\nmin-age = \"7 moons\"", 2, 11, "\"7 days\""),
        ("[everything]\nchain = \"signed\"", 2, 9, "\"index-signed\""),
        ("[everything]\nback-signed = true", 2, 15, "\"refuse\""),
        ("[everything]\n", 1, 2, "asks for nothing"),
        ("everything = 1", 1, 1, "table of demands"),
        ("[for]\nprojects = [\"a\"]", 1, 2, "`[[for]]`"),
        ("[[for]]\nmin-age = \"1 day\"", 1, 1, "for which projects"),
        ("[[for]]\nprojects = [\"a\"]", 1, 1, "asks for nothing"),
        (
            "[[for]]\nprojects = []\nmin-age = \"1 day\"",
            2,
            12,
            "empty",
        ),
        (
            "[[for]]\nprojects = \"a\"\nmin-age = \"1 day\"",
            2,
            12,
            "list of names",
        ),
        (
            "[[for]]\nprojects = [\"a\", \"B_c\"]\nmin-age = \"1 day\"",
            2,
            18,
            "`B_c`",
        ),
        (
            "[[for]]\nprojects = [\"a\"]\nversions = \"new\"\nmin-age = \"1 day\"",
            3,
            12,
            "",
        ),
        (
            "[[for]]\nprojects = [\"a\"]\nfiles = \"eggs\"\nmin-age = \"1 day\"",
            3,
            9,
            "\"sdists\"",
        ),
        (
            "[[for]]\nprojects = [\"a\"]\nopenpgp = [\"12\"]",
            3,
            12,
            "hexadecimal",
        ),
        ("[everything]\nchain = \"unsigned", 2, 0, ""),
        (
            "[everything]\nattested-by = [\"pallets\"]",
            2,
            16,
            "github:OWNER/REPOSITORY@WORKFLOW",
        ),
        (
            "[everything]\nattested-by = [{ kind = \"GitHub\" }]",
            2,
            16,
            "",
        ),
        (
            "[everything]\nattested-by = [1]",
            2,
            16,
            "list of identities",
        ),
        (
            "[everything]\nattested-by = \"x\"",
            2,
            15,
            "list of identities",
        ),
    ] {
        let mistakes = parse(text).unwrap_err();
        let wrong = &mistakes[0];
        assert!(wrong.what.contains(what), "{text}: {wrong}");
        assert_eq!(wrong.line, line, "{text}: {wrong}");
        assert!(column == 0 || wrong.column == column, "{text}: {wrong}");
    }
}

#[test]
fn every_mistake_is_told_at_once_beside_its_line() {
    let text = "[everything]\nchian = \"unsigned\"\n\n[[for]]\nprojects = [\"É\"]\n  min-age = 1\n";
    let mistakes = parse(text).unwrap_err();
    let lines: Vec<usize> = mistakes.iter().map(|wrong| wrong.line).collect();
    assert_eq!(lines, [2, 5, 6], "{mistakes:?}");
    assert_eq!(mistakes[0].shown(), "2 | chian = \"unsigned\"\n  | ^^^^^");
    assert_eq!(mistakes[2].shown(), "6 |   min-age = 1\n  |             ^");
}

#[test]
fn a_line_that_never_counts_is_a_mistake() {
    let rule = |rest: &str| format!("[[for]]\n{rest}min-age = \"1 day\"\n");
    let check = |first: &str, second: &str, fine: bool| {
        let text = rule(first) + &rule(second);
        assert_eq!(parse(&text).is_ok(), fine, "{text}");
    };
    let all = "projects = [\"*\"]\n";
    let acme = "projects = [\"acme-*\"]\n";
    check(acme, all, true);
    check(all, acme, false);
    check(acme, acme, false);
    check("projects = [\"acme-*\"]\nfiles = \"wheels\"\n", acme, true);
    check("projects = [\"acme-*\"]\nversions = \">2\"\n", acme, true);
    check(
        "projects = [\"acme-*\", \"b\"]\n",
        "projects = [\"b\", \"c\"]\n",
        true,
    );
    check(
        "projects = [\"acme-*\", \"b\", \"c\"]\n",
        "projects = [\"b\", \"c\"]\n",
        false,
    );
    let text = rule(all) + "[[for]]\nprojects = [\"a\"]\nchain = \"unsigned\"\n";
    assert!(parse(&text).is_ok(), "they speak of different things");
}

#[test]
fn a_file_that_nobody_wrote_by_hand_is_not_read() {
    let long = "#".repeat(PolicyFile::MAX_LEN + 1);
    assert!(parse(&long).is_err());
    assert!(parse(&long[1..]).is_ok());
}

/// Texts that are rules more often than not.
fn texts() -> impl Strategy<Value = String> {
    let pattern = prop::sample::select(vec!["*", "demo", "d*", "other", "de?o"]);
    let age = 0..20u32;
    let chain = prop::sample::select(Chain::ALL.map(Chain::as_str).to_vec());
    let more = prop::sample::select(vec!["", "files = \"wheels\"\n", "versions = \"<2\"\n"]);
    let rule =
        (pattern, age, chain, more, any::<bool>()).prop_map(|(who, age, chain, more, aged)| {
            let demand = if aged {
                format!("min-age = \"{age} days\"")
            } else {
                format!("chain = \"{chain}\"")
            };
            format!("[[for]]\nprojects = [\"{who}\"]\n{more}{demand}\n")
        });
    prop::collection::vec(rule, 0..5).prop_map(|rules| rules.concat())
}

proptest! {
    #[test]
    fn another_file_never_lets_through_what_was_refused(
        one in texts(),
        other in texts(),
        days in 0..25i64,
        at in 0..Chain::ALL.len(),
        wheel in any::<bool>(),
    ) {
        let (Ok(one), Ok(other)) = (parse(&one), parse(&other)) else {
            return Ok(());
        };
        let file = name(if wheel { "demo-1.0-py3-none-any.whl" } else { "demo-3.0.tar.gz" });
        let facts = Facts { chain: Chain::ALL[at], ..facts(&file, days) };
        let holds = |files: &[&PolicyFile]| {
            let files = files.iter().map(|&file| file.clone()).collect();
            Policy::new(files).decide(&facts, now()).holds()
        };
        prop_assert_eq!(holds(&[&one, &other]), holds(&[&one]) && holds(&[&other]));
        prop_assert!(holds(&[]));
    }

    #[test]
    fn a_file_decides_once_in_each_respect(text in texts(), days in 0..25i64) {
        let Ok(file) = parse(&text) else { return Ok(()) };
        let policy = Policy::new(vec![file]);
        let name = name("demo-1.0-py3-none-any.whl");
        let decision = policy.decide(&facts(&name, days), now());
        for kind in DemandKind::ALL {
            let decided = decision.lines.iter().filter(|line| {
                line.demand.kind() == kind
                    && matches!(line.outcome, Outcome::Holds(_) | Outcome::Fails(_))
            });
            let decided: Vec<_> = decided.collect();
            prop_assert!(decided.len() <= 1);
            let fails = decided.iter().any(|line| matches!(line.outcome, Outcome::Fails(_)));
            prop_assert_eq!(policy.failing(&facts(&name, days), kind, now()).is_some(), fails);
        }
    }

    #[test]
    fn reading_never_panics(text in "[\\PC\\n]{0,200}") {
        if let Err(mistakes) = parse(&text) {
            for wrong in mistakes {
                prop_assert!(!wrong.shown().is_empty());
            }
        }
    }
}

#[test]
fn a_lock_asks_for_its_own_files_alone() {
    let lock = r#"
lock-version = "1.0"
[[packages]]
name = "demo"
version = "1.0"
wheels = [{ name = "demo-1.0-py3-none-any.whl", hashes = {} }, { name = "demo-3.0-py3-none-any.whl", hashes = {} }]
attestation-identities = [
    { kind = "GitHub", repository = "o/r", workflow = "r.yml", environment = "", claims = { x = 1 } },
    { kind = "GitHub", repository = "o/r", workflow = "r.yml" },
    { kind = "Other", x = 1 },
]
[[packages]]
name = "demo"
version = "1.0+local"
attestation-identities = [{ kind = "Google", email = "a@b.example" }]
[[packages]]
name = "other"
version = "1.0"
[[packages]]
name = "any"
attestation-identities = [{ kind = "Other" }]
[[packages]]
name = "archived"
version = "1.0"
archive = { url = "https://pkg.example/packages/archived/archived-1.0.tar.gz", hashes = {} }
attestation-identities = [{ kind = "Other" }]
"#;
    let lock = wheelmark_packaging::lock::LockFile::parse(
        wheelmark_packaging::lock::LockFormat::Pylock,
        lock.as_bytes(),
    )
    .unwrap();
    let policy = Policy::new(vec![PolicyFile::of_lock(&lock, "pylock.toml").unwrap()]);
    assert!(!policy.files()[0].is_trusted());
    let check = |file: &str, expected: &str| {
        let file = name(file);
        let facts = Facts {
            file: &file,
            chain: Chain::IndexSigned,
            visible_since: None,
            mark: Mark::None,
            attested: Attested::Nobody("nobody".to_owned()),
            openpgp: SignedBy::NotLookedAt,
        };
        let decision = policy.decide(&facts, Timestamp::UNIX_EPOCH);
        let failing = decision
            .lines
            .iter()
            .find(|line| matches!(line.outcome, Outcome::Fails(_)));
        let said = failing.map_or(String::new(), |line| {
            format!("{}: {}", line.line, line.demand)
        });
        assert_eq!(said, expected, "{file:?}");
        assert_eq!(
            policy.asks(&file, DemandKind::AttestedBy),
            !expected.is_empty()
        );
    };
    let demo = "8: attested-by = [\"github:o/r@r.yml\", \"a publisher of the kind Other\"]";
    check("demo-1.0-py3-none-any.whl", demo);
    check("demo-1.0.0.tar.gz", demo);
    // Whatever version it is locked as.
    check("demo-3.0-py3-none-any.whl", demo);
    check("demo-2.0-py3-none-any.whl", "");
    check(
        "demo-1.0+local-py3-none-any.whl",
        "15: attested-by = [\"google:a@b.example\"]",
    );
    check("other-1.0-py3-none-any.whl", "");
    check("demo_x-1.0-py3-none-any.whl", "");
    check(
        "any-7.0-py3-none-any.whl",
        "21: attested-by = [\"a publisher of the kind Other\"]",
    );
    // What a URL leads to can be a file of an index.
    check(
        "archived-1.0.tar.gz",
        "26: attested-by = [\"a publisher of the kind Other\"]",
    );
}

#[test]
fn what_in_a_lock_names_nobody() {
    let check = |members: &str, expected: &str| {
        let text = format!(
            "identities-version = \"1.0\"\n[[packages]]\nname = \"demo\"\nattestation-identities = [\n{members}\n]\n"
        );
        let beside = wheelmark_packaging::lock::Beside::parse(text.as_bytes()).unwrap();
        let said = match PolicyFile::beside_lock(&beside, "x") {
            Ok(file) => file.rules()[0].clauses()[0].demand().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{members}: {said}");
    };
    check(
        r#"{ kind = "GitHub", repository = "o/r", workflow = "r.yml" }"#,
        "[\"github:o/r@r.yml\"]",
    );
    check(
        r#"{ kind = "GitHub", repository = "o/r", workflow = "r.yml", environment = "e" }"#,
        "[\"github:o/r@r.yml#e\"]",
    );
    check(r#"{ kind = "Unheard\nof" }"#, "is not");
    check(
        r#"{ kind = "GitHub", repository = "o/r" }"#,
        "line 5: an attestation identity of demo names nobody: a publisher of the kind GitHub needs `workflow`",
    );
    check(
        r#"{ kind = "github", repository = "o/r", workflow = "r.yml" }"#,
        "a publisher of the kind github",
    );
    check(
        r#"{ kind = "GitHub", repository = "o/r", workflow = "r.yml", ref = "main" }"#,
        "has no `ref`",
    );
    check(
        r#"{ kind = "GitHub", repository = "o/r", workflow = "r.yml", email = "" }"#,
        "has no `email`",
    );
    check(
        r#"{ kind = "GitHub", repository = "", workflow = "r.yml" }"#,
        "or it is empty",
    );
    check(
        r#"{ kind = "GitHub", repository = 5, workflow = "r.yml" }"#,
        "invalid type",
    );
    check(
        r#"{ kind = "GitHub", repository = "o/r", workflow = 1979-05-27 }"#,
        "is not the file of a workflow",
    );
    check(r#"{ kind = 5 }"#, "it has no `kind`");
    check("{}", "it has no `kind`");
}
