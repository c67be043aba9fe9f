#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;

use super::*;

/// Files that are there, and what stands in those that are read.
fn routes_with(line: &str, files: &[(&str, &str)]) -> Vec<String> {
    routes_in(line, files, &[])
}

fn routes_in(line: &str, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<String> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let files: HashMap<PathBuf, String> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    let exists = |path: &Path| path.to_str().unwrap().contains("here");
    let read = |path: &Path| files.get(path).cloned();
    let around = Surroundings {
        directory: Path::new("/src/project"),
        user_configuration: Some(Path::new("/home")),
        variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
        exists: &exists,
        read: &read,
    };
    let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    open_routes(&command, &around)
        .into_iter()
        .map(|route| route.argument)
        .collect()
}

fn check(line: &str, expected: &[&str]) {
    assert_eq!(routes_with(line, &[]), expected, "{line}");
}

#[test]
fn lines_without_a_way_around() {
    check("pip install flask", &[]);
    check("pip install flask==3.0 -r absent.txt", &[]);
    check(
        "uv pip install --index-url https://elsewhere/simple flask",
        &[],
    );
    check("pip install --find-links https://elsewhere/ flask", &[]);
    check("pip install https://elsewhere/x.whl", &[]);
    check("make --proxy x file:///x", &[]);
    check("python script.py --no-index", &[]);
    check("uv sync", &[]);
    check("uv venv here", &[]);
    check("uv run ./here/script.py", &[]);
    check("pip install -t ./here -c c.txt flask", &[]);
}

#[test]
fn ways_around() {
    check("pip install --proxy http://p flask", &["--proxy http://p"]);
    check("pip install --proxy=http://p flask", &["--proxy=http://p"]);
    check(
        "/usr/bin/pip3.11 install --no-index -f here flask",
        &["--no-index", "-f here"],
    );
    check(
        "python3 -m pip install --find-links=./here flask",
        &["--find-links=./here"],
    );
    check("pip install ./here/x.whl", &["./here/x.whl"]);
    check("pip install absent.whl", &[]);
    check("pip install here/x", &["here/x"]);
    check("pip install -U ./here/x.whl", &["./here/x.whl"]);
    check("uv run --with ./here script.py", &["--with ./here"]);
    check("pip install x@file:///x.whl", &["x@file:///x.whl"]);
    check("uv pip install -e ./here[dev]", &["-e ./here[dev]"]);
    check("pip install ./here[dev]", &["./here[dev]"]);
    check("pip install git+ssh://git@h/x", &["git+ssh://git@h/x"]);
    check("uv --offline sync", &["--offline"]);
    check("uv sync --cache-dir /warm", &["--cache-dir /warm"]);
}

#[test]
fn version_control() {
    for url in [
        "git+https://elsewhere/x.git",
        "git+http://elsewhere/x.git",
        "GIT+HTTPS://elsewhere/x.git",
        "git+file:///x",
        "git+ssh://git@h/x",
        "git+git@h:x",
        "hg+https://elsewhere/x",
        "svn+http://elsewhere/x",
        "bzr+sftp://elsewhere/x",
        "x@git+https://elsewhere/x.git",
        "x[extra]@hg+https://elsewhere/x",
    ] {
        check(&format!("pip install {url}"), &[url]);
        check(&format!("uv pip install {url}"), &[url]);
        check(&format!("uv add {url}"), &[url]);
        check(&format!("uvx {url} {url}"), &[url]);
        check(&format!("uv tool run {url}"), &[url]);
        check(&format!("pip install -e {url}"), &[&format!("-e {url}")]);
        check(
            &format!("uv run -w flask,{url} x"),
            &[&format!("-w flask,{url}")],
        );
        let files = [("/src/project/r.txt", url)];
        let expected = [format!("r.txt: {url}")];
        assert_eq!(routes_with("pip install -r r.txt", &files), expected);
    }
    check("pip install x@https://elsewhere/git+y.whl", &[]);
    check("pip install git", &[]);
    check(
        "pip install git+https://me:word@h/x",
        &["git+https://****@h/x"],
    );
}

#[test]
fn places_of_files_on_this_machine() {
    for option in [
        "-i",
        "-f",
        "--index-url",
        "--pypi-url",
        "--extra-index-url",
        "--index",
        "--default-index",
        "--find-links",
    ] {
        for place in ["file:///x", "FILE:///x", "./here", "here", "~/x"] {
            let (apart, together) = (format!("{option} {place}"), format!("{option}={place}"));
            for spelled in [apart, together] {
                check(&format!("uv pip install {spelled} flask"), &[&spelled]);
                check(&format!("pip install {spelled} flask"), &[&spelled]);
                let files = [("/src/project/r.txt", spelled.as_str())];
                let expected = [format!("r.txt: {spelled}")];
                assert_eq!(routes_with("pip install -r r.txt", &files), expected);
            }
        }
        check(&format!("pip install {option} https://here/ flask"), &[]);
        check(&format!("pip install {option} absent flask"), &[]);
    }
    check("uv add --index own=./here flask", &["--index own=./here"]);
    check("uv add --index own=https://here/ flask", &[]);
}

#[test]
fn short_options_in_every_spelling() {
    let files = [
        (
            "/src/project/reqs.txt",
            "-e./here\n-f./here\n-ifile:///x\n-cmore.txt\n",
        ),
        ("/src/project/more.txt", "./here.whl\n"),
    ];
    let expected = [
        "more.txt: ./here.whl",
        "reqs.txt: -e./here",
        "reqs.txt: -f./here",
        "reqs.txt: -ifile:///x",
    ];
    for line in [
        "pip install -rreqs.txt",
        "pip install -Ur reqs.txt",
        "pip install -qUrreqs.txt",
        "pip install -creqs.txt",
        "pip install --requirem reqs.txt",
        "uv pip install -rreqs.txt",
        "uv pip install -r=reqs.txt",
        "uv pip install -breqs.txt flask",
        "uv pip sync reqs.txt",
        "uv pip sync --quiet reqs.txt",
        "uv pip compile -o out.txt reqs.txt",
        "python -Im pip install -rreqs.txt",
        "python -mpip install -rreqs.txt",
        "python3 -X dev -m uv pip sync reqs.txt",
        "pip install -rfile:///src/project/reqs.txt",
    ] {
        assert_eq!(routes_with(line, &files), expected, "{line}");
    }
    check("pip install -e.", &["-e."]);
    check("pip install -Ue .", &["-Ue ."]);
    check("pip install -f./here flask", &["-f./here"]);
    check("pip install -t./here -d ./here flask", &[]);
    check("python script.py -m pip install ./here", &[]);
    check("pip --isolated install flask", &["--isolated"]);
    check("pip install flask --isolated", &["--isolated"]);
    check("uv run --isolated script.py", &[]);
}

#[test]
fn variables_are_read() {
    let files = [
        ("/src/project/a.txt", "./here.whl\n"),
        ("/src/project/b.txt", "--no-index\n"),
        ("/elsewhere/a.txt", "-f ./here\n"),
        ("/elsewhere/uv.toml", "offline = true\n"),
    ];
    let both: &[&str] = &["a.txt: ./here.whl", "b.txt: --no-index"];
    for (line, name) in [
        ("pip install x", "PIP_REQUIREMENT"),
        ("pip install x", "PIP_CONSTRAINT"),
        ("pip install x", "PIP_BUILD_CONSTRAINT"),
        ("make", "PIP_CONSTRAINT"),
        ("uv run pip install x", "PIP_CONSTRAINT"),
        ("uv sync", "UV_CONSTRAINT"),
        ("uv sync", "UV_OVERRIDE"),
        ("make", "UV_BUILD_CONSTRAINT"),
    ] {
        let found = routes_in(line, &files, &[(name, "a.txt b.txt")]);
        assert_eq!(found, both, "{line} with {name}");
    }
    let editable = [("PIP_EDITABLE", "./x")];
    assert_eq!(
        routes_in("pip install x", &[], &editable),
        ["PIP_EDITABLE=./x"]
    );
    assert!(routes_in("uv sync", &[], &editable).is_empty());
    let elsewhere = ["/elsewhere/uv.toml: offline"];
    for name in ["UV_PROJECT", "UV_WORKING_DIRECTORY", "UV_WORKING_DIR"] {
        let variables = [(name, "/elsewhere")];
        assert_eq!(routes_in("uv sync", &files, &variables), elsewhere);
        assert_eq!(routes_in("make", &files, &variables), elsewhere);
    }
    // Paths are seen from the directory that uv goes to.
    let moved = ["/elsewhere/uv.toml: offline", "a.txt: -f ./here"];
    for line in [
        "uv --directory /elsewhere pip install -r a.txt",
        "uv pip install -r a.txt --directory=/elsewhere",
    ] {
        assert_eq!(routes_with(line, &files), moved, "{line}");
    }
    let variables = [("UV_WORKING_DIRECTORY", "/elsewhere")];
    assert_eq!(routes_in("uv pip sync a.txt", &files, &variables), moved);
}

#[test]
fn lines_of_requirements_files() {
    let text = "\u{feff}flask \\\n  --hash=sha256:00\n# -e ./here \\\n\
                -e \\\n ./here\n--pre -f './here'\n${PLACE}/x.whl\rx @ ${UNSET}\n\
                x @ https://elsewhere/x.whl#sha256=0 # ./here\n./here.whl --hash=sha256:00\n";
    let files = [("/src/project/r.txt", text)];
    let found = routes_in("pip install -r r.txt", &files, &[("PLACE", "./here")]);
    let expected = [
        "r.txt: ${PLACE}/x.whl",
        "r.txt: --pre -f './here'",
        "r.txt: -e  ./here",
        "r.txt: ./here.whl --hash=sha256:00",
    ];
    assert_eq!(found, expected);
    // What cannot be read before the command reads it is said to be unknown.
    check("pip install -r /here/pipe", &["/here/pipe"]);
    check("uv pip sync -", &["-"]);
    check("uv pip install -r -", &["-"]);
}

#[test]
fn requirements_files_are_read() {
    let files = [
        (
            "/src/project/r.txt",
            "flask  # a comment with ./here\n--index-url https://elsewhere/\n-r sub/more.txt\n",
        ),
        (
            "/src/project/sub/more.txt",
            "--find-links=./here-wheels\n./here.whl ; python_version > '3'\nx @ file:///x.whl\n\
             --no-index\n-e ./here\n-r ../r.txt\n",
        ),
    ];
    let expected = [
        "sub/more.txt: --find-links=./here-wheels",
        "sub/more.txt: --no-index",
        "sub/more.txt: -e ./here",
        "sub/more.txt: ./here.whl ; python_version > '3'",
        "sub/more.txt: x @ file:///x.whl",
    ];
    assert_eq!(routes_with("pip install -r r.txt", &files), expected);
    assert_eq!(
        routes_with("uv pip install --requirement=r.txt", &files),
        expected
    );
    assert!(routes_with("pip install -r absent.txt", &files).is_empty());
}

#[test]
fn uv_configuration_is_read_where_uv_reads_it() {
    let project = "[tool.uv]\nfind-links = ['./here-wheels', 'https://elsewhere/']\n\
                   [[tool.uv.index]]\nurl = 'file:///x'\n[[tool.uv.index]]\nurl = 'https://elsewhere/'\n\
                   [tool.uv.sources]\na = { path = '../a' }\nb = { index = 'x' }\n\
                   c = [{ git = 'https://elsewhere/c' }]\nd = { url = 'https://elsewhere/d.whl' }\n";
    let files = [
        ("/src/pyproject.toml", project),
        (
            "/home/uv/uv.toml",
            "https-proxy = 'http://p'\n[pip]\nno-index = true\n",
        ),
    ];
    let expected = [
        "/home/uv/uv.toml: https-proxy",
        "/home/uv/uv.toml: pip.no-index",
        "/src/pyproject.toml: find-links",
        "/src/pyproject.toml: index",
        "/src/pyproject.toml: sources.a",
        "/src/pyproject.toml: sources.c",
    ];
    assert_eq!(routes_with("uv sync", &files), expected);
    assert_eq!(routes_with("make install", &files), expected);
    assert!(routes_with("pip install flask", &files).is_empty());

    // The nearest configuration is the project's; a file without any does not count.
    let nearer = [
        ("/src/project/pyproject.toml", "[project]\nname = 'x'\n"),
        ("/src/uv.toml", "offline = false\n"),
        ("/src/pyproject.toml", project),
        ("/other/uv.toml", "offline = true\n"),
    ];
    assert!(routes_with("uv sync", &nearer).is_empty());
    let named = ["/other/uv.toml: offline"];
    assert_eq!(
        routes_with("uv --config-file /other/uv.toml sync", &nearer),
        named
    );
    assert_eq!(routes_with("uv sync --project /other", &nearer), named);
    assert!(routes_with("uv sync", &[("/home/uv/uv.toml", "not toml")]).is_empty());
}

#[test]
fn uv_configuration_of_the_system_is_read() {
    let offline = "offline = true\n";
    let files = [
        ("/etc/uv/uv.toml", offline),
        ("/etc/xdg/uv/uv.toml", offline),
        ("/a/uv/uv.toml", offline),
        ("/b/uv/uv.toml", offline),
        ("/named.toml", "no-index = true\n"),
    ];
    let etc = "/etc/uv/uv.toml: offline";
    let xdg = "/etc/xdg/uv/uv.toml: offline";
    assert_eq!(routes_with("uv sync", &files), [etc, xdg]);
    let empty = [("XDG_CONFIG_DIRS", "")];
    assert_eq!(routes_in("uv sync", &files, &empty), [etc, xdg]);
    let found = routes_in("uv sync", &files, &[("XDG_CONFIG_DIRS", "/a:/b")]);
    assert_eq!(
        found,
        ["/a/uv/uv.toml: offline", "/b/uv/uv.toml: offline", etc]
    );
    let found = routes_in("uv sync", &files, &[("UV_CONFIG_FILE", "/named.toml")]);
    assert_eq!(found, ["/named.toml: no-index"]);
}

#[test]
fn settings_inside_a_script_are_read() {
    let script = "#!/usr/bin/env python\n# /// script\n# dependencies = ['flask']\n#\n\
                  # [tool.uv]\n# http-proxy = 'http://p'\n# ///\nimport flask\n";
    let files = [
        ("/src/project/tool.py", script),
        ("/src/project/plain.py", "# http-proxy = 'http://p'\n"),
    ];
    let expected = ["/src/project/tool.py: http-proxy"];
    assert_eq!(routes_with("uv run tool.py", &files), expected);
    assert_eq!(routes_with("uv run --script tool.py", &files), expected);
    assert_eq!(routes_with("uv lock --script=tool.py", &files), expected);
    assert!(routes_with("uv run plain.py", &files).is_empty());
    assert!(routes_with("python tool.py", &files).is_empty());
}
