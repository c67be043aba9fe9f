#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;

use super::*;

/// Files that are there, and what stands in those that are read.
fn routes_with(line: &str, files: &[(&str, &str)]) -> Vec<String> {
    let files: HashMap<PathBuf, String> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    let exists = |path: &Path| path.to_str().unwrap().contains("here");
    let read = |path: &Path| files.get(path).cloned();
    let around = Surroundings {
        directory: Path::new("/src/project"),
        uv_configuration: vec!["/home/uv.toml".into()],
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
    check("pip install flask==3.0 -r here/requirements.txt", &[]);
    check(
        "uv pip install --index-url https://elsewhere/simple flask",
        &[],
    );
    check("pip install --find-links https://elsewhere/ flask", &[]);
    check("pip install https://elsewhere/x.whl", &[]);
    check("pip install git+https://elsewhere/x.git", &[]);
    check("make --proxy x file:///x", &[]);
    check("python script.py --no-index", &[]);
    check("uv sync", &[]);
    check("uv venv here", &[]);
    check("uv run ./here/script.py", &[]);
    check("pip install -t ./here -c here/c.txt flask", &[]);
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
                   c = [{ git = 'ssh://git@h/c' }]\n";
    let files = [
        ("/src/pyproject.toml", project),
        (
            "/home/uv.toml",
            "https-proxy = 'http://p'\n[pip]\nno-index = true\n",
        ),
    ];
    let expected = [
        "/home/uv.toml: https-proxy",
        "/home/uv.toml: pip.no-index",
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
    assert!(routes_with("uv sync", &[("/home/uv.toml", "not toml")]).is_empty());
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
