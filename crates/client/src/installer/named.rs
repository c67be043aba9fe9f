//! The projects that a command's line names, and the requirements files that it names.
//!
//! An installer asks for their pages as soon as it has found out what it runs on. That takes
//! about as long as looking the pages up, so that this can be done meanwhile. A name that is
//! overlooked costs nothing, and neither does one too many, except for a request.

use std::ffi::OsString;

use wheelmark_packaging::ProjectName;

use super::program::Installer;
use super::requirements;
use super::routes::Surroundings;
use super::words::{self, Dialect, Word};

/// Names taken from one command; a lock file of an application names fewer.
const MAX_NAMES: usize = 400;

/// What a name ends at in a requirement (PEP 508), if anything follows.
const BEHIND: [char; 9] = ['[', '=', '<', '>', '!', '~', ';', ' ', '('];

/// The projects whose pages a command is going to ask for, as far as that can be told from its
/// words: each once, in their order.
#[must_use]
pub fn named_projects(command: &[OsString], around: &Surroundings<'_>) -> Vec<ProjectName> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (arguments, dialect, before) = match Installer::of(&words) {
        Installer::Pip(arguments) => (arguments, Dialect::Pip, &[][..]),
        Installer::Uv(arguments) => (arguments, Dialect::Uv, &["pip"][..]),
        Installer::Poetry | Installer::Pdm | Installer::Unknown => return Vec::new(),
    };
    let read = words::read(&arguments, dialect);
    let mut plain = read.iter().filter_map(|word| match word {
        Word::Plain(word) => Some(*word),
        Word::Option { .. } => None,
    });
    let is_as_expected = before.iter().all(|word| plain.next() == Some(word));
    if !is_as_expected || plain.next() != Some("install") {
        return Vec::new();
    }
    let mut named: Vec<ProjectName> = Vec::new();
    let mut add = |requirement: &str| {
        if named.len() < MAX_NAMES
            && let Some(project) = project_of(requirement)
            && !named.contains(&project)
        {
            named.push(project);
        }
    };
    plain.for_each(&mut add);
    for word in &read {
        if let Word::Option { name, value, .. } = word
            && matches!(*name, "--requirement" | "--requirements")
            && let Some(text) = (around.read)(&around.directory.join(value))
        {
            requirements::lines(&text).iter().for_each(|line| add(line));
        }
    }
    named
}

/// Whether a command is one installer that asks for everything once, so that it has no use for
/// a cache of what it was sent. pip starts itself again for what it builds, and asks again.
#[must_use]
pub fn asks_once(command: &[OsString]) -> bool {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let Installer::Uv(arguments) = Installer::of(&words) else {
        return false;
    };
    let mut plain =
        words::read(&arguments, Dialect::Uv)
            .into_iter()
            .filter_map(|word| match word {
                Word::Plain(word) => Some(word),
                Word::Option { .. } => None,
            });
    plain.next() == Some("pip") && matches!(plain.next(), Some("install" | "sync"))
}

/// The project that a requirement names, unless it says where its file is.
fn project_of(requirement: &str) -> Option<ProjectName> {
    const ARCHIVES: [&str; 4] = [".whl", ".tar.gz", ".zip", ".txt"];
    let requirement = requirement.trim();
    if requirement.contains(['@', '/', '\\'])
        || ARCHIVES.iter().any(|end| requirement.ends_with(end))
    {
        return None;
    }
    let name = requirement.split(BEHIND).next()?;
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let around = Surroundings {
            directory: Path::new("/work"),
            user_configuration: None,
            variable: &|_| None,
            exists: &|_| false,
            read: &|path| {
                (path == Path::new("/work/r.txt")).then(|| {
                    "# all\nFlask_Login>=1 ; python_version > '3'\n-r other.txt\nb==1 \\\n  --hash=sha256:00\nc @ https://c.example/c.whl\n"
                        .to_owned()
                })
            },
        };
        let named = named_projects(&command, &around);
        let named: Vec<&str> = named.iter().map(ProjectName::as_str).collect();
        assert_eq!(named, expected, "{line}");
    }

    #[test]
    fn requirements_are_taken_from_the_line_and_from_files() {
        check("pip install flask", &["flask"]);
        check("pip3.12 -q install -U flask==1 Flask", &["flask"]);
        check("python -m pip install a[b]>=1 c~=2", &["a", "c"]);
        check(
            "uv pip install --quiet --no-deps --python /v/bin/python a b",
            &["a", "b"],
        );
        check("uv pip install -r r.txt z", &["z", "flask-login", "b"]);
        check("pip install -r r.txt", &["flask-login", "b"]);
        check("pip install -r missing.txt", &[]);
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

    #[test]
    fn what_is_no_name_is_left_out() {
        check(
            "pip install . ./a a/b x.whl b.tar.gz c@https://c.example/c -e d",
            &[],
        );
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
}
