//! Scripts beside the interpreter: those that a wheel brings, and those that installers write.

/// A script that an installer writes: it calls something in a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// The script's name.
    pub name: String,
    /// The module.
    pub module: String,
    /// What is called, with dots; empty for the module alone.
    pub attribute: String,
}

/// What the first lines of a script lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter<'a> {
    /// The interpreter at this path, which no shell and no system takes for another, with no
    /// options but harmless ones.
    At(&'a str),
    /// The interpreter of this name beside the script, found by where the script itself is.
    Beside(&'a str),
    /// Something else, by these words.
    Other(&'a str),
}

/// Most entry points of one distribution that are looked at.
const MAX_ENTRY_POINTS: usize = 10_000;

/// The scripts that installers write for an `entry_points.txt`: those of its `console_scripts`
/// and `gui_scripts`.
pub fn entry_points(text: &str) -> Vec<EntryPoint> {
    let mut scripts = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.strip_suffix(']').unwrap_or(section).trim();
            scripts = matches!(section, "console_scripts" | "gui_scripts");
            continue;
        }
        if !scripts || line.starts_with(['#', ';']) || found.len() == MAX_ENTRY_POINTS {
            continue;
        }
        let Some((name, object)) = line.split_once('=') else {
            continue;
        };
        let object = object.split('[').next().unwrap_or(object).trim();
        let (module, attribute) = object.split_once(':').unwrap_or((object, ""));
        let name = name.trim();
        let plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
        if plain {
            found.push(EntryPoint {
                name: name.to_owned(),
                module: module.trim().to_owned(),
                attribute: attribute.trim().to_owned(),
            });
        }
    }
    found
}

/// A script, without the lines that name its interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// The interpreter that the first lines lead to.
    pub interpreter: Interpreter<'a>,
    /// Everything behind them.
    pub rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// Takes the first lines off, in the forms that installers write: `#!INTERPRETER`, or for one
    /// that is too long for that, or has a blank, `/bin/sh` and an `exec` in a string of Python's.
    pub fn read(bytes: &'a [u8]) -> Option<Script<'a>> {
        let (first, rest) = line(bytes.strip_prefix(b"#!")?)?;
        if first != "/bin/sh" {
            return Some(Script {
                interpreter: plain(first),
                rest,
            });
        }
        let (exec, rest) = line(rest)?;
        let (close, rest) = line(rest)?;
        let called = exec.strip_prefix("'''exec' ")?;
        let called = called.strip_suffix(r#" "$0" "$@""#)?;
        (close == "' '''").then_some(Script {
            interpreter: by_shell(called),
            rest,
        })
    }

    /// What follows the line by which a script in a wheel asks for the interpreter of whoever
    /// installs it; `None` for a file that asks for none, which is installed as it is.
    pub fn in_wheel(bytes: &'a [u8]) -> Option<&'a [u8]> {
        if !bytes.starts_with(b"#!python") {
            return None;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        Some(end.map_or(&[], |end| &bytes[end + 1..]))
    }
}

/// The interpreter of a `#!` line. All that follows the path is one argument to the system.
fn plain(line: &str) -> Interpreter<'_> {
    let (path, options) = line.split_once(" -").unwrap_or((line, ""));
    // Where modules are looked for, and whether output is kept back: nothing that runs anything.
    let harmless = options.bytes().all(|option| b"EsIPBuO".contains(&option));
    if harmless && is_path(path) && !path.contains(' ') {
        Interpreter::At(path)
    } else {
        Interpreter::Other(line)
    }
}

/// The interpreter that a line for the shell calls, in quotes or without.
fn by_shell(called: &str) -> Interpreter<'_> {
    /// How uv finds the interpreter of an environment that can be moved.
    const BESIDE: &str = r#""$(dirname -- "$(realpath -- "$0")")"/"#;
    if let Some(name) = called.strip_prefix(BESIDE) {
        let inner = name.strip_prefix('\'').and_then(|it| it.strip_suffix('\''));
        let name = inner.unwrap_or(name);
        return match is_python(name) {
            true => Interpreter::Beside(name),
            false => Interpreter::Other(called),
        };
    }
    let quoted = |mark: char| called.strip_prefix(mark)?.strip_suffix(mark);
    let inner = quoted('"').or_else(|| quoted('\''));
    let path = inner.unwrap_or(called);
    if is_path(path) && (inner.is_some() || !path.contains(' ')) {
        Interpreter::At(path)
    } else {
        Interpreter::Other(called)
    }
}

/// A path to an interpreter that means the same to the system, to a shell and to people.
fn is_path(path: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "/._-+ @,=:~".contains(c);
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with('/') && path.chars().all(plain) && is_python(name)
}

/// `python`, `python3`, `python3.13`, `python3.13t`, `pythonw`, `pypy3` and nothing else.
fn is_python(name: &str) -> bool {
    let rest = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"));
    let Some(rest) = rest else { return false };
    let version = rest.strip_suffix(['w', 't']).unwrap_or(rest);
    let number = |part: &str| part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    version.split('.').all(number)
}

/// The first line, if it is text, and what follows it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let text = text.strip_suffix('\r').unwrap_or(text);
    // To Python, some of them end a comment.
    (!text.contains(char::is_control)).then_some((text, &bytes[end + 1..]))
}

/// Whether a script, without its first lines, does what the entry point says and nothing else.
///
/// Every line has to be one of those that pip, uv, and the libraries that poetry and pdm install
/// with, write there. In whatever order they stand, they import what is named and call it.
pub fn is_launcher(rest: &[u8], point: &EntryPoint) -> bool {
    const FIXED: [&str; 11] = [
        "# -*- coding: utf-8 -*-",
        "import re",
        "import sys",
        "if __name__ == '__main__':",
        r"sys.argv[0] = re.sub(r'(-script\.pyw|\.exe)?$', '', sys.argv[0])",
        r"sys.argv[0] = re.sub(r'(-script\.pyw?|\.exe)?$', '', sys.argv[0])",
        "sys.argv[0] = sys.argv[0].removesuffix('.exe')",
        "if sys.argv[0].endswith('-script.pyw'):",
        "sys.argv[0] = sys.argv[0][:-11]",
        "elif sys.argv[0].endswith('.exe'):",
        "sys.argv[0] = sys.argv[0][:-4]",
    ];
    let Ok(text) = std::str::from_utf8(rest) else {
        return false;
    };
    let attribute = point.attribute.as_str();
    let imported = attribute.split('.').next().unwrap_or(attribute);
    let import = format!("from {} import {imported}", point.module);
    let call = format!("sys.exit({attribute}())");
    let mut calls = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = line.replace('"', "'");
        if line == call {
            calls += 1;
        } else if line != import && !FIXED.contains(&line.as_str()) {
            return false;
        }
    }
    calls == 1
}
