#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

const DIGEST: &str = "6ec3d4f0b5b3a2a1f3a6d7c8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f00112";

const UV: &str = r#"
version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "mine"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "needed-wheel" }]

[[package]]
name = "needed-wheel"
version = "1.2"
source = { registry = "https://pkg.example/simple/" }
sdist = { url = "https://pkg.example/packages/needed-wheel/needed_wheel-1.2.tar.gz", hash = "sha256:DIGEST", size = 5 }
wheels = [
    { url = "https://pkg.example/packages/needed-wheel/needed_wheel-1.2%2Blocal-py3-none-any.whl", hash = "sha256:DIGEST", size = 1234, upload-time = "2026-01-01T00:00:00Z" },
]

[[package]]
name = "forked"
version = "1"
source = { git = "https://git.example/forked?rev=main#abc" }

[[package]]
name = "of-links"
version = "1"
source = { registry = "../links" }
wheels = [{ path = "of_links-1-py3-none-any.whl" }]
"#;

const PYLOCK: &str = r#"
lock-version = "1.0"
created-by = "pip"

[[packages]]
name = "needed-wheel"
version = "1.2"
index = "https://pkg.example/simple/"

[[packages.wheels]]
name = "needed_wheel-1.2-py3-none-any.whl"
url = "https://pkg.example/packages/needed-wheel/needed_wheel-1.2-py3-none-any.whl"

[packages.wheels.hashes]
sha256 = "DIGEST"

[[packages.attestation-identities]]
kind = "GitHub"
repository = "o/r"
workflow = "release.yml"

[[packages]]
name = "forked"
vcs = { type = "git", url = "https://git.example/forked", commit-id = "abc" }

[[packages]]
name = "tree"
directory = { path = "../tree", editable = true }

[[packages]]
name = "archived"
archive = { url = "https://x.example/a.zip", hashes = { sha256 = "DIGEST" } }
"#;

const POETRY: &str = r#"
[[package]]
name = "needed-wheel"
version = "1.2"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
files = [
    {file = "needed_wheel-1.2-py3-none-any.whl", hash = "sha256:DIGEST"},
]

[package.source]
type = "legacy"
url = "https://pkg.example/simple"
reference = "ours"

[[package]]
name = "forked"
version = "1"
files = []

[package.source]
type = "git"
url = "https://git.example/forked"
resolved_reference = "abc"

[metadata]
lock-version = "2.1"
python-versions = ">=3.10"
content-hash = "x"
"#;

const PDM: &str = r#"
[metadata]
groups = ["default"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"
content_hash = "sha256:x"

[[package]]
name = "needed-wheel"
version = "1.2"
summary = ""
groups = ["default"]
files = [
    {file = "needed_wheel-1.2-py3-none-any.whl", hash = "sha256:DIGEST"},
    {url = "https://pkg.example/packages/needed-wheel/needed_wheel-1.2.tar.gz", hash = "sha256:DIGEST"},
]

[[package]]
name = "tree"
version = "0"
path = "./tree"
"#;

const REQUIREMENTS: &str = "# by hand\n--index-url https://pkg.example/simple/\n\
    Needed_Wheel[x,y]==1.2 ; python_version > '3' \\\n    --hash=sha256:DIGEST \\\n    --hash=sha256:DIGEST\n\
    loose>=1 # via mine\nbare\nthere @ https://x.example/there-1.tar.gz#sha256=DIGEST\n\
    -e ./tree\ngit+https://git.example/forked#egg=forked\n./here-1-py3-none-any.whl\n-r more.txt\n-c c.txt\n--pre\n";

fn parse(format: LockFormat, text: &str) -> Result<LockFile, LockError> {
    LockFile::parse(format, text.replace("DIGEST", DIGEST).as_bytes())
}

fn names(lock: &LockFile) -> Vec<String> {
    let files = lock.packages.iter().flat_map(|package| &package.files);
    files.filter_map(|file| file.filename.clone()).collect()
}

fn others(lock: &LockFile) -> Vec<(String, ElsewhereKind)> {
    let named = |it: &Elsewhere| it.project.as_ref().map_or("", |it| it.as_str()).to_owned();
    lock.elsewhere
        .iter()
        .map(|it| (named(it), it.kind))
        .collect()
}

#[test]
fn what_the_tools_write() {
    use ElsewhereKind::{Path, Repository, Tree, Url};
    let check = |format,
                 text,
                 version: Option<&str>,
                 index: Option<&str>,
                 files: &[&str],
                 elsewhere: &[(&str, ElsewhereKind)]| {
        let lock = parse(format, text).unwrap();
        assert_eq!(lock.version.as_deref(), version, "{format}");
        let package = &lock.packages[0];
        assert_eq!(package.project.as_str(), "needed-wheel", "{format}");
        assert_eq!(package.version, Some("1.2".parse().unwrap()), "{format}");
        assert_eq!(package.index.as_deref(), index, "{format}");
        assert_eq!(names(&lock), files, "{format}");
        for file in &package.files {
            assert_eq!(file.hashes.get("sha256"), Some(DIGEST), "{format}");
        }
        let expected: Vec<_> = elsewhere
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind))
            .collect();
        assert_eq!(others(&lock), expected, "{format}");
    };
    let wheel = "needed_wheel-1.2-py3-none-any.whl";
    let sdist = "needed_wheel-1.2.tar.gz";
    let local = "needed_wheel-1.2+local-py3-none-any.whl";
    let index = Some("https://pkg.example/simple/");
    check(
        LockFormat::Uv,
        UV,
        Some("1"),
        index,
        &[sdist, local],
        &[("mine", Tree), ("forked", Repository), ("of-links", Path)],
    );
    check(
        LockFormat::Pylock,
        PYLOCK,
        Some("1.0"),
        index,
        &[wheel],
        &[("forked", Repository), ("tree", Tree), ("archived", Url)],
    );
    check(
        LockFormat::Poetry,
        POETRY,
        Some("2.1"),
        Some("https://pkg.example/simple"),
        &[wheel],
        &[("forked", Repository)],
    );
    check(
        LockFormat::Pdm,
        PDM,
        Some("4.5.0"),
        None,
        &[wheel, sdist],
        &[("tree", Tree)],
    );
    check(
        LockFormat::Requirements,
        REQUIREMENTS,
        None,
        None,
        &[],
        &[
            ("there", Url),
            ("", Tree),
            ("forked", Repository),
            ("", Path),
        ],
    );
}

#[test]
fn identities_and_lengths_are_kept() {
    let lock = parse(LockFormat::Pylock, PYLOCK).unwrap();
    let identity = &lock.packages[0].identities[0];
    assert_eq!(identity.members["kind"], "GitHub");
    assert_eq!(identity.members["workflow"], "release.yml");
    assert_eq!(
        PYLOCK.lines().nth(identity.line - 1),
        Some("[[packages.attestation-identities]]")
    );
    let lock = parse(LockFormat::Uv, UV).unwrap();
    assert_eq!(lock.packages[0].files[1].size, Some(1234));
}

#[test]
fn a_requirements_file_names_digests_alone() {
    let lock = parse(LockFormat::Requirements, REQUIREMENTS).unwrap();
    assert_eq!(lock.packages[0].files.len(), 2);
    let loose: Vec<_> = lock.packages[1..]
        .iter()
        .map(|it| (it.project.as_str(), it.version.is_some()))
        .collect();
    assert_eq!(loose, [("loose", false), ("bare", false)]);
    assert_eq!(lock.indexes, ["https://pkg.example/simple/"]);
    assert_eq!(lock.includes, ["more.txt"]);
    assert_eq!(lock.notes.len(), 1, "{:?}", lock.notes);
    let pinned = |line: &str| {
        parse(LockFormat::Requirements, line).unwrap().packages[0]
            .version
            .is_some()
    };
    assert!(pinned("a==1") && pinned("a === 1 ; x") && pinned("a (==1)"));
    assert!(!pinned("a==1.*") && !pinned("a==1,!=2") && !pinned("a") && !pinned("a~=1"));
}

#[test]
fn other_versions_are_refused_with_the_reason() {
    let check = |format, text: &str, old: &str, new: &str| {
        let refused = parse(format, &text.replace(old, new)).unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, LockError::Version { .. }), "{said}");
        assert!(said.contains(&format.to_string()), "{said}");
    };
    check(LockFormat::Uv, UV, "version = 1\nrev", "version = 2\nrev");
    check(
        LockFormat::Uv,
        UV,
        "version = 1\nrev",
        "version = \"1\"\nrev",
    );
    check(LockFormat::Pylock, PYLOCK, "\"1.0\"", "\"2.0\"");
    check(LockFormat::Pylock, PYLOCK, "\"1.0\"", "\"1\"");
    check(LockFormat::Poetry, POETRY, "\"2.1\"", "\"3.0\"");
    check(LockFormat::Pdm, PDM, "\"4.5.0\"", "\"5.0\"");
    let newer = parse(LockFormat::Pylock, &PYLOCK.replace("\"1.0\"", "\"1.7\"")).unwrap();
    assert_eq!(newer.notes.len(), 1, "a minor version is told");
    for (format, text) in [
        (LockFormat::Uv, UV),
        (LockFormat::Poetry, POETRY),
        (LockFormat::Pdm, PDM),
        (LockFormat::Pylock, PYLOCK),
    ] {
        let lines = text.lines().filter(|line| {
            !line.contains("version = 1")
                && !line.contains("lock-version")
                && !line.contains("lock_version")
        });
        let without: Vec<&str> = lines.collect();
        let refused = parse(format, &without.join("\n"));
        assert!(
            matches!(refused, Err(LockError::NoVersion { .. })),
            "{format}"
        );
    }
}

#[test]
fn no_name_leads_anywhere() {
    let wheel = "needed_wheel-1.2-py3-none-any.whl";
    for bad in [
        "../../x.whl",
        "..",
        "a/b.whl",
        "a\\\\b.whl",
        "C:x.whl",
        "a\\nb.whl",
        "",
    ] {
        for (format, text) in [(LockFormat::Poetry, POETRY), (LockFormat::Pdm, PDM)] {
            let text = text.replace(&format!("file = \"{wheel}\""), &format!("file = \"{bad}\""));
            let refused = parse(format, &text);
            assert!(
                matches!(refused, Err(LockError::Filename { .. })),
                "{format} {bad}"
            );
        }
        let text = PYLOCK.replace(&format!("name = \"{wheel}\""), &format!("name = \"{bad}\""));
        assert!(
            matches!(
                parse(LockFormat::Pylock, &text),
                Err(LockError::Filename { .. })
            ),
            "{bad}"
        );
    }
    for bad in ["..%2f..%2fx.whl", "a%5cb.whl", "%2e%2e", "", "%00"] {
        let text = UV.replace("needed_wheel-1.2.tar.gz", bad);
        assert!(
            matches!(
                parse(LockFormat::Uv, &text),
                Err(LockError::Filename { .. })
            ),
            "{bad}"
        );
    }
    let text = UV.replace("name = \"forked\"", "name = \"../forked\"");
    assert!(matches!(
        parse(LockFormat::Uv, &text),
        Err(LockError::Name { number: 3, .. })
    ));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let check = |format, text: &str, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        parse(format, &text.replace(old, new)).unwrap_err()
    };
    let uv = |old, new| check(LockFormat::Uv, UV, old, new);
    let source = uv(
        "source = { virtual = \".\" }",
        "source = { elsewhere = \".\" }",
    );
    assert!(matches!(source, LockError::Source { .. }));
    let two = uv(
        "{ virtual = \".\" }",
        "{ virtual = \".\", registry = \"https://a\" }",
    );
    assert!(matches!(two, LockError::Source { .. }));
    assert!(matches!(
        uv("sha256:DIGEST", "sha256:xyz"),
        LockError::Hash { .. }
    ));
    assert!(matches!(
        uv("sha256:DIGEST", "DIGEST"),
        LockError::Hash { .. }
    ));
    assert!(matches!(
        uv("version = \"1.2\"", "version = \"one\""),
        LockError::PackageVersion { .. }
    ));
    assert!(matches!(
        uv("version = \"1.2\"", "name = \"x\""),
        LockError::Toml { .. }
    ));
    assert!(matches!(
        uv("version = \"1.2\"", ""),
        LockError::NoPackageVersion { .. }
    ));
    assert!(matches!(
        uv("size = 5", "size = -5"),
        LockError::Form { .. }
    ));
    let kind = check(
        LockFormat::Poetry,
        POETRY,
        "type = \"git\"",
        "type = \"odd\"",
    );
    assert!(matches!(kind, LockError::Source { .. }));
    for line in ["a b", "--odd", "a==1 --odd", "a[x", "!"] {
        assert!(
            matches!(
                parse(LockFormat::Requirements, line),
                Err(LockError::Line { .. })
            ),
            "{line}"
        );
    }
    assert!(matches!(
        LockFile::parse(LockFormat::Uv, b"\xff"),
        Err(LockError::NotText)
    ));
    let long = vec![b'#'; MAX_LOCK_LEN + 1];
    assert!(matches!(
        LockFile::parse(LockFormat::Uv, &long),
        Err(LockError::TooLong { .. })
    ));
    let many = "a\n".repeat(MAX_LOCKED_PACKAGES + 1);
    assert!(matches!(
        parse(LockFormat::Requirements, &many),
        Err(LockError::TooManyPackages { .. })
    ));
    let deep = format!("version = 1\nx = {}", "[".repeat(100_000));
    assert!(matches!(
        parse(LockFormat::Uv, &deep),
        Err(LockError::Toml { .. })
    ));
}

#[test]
fn names_of_lock_files() {
    let check = |name: &str, format: Option<LockFormat>| {
        assert_eq!(LockFormat::of_name(name), format, "{name}")
    };
    check("uv.lock", Some(LockFormat::Uv));
    check("tool.py.lock", Some(LockFormat::Uv));
    check("pylock.toml", Some(LockFormat::Pylock));
    check("pylock.dev.toml", Some(LockFormat::Pylock));
    check("pylock..toml", None);
    check("pyproject.toml", None);
    check("Cargo.lock", None);
    check("requirements-dev.txt", Some(LockFormat::Requirements));
    check(".txt", None);
}

#[test]
fn urls_and_the_packages_that_they_stand_under() {
    let text = "index = 'http://a/simple/'\n[[package]]\nname = \"x\"\nsource = { registry = \"http://b/simple/\" }\n\
        [[package.wheels]]\nname = \"y.whl\"\nurl = \"https://c/y.whl#sha256=1\"\n";
    let found: Vec<_> = named_urls(text)
        .into_iter()
        .map(|it| (it.url, it.package, it.line))
        .collect();
    assert_eq!(
        found,
        [
            ("http://a/simple/", None, 1),
            ("http://b/simple/", Some("x"), 4),
            ("https://c/y.whl", Some("x"), 7)
        ]
    );
    let line = "there[x] @ http://b/there-1.whl ; x\n--index-url http://c/simple\n";
    let found: Vec<_> = named_urls(line)
        .into_iter()
        .map(|it| (it.url, it.package))
        .collect();
    assert_eq!(
        found,
        [
            ("http://b/there-1.whl", Some("there")),
            ("http://c/simple", None)
        ]
    );
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(text in any::<String>(), base in 0..5_usize, at in any::<prop::sample::Index>()) {
        let (format, whole) = [
            (LockFormat::Uv, UV), (LockFormat::Pylock, PYLOCK), (LockFormat::Poetry, POETRY),
            (LockFormat::Pdm, PDM), (LockFormat::Requirements, REQUIREMENTS),
        ][base];
        drop(parse(format, &text));
        let at = at.index(whole.len());
        prop_assume!(whole.is_char_boundary(at));
        if let Ok(lock) = parse(format, &format!("{}{text}{}", &whole[..at], &whole[at..])) {
            for name in names(&lock) {
                prop_assert!(!name.contains(['/', '\\']) && name != "..", "{}", name);
            }
        }
        let text = format!("{}{text}{}", &whole[..at], &whole[at..]).replace("DIGEST", DIGEST);
        if let Ok(written) = with_identities(&text, &[demo_of(&["o/r"])]) {
            prop_assert!(LockFile::parse(LockFormat::Pylock, written.as_bytes()).is_ok());
        }
        drop(Beside::parse(text.as_bytes()));
    }

    #[test]
    fn urls_stand_where_they_are_said_to(text in "([a-z@ =\"\n]{0,5}(https?://[a-z/:.#\"]{0,8})?){0,6}") {
        for found in named_urls(&text) {
            prop_assert_eq!(&text[found.range.clone()], found.url);
            prop_assert!(found.url.starts_with("http"));
        }
    }
}

fn demo_of(who: &[&str]) -> AttestedPackage {
    AttestedPackage {
        project: "needed-wheel".parse().unwrap(),
        version: Some("1.2".parse().unwrap()),
        identities: who
            .iter()
            .map(|who| {
                let members = [
                    ("kind", "GitHub"),
                    ("repository", who),
                    ("workflow", "r.yml"),
                ];
                members
                    .map(|(member, value)| (member.to_owned(), value.to_owned()))
                    .into()
            })
            .collect(),
    }
}

#[test]
fn identities_are_written_and_nothing_else_is_changed() {
    let uv = "lock-version = \"1.0\" # by uv\n\n[[packages]]\nname = \"needed-wheel\"\nversion = \"1.2\"\n\
        wheels = [\n    { url = \"https://a.example/needed_wheel-1.2-py3-none-any.whl\", hashes = {} }, # one\n]\n\n\
        [packages.tool.x]\ny = \"\"\"\n[[packages]]\n\"\"\"\n\n# of the other\n[[packages]]\nname = \"other\"\nversion = \"1\"\n\
        [[packages.attestation-identities]]\nkind = \"X\"\n";
    let block = |who: &str| {
        format!(
            "\n[[packages.attestation-identities]]\nkind = \"GitHub\"\nrepository = \"{who}\"\nworkflow = \"r.yml\"\n"
        )
    };
    let check = |text: &str, who: &[&str], expected: &str| {
        let written = with_identities(text, &[demo_of(who)]).unwrap();
        assert_eq!(written, expected);
        // Once more changes nothing, and without any it is what it was.
        assert_eq!(
            with_identities(&written, &[demo_of(who)]).unwrap(),
            expected
        );
    };
    let end = "\"\"\"\n[[packages]]\n\"\"\"\n".replace("\"\"\"\n[[", "[[");
    let written = uv.replacen(&end, &format!("{end}{}", block("o/r")), 1);
    check(uv, &["o/r"], &written);
    check(&written, &[], uv);
    check(&written, &["o/q"], &written.replace("o/r", "o/q"));
    let two = written.replacen(&block("o/r"), &(block("o/r") + &block("o/s")), 1);
    check(&written, &["o/r", "o/s"], &two);
    check(&two, &[], uv);
    // As pip writes it; the package is found in the middle of others.
    let pip = PYLOCK.replace("DIGEST", DIGEST);
    let other = pip.replace("o/r", "o/q").replace("release.yml", "r.yml");
    check(&pip, &["o/q"], &other);
    // Other line ends, and none at the end.
    let windows = uv.replace('\n', "\r\n");
    check(&windows, &["o/r"], &written.replace('\n', "\r\n"));
    let short =
        "lock-version = \"1.0\"\npackages = [{ name = \"needed-wheel\", version = \"1.2\" }]";
    check(
        short,
        &["o/r"],
        "lock-version = \"1.0\"\npackages = [{ attestation-identities = [{ kind = \"GitHub\", repository = \"o/r\", workflow = \"r.yml\" }], name = \"needed-wheel\", version = \"1.2\" }]",
    );
    let short = "lock-version = \"1.0\"\n[[packages]]\nname = \"needed-wheel\"\nversion = \"1.2\"";
    check(short, &["o/r"], &format!("{short}\n{}", block("o/r")));
    let inline = "lock-version = \"1.0\"\n[[packages]]\nname = \"needed-wheel\"\nattestation-identities = [] # none\nversion = \"1.2\"\n";
    check(
        inline,
        &["o/r"],
        &inline.replace(
            "[] #",
            "[{ kind = \"GitHub\", repository = \"o/r\", workflow = \"r.yml\" }] #",
        ),
    );
    // What names it another time, or is from nowhere that attests, is left alone.
    let twice = "lock-version = \"1.0\"\n[[packages]]\nname = \"needed-wheel\"\nversion = \"1.2\"\n[packages.directory]\npath = \".\"\n";
    check(twice, &["o/r"], twice);
}

#[test]
fn identities_have_their_limits_and_lines() {
    let one = "[[packages.attestation-identities]]\nkind = \"x\"\n";
    let head = "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\n";
    let lock = parse(LockFormat::Pylock, &format!("{head}{}", one.repeat(64))).unwrap();
    let lines = lock.packages[0].identities.iter().map(|one| one.line);
    assert_eq!(
        lines.collect::<Vec<_>>(),
        (0..64).map(|at| 5 + 2 * at).collect::<Vec<_>>()
    );
    let many = parse(LockFormat::Pylock, &format!("{head}{}", one.repeat(65)));
    assert_eq!(
        many,
        Err(LockError::TooManyIdentities {
            package: "a".to_owned(),
            count: 65
        })
    );
    for wrong in ["5", "\"x\"", "[5]", "{ kind = \"x\" }"] {
        let text = format!("{head}attestation-identities = {wrong}\n");
        let refused = parse(LockFormat::Pylock, &text);
        assert!(
            matches!(refused, Err(LockError::Form { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn what_stands_beside_a_lock() {
    let given = std::collections::BTreeMap::from([
        (
            "a".parse().unwrap(),
            demo_of(&["o/r", "o/\"q\""]).identities,
        ),
        ("b".parse().unwrap(), demo_of(&["o/s"]).identities),
    ]);
    let text = Beside::text("uv.lock\n", &given);
    let read = Beside::parse(text.as_bytes()).unwrap();
    let names: Vec<&str> = read.packages.keys().map(ProjectName::as_str).collect();
    assert_eq!(names, ["a", "b"]);
    for (project, identities) in &given {
        let there: Vec<_> = read.packages[project]
            .iter()
            .map(|it| &it.members)
            .collect();
        assert_eq!(there.len(), identities.len());
        for (there, given) in there.iter().zip(identities) {
            let there: Vec<_> = there
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            let given: Vec<_> = given
                .iter()
                .map(|(k, v)| (k.as_str(), Some(v.as_str())))
                .collect();
            assert_eq!(there, given);
        }
    }
    let line = read.packages[&"b".parse::<ProjectName>().unwrap()][0].line;
    assert_eq!(
        text.lines().nth(line - 1),
        Some("[[packages.attestation-identities]]")
    );
    let refused = |text: &str| Beside::parse(text.as_bytes()).unwrap_err();
    let head = "identities-version = \"1.0\"\n";
    let package = "[[packages]]\nname = \"a\"\nattestation-identities = []\n";
    assert!(matches!(refused(""), LockError::Form { .. }));
    assert!(matches!(
        refused("identities-version = \"1.1\""),
        LockError::BesideVersion { .. }
    ));
    assert!(matches!(
        refused(&format!("{head}more = 1")),
        LockError::Form { .. }
    ));
    assert!(matches!(
        refused(&format!("{head}{package}version = \"1\"")),
        LockError::Form { .. }
    ));
    assert!(matches!(
        refused(&format!("{head}{package}{package}")),
        LockError::Twice { .. }
    ));
    assert!(matches!(
        refused(&format!(
            "{head}[[packages]]\nname = \"../a\"\nattestation-identities = []\n"
        )),
        LockError::Name { .. }
    ));
}
