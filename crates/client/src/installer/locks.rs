//! The lock files that a command's line leads to: they, or files beside them, say who has to have
//! attested what is installed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::places::local_file;
use super::program::Installer;
use super::requirements;
use super::routes::Surroundings;
use super::uv_settings::Beginning;
use super::words::{self, Dialect, Word};

/// uv's subcommands that follow the lock file of a project or of a script.
const OF_PROJECTS: [&str; 9] = [
    "add", "audit", "export", "lock", "remove", "run", "sync", "tree", "version",
];

/// The lock files and files of requirements that a command is going to install from, as far as that
/// can be told from its words and the environment, and that are there: each once.
///
/// What a script runs in the end is not known, and poetry's and pdm's lock files have no place for
/// what this is for.
#[must_use]
pub fn locks_of(command: &[OsString], around: &Surroundings<'_>) -> Vec<PathBuf> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut found = Found::default();
    match Installer::of(&words) {
        Installer::Pip(arguments) => {
            found.files_named(&words::read(&arguments, Dialect::Pip), around);
        }
        Installer::Uv(arguments) => {
            let words = words::read(&arguments, Dialect::Uv);
            let beginning = Beginning::of(&words, around);
            let around = &Surroundings {
                directory: &beginning.directory,
                ..*around
            };
            found.files_named(&words, around);
            found.of_project(&words, &beginning.start, around);
        }
        Installer::Poetry | Installer::Pdm | Installer::Unknown => {}
    }
    const VARIABLES: [&str; 6] = [
        "PIP_REQUIREMENT",
        "PIP_CONSTRAINT",
        "PIP_BUILD_CONSTRAINT",
        "UV_CONSTRAINT",
        "UV_OVERRIDE",
        "UV_BUILD_CONSTRAINT",
    ];
    for list in VARIABLES.iter().filter_map(|name| around.set(name)) {
        for file in list.split_whitespace() {
            found.file(file, around);
        }
    }
    found.files.into_iter().collect()
}

#[derive(Default)]
struct Found {
    files: BTreeSet<PathBuf>,
}

impl Found {
    /// The files of requirements that are named, with those that they name.
    fn files_named(&mut self, words: &[Word<'_>], around: &Surroundings<'_>) {
        let mut of_pip = false;
        let mut listing = false;
        for word in words {
            match word {
                Word::Option { name, value, .. } if words::FILES.contains(name) => {
                    self.file(value, around);
                    // Some of uv's take several at once.
                    for part in value.split(',').filter(|part| part != value) {
                        self.file(part, around);
                    }
                }
                // `pylock.toml:GROUP`
                Word::Option { name, value, .. } if *name == "--group" => {
                    let file = value.rsplit_once(':').map(|(file, _)| file);
                    let file = file.filter(|file| pylock_name(file).is_some());
                    if let Some(file) = file {
                        self.file(file, around);
                    }
                }
                Word::Option { .. } => {}
                Word::Plain(word) => {
                    if listing {
                        self.file(word, around);
                    }
                    // Between them can stand what an option takes that is not known here.
                    listing |= of_pip && matches!(*word, "sync" | "compile");
                    of_pip |= *word == "pip";
                }
            }
        }
    }

    fn file(&mut self, file: &str, around: &Surroundings<'_>) {
        let file = without_extras(file);
        match local_file(file) {
            Some(path) if pylock_name(file).is_some() => self.add(&path, around),
            _ => {
                for path in requirements::files(file, around) {
                    self.add(&path, around);
                }
            }
        }
    }

    /// uv's lock files of a project: it looks for the project at or above where it is started, and
    /// the lock of a workspace is further up than its members; and of scripts.
    fn of_project(&mut self, words: &[Word<'_>], start: &Path, around: &Surroundings<'_>) {
        let mut plain = words.iter().filter_map(|word| match word {
            Word::Plain(word) => Some(*word),
            Word::Option { .. } => None,
        });
        let command =
            plain.find(|word| OF_PROJECTS.contains(word) || matches!(*word, "pip" | "tool"));
        if !command.is_some_and(|command| OF_PROJECTS.contains(&command)) {
            return;
        }
        for folder in start.ancestors() {
            self.add(&folder.join("uv.lock"), around);
        }
        let named = words.iter().filter_map(|word| match word {
            Word::Option { name, value, .. } if *name == "--script" => Some(*value),
            _ => None,
        });
        // Its name may have any ending, and what is no script has no lock beside it.
        for script in plain.chain(named) {
            self.add(Path::new(&format!("{script}.lock")), around);
        }
    }

    fn add(&mut self, path: &Path, around: &Surroundings<'_>) {
        if around.has(path) {
            self.files.insert(around.directory.join(path));
        }
    }
}

/// The file name of a path or URL, if it is `pylock.toml` or `pylock.<name>.toml`; extras in
/// brackets or a group may follow it.
pub(super) fn pylock_name(path: &str) -> Option<&str> {
    let is = |name: &str| {
        name == "pylock.toml" || name.starts_with("pylock.") && name.ends_with(".toml")
    };
    let path = match path.contains("://") || path.starts_with("file:") {
        true => path.split(['?', '#']).next().unwrap_or(path),
        false => path,
    };
    let name = Path::new(without_extras(path)).file_name()?.to_str()?;
    let file = name.rsplit_once(':').map(|(file, _)| file);
    [Some(name), file]
        .into_iter()
        .flatten()
        .find(|name| is(name))
}

/// A file's name without the extras that pip takes behind it.
pub(super) fn without_extras(file: &str) -> &str {
    let extras = file
        .strip_suffix(']')
        .and_then(|file| file.rsplit_once('['));
    extras.map_or(file, |(file, _)| file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(line: &str, variables: &[(&str, &str)], expected: &[&str]) {
        let there = [
            ("/w/pylock.toml", "lock-version = \"1.0\"\n-r hidden.txt"),
            ("/w/pylock.dev.toml", ""),
            (
                "/w/requirements.txt",
                "flask\n-r more/more.txt\n-c /w/c.txt\n",
            ),
            ("/w/more/more.txt", "-r other.txt"),
            ("/w/more/other.txt", "-r more.txt"),
            ("/w/hidden.txt", ""),
            ("/w/c.txt", ""),
            ("/w/uv.lock", ""),
            ("/w/member/uv.lock", ""),
            ("/w/member/run.py.lock", ""),
            ("/w/tool.lock", ""),
            ("/w/a b/pylock.toml", ""),
        ]
        .into_iter()
        .map(|(path, text)| (Path::new(path), text))
        .collect::<BTreeMap<_, _>>();
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let found = locks_of(
            &command,
            &Surroundings {
                directory: Path::new("/w"),
                user_configuration: None,
                variable: &|name| {
                    let mut variables = variables.iter();
                    Some(variables.find(|(known, _)| *known == name)?.1.to_owned())
                },
                exists: &|path| there.contains_key(path),
                read: &|path| there.get(path).map(|&text| text.to_owned()),
            },
        );
        let found: Vec<String> = found.iter().map(|it| it.display().to_string()).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn the_files_that_a_line_names() {
        let lock = &["/w/pylock.toml"][..];
        check("pip install -r pylock.toml", &[], lock);
        check("pip install -rpylock.toml[a,b]", &[], lock);
        check("pip install --group pylock.toml:dev", &[], lock);
        check(
            "pip download --requirement=file:///w/pylock.toml",
            &[],
            lock,
        );
        check(
            "python3 -m pip install -r ./pylock.toml",
            &[],
            &["/w/./pylock.toml"],
        );
        check("uv pip sync pylock.toml", &[], lock);
        check(
            "uv pip install --requirements pylock.dev.toml",
            &[],
            &["/w/pylock.dev.toml"],
        );
        check("uv --directory / pip sync w/pylock.toml", &[], lock);
        check(
            "pip install flask",
            &[("PIP_REQUIREMENT", "pylock.toml")],
            lock,
        );
        check("make install", &[("PIP_REQUIREMENT", "pylock.toml")], lock);
        let all = &[
            "/w/c.txt",
            "/w/more/more.txt",
            "/w/more/other.txt",
            "/w/requirements.txt",
        ][..];
        check("pip install -r requirements.txt", &[], all);
        check("uv pip sync requirements.txt", &[], all);
        check("uv pip --color never sync pylock.toml", &[], lock);
        check(
            "uv run --with-requirements c.txt,pylock.toml x",
            &[],
            &["/w/c.txt", "/w/pylock.toml", "/w/uv.lock"],
        );
        let blank = &["/w/a b/pylock.toml"];
        check("pip install -r file:///w/a%20b/pylock.toml", &[], blank);
        check(
            "pip install -r FILE://localhost/w/a%20b/pylock.toml#x",
            &[],
            blank,
        );
        // What is written is not followed, and what is not there is for the installer to say.
        check("pip lock flask -o pylock.toml", &[], &[]);
        check("uv pip compile in.txt -o pylock.toml", &[], &[]);
        check("pip install -r pylock.other.toml", &[], &[]);
        check("pip install -r https://a.example/pylock.toml", &[], &[]);
        check("make install", &[], &[]);
        check("poetry install", &[], &[]);
    }

    #[test]
    fn the_locks_of_projects_and_scripts() {
        check("uv sync --frozen", &[], &["/w/uv.lock"]);
        let both = &["/w/member/uv.lock", "/w/uv.lock"][..];
        check("uv --project member run pytest", &[], both);
        check("uv --directory member sync", &[], both);
        check("uv sync", &[("UV_PROJECT", "member")], both);
        check("uv sync", &[("UV_WORKING_DIR", "member")], both);
        check(
            "uv run member/run.py",
            &[],
            &["/w/member/run.py.lock", "/w/uv.lock"],
        );
        check(
            "uv run pip install -r pylock.toml",
            &[],
            &["/w/pylock.toml", "/w/uv.lock"],
        );
        check("uv run -s tool", &[], &["/w/tool.lock", "/w/uv.lock"]);
        check("uv run --script tool", &[], &["/w/tool.lock", "/w/uv.lock"]);
        check("uv pip install flask", &[], &[]);
        check("uv tool run flask", &[], &[]);
    }
}
