use std::path::Path;

use super::*;

/// Files that are there with their texts, and variables.
type Given<'a> = &'a [(&'a str, &'a str)];

fn check_in(line: &str, files: Given<'_>, variables: Given<'_>, expected: &[&str]) {
    let find = |given: Given<'_>, name: &str| {
        let found = given.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let around = Surroundings {
        directory: Path::new("/code/here"),
        user_configuration: Some(Path::new("/home")),
        variable: &|name| find(variables, name),
        exists: &|_| false,
        read: &|path| find(files, &path.to_string_lossy()),
    };
    let named = named_projects(&command, &around);
    let named: Vec<&str> = named.iter().map(|named| named.project.as_str()).collect();
    assert_eq!(named, expected, "{line} {files:?} {variables:?}");
}

fn check(line: &str, expected: &[&str]) {
    let files = [
        (
            "/code/here/r.txt",
            "# all\n--require-hashes\nFlask_Login>=1\nb==1 \\\n  --hash=sha256:00 --hash sha256:01\n-r sub/o.in\n",
        ),
        ("/code/here/sub/o.in", "-r p.txt\nother"),
        (
            "/code/here/sub/p.txt",
            "--only-binary :all:\ndeep[extra]~=1",
        ),
    ];
    check_in(line, &files, &[], expected);
}

#[test]
fn requirements_are_taken_from_the_line_and_from_files() {
    check("pip install flask", &["flask"]);
    check("pip3.12 -q install -U flask==1 Flask", &["flask"]);
    check(
        "python -m pip install a[b]>=1 c~=2 -qqU d",
        &["a", "c", "d"],
    );
    check(
        "uv pip install --quiet --no-deps --python /v/bin/python a b",
        &["a", "b"],
    );
    check("uv pip install -qp/v --python=/v --color never a", &["a"]);
    let all = ["flask-login", "b", "deep", "other"];
    check("pip install -r r.txt", &all);
    check("uv -q pip install --requirements=r.txt", &all);
    check(
        "pip install -rr.txt z",
        &["z", "flask-login", "b", "deep", "other"],
    );
    check("uv pip install -r /code/here/sub/p.txt", &["deep"]);
}

#[test]
fn the_newest_version_is_likely_where_no_other_is_asked_for() {
    let check = |line: &str, expected: &[&str]| {
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let around = Surroundings {
            directory: Path::new("/code/here"),
            user_configuration: None,
            variable: &|_| None,
            exists: &|_| false,
            read: &|_| Some("e\nf==1".to_owned()),
        };
        let named = named_projects(&command, &around);
        let newest = named.iter().filter(|named| named.newest);
        let newest: Vec<&str> = newest.map(|named| named.project.as_str()).collect();
        assert_eq!(newest, expected, "{line}");
    };
    check("pip install a b==1 c[x] d>=2 -r r.txt", &["a", "c", "e"]);
    check("uv pip install a~=1 b!=2 c(1) d<3", &[]);
    check("uv pip install a b", &["a", "b"]);
    check("uv pip install --dry-run a", &[]);
    check("pip install --no-binary=:all: a", &[]);
    check("pip install --no-binary a b", &[]);
}

#[test]
fn nothing_is_looked_up_where_another_index_may_be_asked() {
    let url = "https://p.example/simple";
    for option in [
        "--index-url URL",
        "--index-url=URL",
        "-i URL",
        "-iURL",
        "-qi URL",
        "--extra-index-url URL",
        "--find-links URL",
        "-f URL",
        "--no-index",
    ] {
        let option = option.replace("URL", url);
        check(&format!("pip install {option} acme"), &[]);
        check(&format!("pip install acme {option}"), &[]);
        check(&format!("uv pip install {option} acme"), &[]);
        check_in(
            "pip install -r r.txt acme",
            &[("/code/here/r.txt", &format!("{option}\nother"))],
            &[],
            &[],
        );
    }
    // pip takes beginnings, and reads its own options before the subcommand as well.
    for line in [
        "pip install --index-u URL acme",
        "pip install --extra URL acme",
        "pip -i URL install acme",
        "pip --isolated install acme",
        "pip install --proxy URL acme",
        "pip install acme -- other",
        "uv pip install --index p=URL acme",
        "uv pip install --default-index URL acme",
        "uv --offline pip install acme",
        "uv pip install --offline acme",
        "uv --directory d pip install acme",
        "uv --project d pip install acme",
        "uv --config-file f pip install acme",
    ] {
        check(&line.replace("URL", url), &[]);
    }
}

#[test]
fn nothing_is_looked_up_where_a_word_is_not_understood() {
    for line in [
        "pip install --later-option value acme",
        "pip install -qZ acme",
        "pip install --quiet=value acme",
        "pip install acme -r",
        "uv pip install --later-option value acme",
        "uv pip install -c r.txt acme",
        "uv pip install acme -p",
        // The same letter: pip has no such option.
        "pip install -p python acme",
        "pip install -r missing.txt acme",
        "uv pip install -r - acme",
        "pip install -r https://p.example/r.txt acme",
    ] {
        check(line, &[]);
    }
    let within = |text: &str, expected: &[&str]| {
        let files = [("/code/here/r.txt", text)];
        check_in("pip install -r r.txt", &files, &[], expected);
    };
    within("acme", &["acme"]);
    for text in [
        "-r missing.txt\nacme",
        "-r r.txt\nacme",
        "-c r.txt\nacme",
        "--later-option value\nacme",
        "acme\n${NAME}",
        "acme --index-url https://p.example/simple",
        "-q other\nacme",
    ] {
        within(text, &[]);
    }
    // Other grammars than that of requirements files.
    for name in ["pyproject.toml", "setup.py", "script", "pylock.toml"] {
        let path = format!("/code/here/{name}");
        check_in(
            &format!("uv pip install -r {name}"),
            &[(&path, "acme")],
            &[],
            &[],
        );
    }
}

#[test]
fn nothing_is_looked_up_where_variables_or_configuration_lead_elsewhere() {
    for line in ["pip install acme", "uv pip install acme"] {
        for variable in [
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "PIP_NO_INDEX",
            "PIP_FIND_LINKS",
            "PIP_CONSTRAINT",
            "UV_INDEX",
            "UV_DEFAULT_INDEX",
            "UV_INDEX_URL",
            "UV_EXTRA_INDEX_URL",
            "UV_FIND_LINKS",
            "UV_NO_INDEX",
            "UV_OFFLINE",
            "UV_CONFIG_FILE",
            "UV_OVERRIDE",
        ] {
            check_in(line, &[], &[(variable, "x")], &[]);
            check_in(line, &[], &[(variable, "")], &["acme"]);
        }
    }
    for setting in [
        "index-url = 'https://p.example/simple'",
        "find-links = ['d']",
        "no-index = true",
        "offline = true",
        "pip.torch-backend = 'auto'",
        "pip.extra-index-url = ['https://p.example/simple']",
        "sources.acme.git = 'https://p.example/acme'",
        "index = [{ url = 'https://p.example/simple' }]",
    ] {
        for (path, table) in [
            ("/code/here/uv.toml", ""),
            ("/code/pyproject.toml", "[tool.uv]\n"),
            ("/home/uv/uv.toml", ""),
            ("/etc/uv/uv.toml", ""),
        ] {
            let text = format!("{table}{setting}\n");
            check_in("uv pip install acme", &[(path, &text)], &[], &[]);
            check_in("pip install acme", &[(path, &text)], &[], &["acme"]);
        }
    }
    let harmless = [("/code/here/uv.toml", "compile-bytecode = true\n")];
    check_in("uv pip install acme", &harmless, &[], &["acme"]);
}

#[test]
fn what_may_not_be_wanted_or_come_from_elsewhere_is_not_looked_up() {
    check("pip install a; b;python_version<'3' c", &["c"]);
    let files = [("/code/here/r.txt", "a ; sys_platform == 'win32'\nb\n")];
    check_in("uv pip install -r r.txt", &files, &[], &["b"]);
    // What is at a path or an URL may be what another requirement names.
    for place in [
        ".",
        "./a",
        "a/b",
        "x-1-py3-none-any.whl",
        "b.tar.bz2",
        "c@https://c.example/c",
        "-e d",
        "*",
    ] {
        check(&format!("pip install acme {place}"), &[]);
        check(&format!("uv pip install {place} acme"), &[]);
    }
    let files = [("/code/here/r.txt", "acme\nc @ https://c.example/c.whl\n")];
    check_in("pip install -r r.txt", &files, &[], &[]);
}

#[test]
fn other_commands_name_nothing() {
    check("pip uninstall flask", &[]);
    check("uv pip uninstall flask", &[]);
    check("uv run pip install flask", &[]);
    check("uv sync", &[]);
    check("poetry add flask", &[]);
    check("make install flask", &[]);
    let many: Vec<String> = (0..MAX_NAMES + 9).map(|at| format!("p{at}")).collect();
    check(
        &format!("pip install {}", many.join(" ")),
        &many[..MAX_NAMES]
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn who_asks_once() {
    let check = |line: &str, once: bool| {
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(asks_once(&command), once, "{line}");
    };
    check("uv pip install flask", true);
    check("/usr/bin/uv pip sync --python /v/bin/python r.txt", true);
    check("python3 -m uv pip install flask", true);
    for line in [
        "uv pip compile r.in",
        "uv run pip install flask",
        "uv sync",
        "uvx flask",
        "pip install flask",
        "sh -c uv",
        "make",
    ] {
        check(line, false);
    }
}
