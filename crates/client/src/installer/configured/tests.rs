use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::*;

struct World<'a> {
    files: &'a [(&'a str, &'a str)],
    variables: &'a [(&'a str, &'a str)],
}

impl World<'_> {
    fn configured(&self, line: &str) -> Result<ConfiguredIndex, IndexesDiffer> {
        let variables: HashMap<&str, &str> = self.variables.iter().copied().collect();
        let files: HashMap<PathBuf, &str> = self
            .files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), *text))
            .collect();
        let around = Surroundings {
            directory: Path::new("/src/project"),
            user_configuration: Some(Path::new("/home/me/.config")),
            variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
            exists: &|path| files.contains_key(path),
            read: &|path| files.get(path).map(|text| (*text).to_owned()),
        };
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        configured_index(&command, &around)
    }
}

/// What a command is configured for, as `URL by WHAT`.
fn check(line: &str, files: &[(&str, &str)], variables: &[(&str, &str)], expected: &str) {
    let world = World { files, variables };
    let found = match world.configured(line) {
        Ok(found) => format!(
            "{} by {}",
            found.url,
            found.by.as_deref().unwrap_or("itself")
        ),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{line} {files:?} {variables:?}");
}

const PIP: &str = "pip install flask";
const UV: &str = "uv pip install flask";
const BY_ITSELF: &str = "https://pypi.org/simple/ by itself";

#[test]
fn nothing_is_configured() {
    for line in [PIP, UV, "poetry install", "pdm install", "make", "uv sync"] {
        check(line, &[], &[], BY_ITSELF);
    }
}

#[test]
fn variables_outweigh_files() {
    let user = (
        "/home/me/.config/pip/pip.conf",
        "[global]\nindex-url = https://user/",
    );
    let variable = ("PIP_INDEX_URL", "https://variable/");
    check(
        PIP,
        &[user],
        &[variable],
        "https://variable/ by PIP_INDEX_URL",
    );
    check(
        PIP,
        &[user],
        &[("PIP_INDEX_URL", "")],
        "https://user/ by /home/me/.config/pip/pip.conf: index-url",
    );
    check(
        PIP,
        &[],
        &[("PIP_PYPI_URL", "https://p/")],
        "https://p/ by PIP_PYPI_URL",
    );

    let user = ("/home/me/.config/uv/uv.toml", "index-url = 'https://user/'");
    let old = ("UV_INDEX_URL", "https://old/");
    check(UV, &[user], &[old], "https://old/ by UV_INDEX_URL");
    let new = ("UV_DEFAULT_INDEX", "mine=https://new/?a=b");
    check(
        UV,
        &[user],
        &[old, new],
        "https://new/?a=b by UV_DEFAULT_INDEX",
    );
    check(
        UV,
        &[],
        &[("UV_DEFAULT_INDEX", "https://h/?a=b")],
        "https://h/?a=b by UV_DEFAULT_INDEX",
    );
}

#[test]
fn each_reads_its_own() {
    let variables = [
        ("PIP_INDEX_URL", "https://pip/"),
        ("UV_DEFAULT_INDEX", "https://uv/"),
    ];
    check(PIP, &[], &variables, "https://pip/ by PIP_INDEX_URL");
    check(
        "python3 -m pip install x",
        &[],
        &variables,
        "https://pip/ by PIP_INDEX_URL",
    );
    check(UV, &[], &variables, "https://uv/ by UV_DEFAULT_INDEX");
    check(
        "uvx ruff",
        &[],
        &variables,
        "https://uv/ by UV_DEFAULT_INDEX",
    );
    check("poetry install", &[], &variables, BY_ITSELF);
    // A script may run either, and one of the two would be led to the other's.
    check(
        "make",
        &[],
        &variables,
        "pip is configured for https://pip/ (PIP_INDEX_URL), and uv for https://uv/ (UV_DEFAULT_INDEX); the command may run either",
    );
    let same = [
        ("PIP_INDEX_URL", "https://one/simple"),
        ("UV_INDEX_URL", "https://one/simple/"),
    ];
    check("make", &[], &same, "https://one/simple by PIP_INDEX_URL");
    check(
        "make",
        &[],
        &same[1..],
        "https://one/simple/ by UV_INDEX_URL",
    );
}

#[test]
fn pips_files_in_their_order() {
    let all = [
        (
            "/etc/xdg/pip/pip.conf",
            "[global]\nindex-url = https://xdg/",
        ),
        ("/etc/pip.conf", "[global]\nindex-url = https://etc/"),
        (
            "/home/me/.pip/pip.conf",
            "[global]\nindex-url = https://old/",
        ),
        (
            "/home/me/.config/pip/pip.conf",
            "[global]\nindex-url = https://user/",
        ),
        ("/venv/pip.conf", "[global]\nindex-url = https://site/"),
        ("/named.conf", "[global]\nindex-url = https://named/"),
    ];
    let home = ("HOME", "/home/me");
    let by = |file: &str, url: &str| format!("https://{url}/ by {file}: index-url");
    let line = "/venv/bin/pip install x";
    check(
        line,
        &all[..1],
        &[home],
        &by("/etc/xdg/pip/pip.conf", "xdg"),
    );
    check(line, &all[..2], &[home], &by("/etc/pip.conf", "etc"));
    check(
        line,
        &all[..3],
        &[home],
        &by("/home/me/.pip/pip.conf", "old"),
    );
    check(
        line,
        &all[..4],
        &[home],
        &by("/home/me/.config/pip/pip.conf", "user"),
    );
    check(line, &all[..5], &[home], &by("/venv/pip.conf", "site"));
    let named = ("PIP_CONFIG_FILE", "/named.conf");
    check(line, &all, &[home, named], &by("/named.conf", "named"));
    // The user's are not read beside it, and nothing is for the file of nothing.
    check(
        line,
        &all[2..4],
        &[home, named],
        &by("/home/me/.config/pip/pip.conf", "user"),
    );
    let quiet = ("/named.conf", "[global]\n");
    check(
        line,
        &[all[1], all[3], quiet],
        &[home, named],
        &by("/etc/pip.conf", "etc"),
    );
    check(
        line,
        &all,
        &[home, ("PIP_CONFIG_FILE", "/dev/null")],
        BY_ITSELF,
    );
}

#[test]
fn the_environment_that_pip_works_in() {
    let site = ("/venv/pip.conf", "[global]\nindex-url = https://site/");
    let found = "https://site/ by /venv/pip.conf: index-url";
    check("/venv/bin/python -m pip install x", &[site], &[], found);
    check(
        "pip --python /venv/bin/python install x",
        &[site],
        &[],
        found,
    );
    let is_one = ("/venv/pyvenv.cfg", "");
    check("pip --python /venv install x", &[site, is_one], &[], found);
    let program = ("/venv/bin/pip", "");
    let path = ("PATH", "/usr/bin:/venv/bin");
    check(PIP, &[site, program], &[path], found);
    check(PIP, &[site], &[path], BY_ITSELF);
}

#[test]
fn pips_sections_and_spellings() {
    let pip = |text: &str, expected: &str| {
        let file = "/home/me/.config/pip/pip.conf";
        let expected = match expected {
            "" => BY_ITSELF.to_owned(),
            url => format!("{url} by {file}: index-url"),
        };
        check(PIP, &[(file, text)], &[], &expected);
    };
    pip(
        "[install]\nindex-url=https://i/\n[global]\nindex-url=https://g/",
        "https://i/",
    );
    pip(
        "[download]\nindex-url=https://d/\n[global]\nindex-url=https://g/",
        "https://g/",
    );
    pip("[GLOBAL]\nindex-url=https://g/", "");
    pip("[global]\n  Index_Url : https://g/  ", "https://g/");
    pip("[global]\n--index-url = https://g/", "https://g/");
    pip(
        "[global]\nindex-url =\n\n  # why\n  https://g/\n",
        "https://g/",
    );
    pip(
        "[global]\n#index-url = https://g/\n; index-url = https://h/",
        "",
    );
    pip("[global]\nconstraint =\n  index-url = https://g/\n", "");
    pip("[global]\nindex-url =\n", "");
    pip("index-url = https://g/\n", "");
    pip("[global] # mine\nindex-url = https://g/", "https://g/");
}

#[test]
fn a_section_of_any_file_outweighs_the_one_for_all() {
    let files = [
        ("/etc/pip.conf", "[install]\nindex-url=https://i/"),
        (
            "/home/me/.config/pip/pip.conf",
            "[global]\nindex-url=https://g/",
        ),
    ];
    check(PIP, &files, &[], "https://i/ by /etc/pip.conf: index-url");
    check(
        "pip wheel x",
        &files,
        &[],
        "https://g/ by /home/me/.config/pip/pip.conf: index-url",
    );
}

#[test]
fn uvs_files_in_their_order() {
    let own = (
        "/src/project/uv.toml",
        "[[index]]\nurl = 'https://own/'\ndefault = true",
    );
    let user = ("/home/me/.config/uv/uv.toml", "index-url = 'https://user/'");
    let system = ("/etc/uv/uv.toml", "[pip]\nindex-url = 'https://system/'");
    let found = "https://own/ by /src/project/uv.toml: index";
    check(UV, &[own, user, system], &[], found);
    check(
        UV,
        &[user, system],
        &[],
        "https://system/ by /etc/uv/uv.toml: pip.index-url",
    );
    let of_user = "https://user/ by /home/me/.config/uv/uv.toml: index-url";
    check("uv sync", &[user, system], &[], of_user);
    check("uvx ruff", &[own, user], &[], of_user);
    check(UV, &[own, user], &[("UV_NO_CONFIG", "1")], BY_ITSELF);
    check("uv --no-config sync", &[own, user], &[], BY_ITSELF);
    let named = ("/src/project/x.toml", "index-url = 'https://named/'");
    let of_named = "https://named/ by /src/project/x.toml: index-url";
    check(
        "uv --config-file x.toml sync",
        &[own, user, named],
        &[],
        of_named,
    );
    check(
        "uv sync",
        &[own, named],
        &[("UV_CONFIG_FILE", "x.toml")],
        of_named,
    );

    let shared = (
        "/src/pyproject.toml",
        "[[tool.uv.index]]\nurl = 'https://p/'\ndefault = true",
    );
    check(
        "uv sync",
        &[shared, user],
        &[],
        "https://p/ by /src/pyproject.toml: index",
    );
    check("uv --directory /else sync", &[shared, user], &[], of_user);
    // One that is asked besides is not the default.
    let besides = (
        "/src/project/uv.toml",
        "[[index]]\nurl = 'https://besides/'",
    );
    check("uv sync", &[besides, user], &[], of_user);
    check(
        "uv sync",
        &[("/src/project/uv.toml", "not [toml"), user],
        &[],
        of_user,
    );
}

#[test]
fn what_is_named_besides_is_told_without_its_secrets() {
    let others = |line: &str, files: &[(&str, &str)], variables: &[(&str, &str)]| {
        let world = World { files, variables };
        world.configured(line).map(|found| found.others)
    };
    let pip = ("PIP_EXTRA_INDEX_URL", "https://me:word@a/ https://b/");
    assert_eq!(
        others(PIP, &[], &[pip]),
        Ok(vec![
            "https://****@a/ (PIP_EXTRA_INDEX_URL)".to_owned(),
            "https://b/ (PIP_EXTRA_INDEX_URL)".to_owned()
        ])
    );
    let file = (
        "/etc/pip.conf",
        "[global]\nextra-index-url =\n  https://c/\n  https://d/",
    );
    assert_eq!(others(PIP, &[file], &[]).map(|others| others.len()), Ok(2));
    let file = (
        "/src/project/uv.toml",
        "extra-index-url = ['https://e/']\n[[index]]\nurl = 'https://f/'",
    );
    assert_eq!(
        others("uv sync", &[file], &[("UV_INDEX", "g=https://g/")]),
        Ok(vec![
            "https://g/ (UV_INDEX)".to_owned(),
            "https://f/ (/src/project/uv.toml: index)".to_owned(),
            "https://e/ (/src/project/uv.toml: extra-index-url)".to_owned(),
        ])
    );
}
