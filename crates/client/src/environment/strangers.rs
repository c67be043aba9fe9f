//! Files in the library directories that belong to nothing that is installed.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use wheelmark_tuf::Sha256;

use super::inventory::{Inventory, bounded, named};
use super::layout::MAX_FILES;
use super::{Added, Compared, Environment, EnvironmentError, unreadable};

/// Files that tools put into every environment that they make, by the digests that are known:
/// nobody signs them, and Python reads them at its start.
const OF_TOOLS: [(&str, &str); 2] = [
    // virtualenv 20 and 21.
    (
        "_virtualenv.py",
        "07584d2a5d13e0811eb567d78ed2aca0fb60e7defff59a01ca7a48d907bdea51",
    ),
    // `import _virtualenv`, without a line end.
    (
        "_virtualenv.pth",
        "69ac3d8f27e679c81b94ab30b3b56e9cd138219b1ba94a1fa3606d5a76a1433d",
    ),
];

/// Longest of those, in bytes.
const MAX_OF_TOOLS_LEN: u64 = 64 * 1024;

/// Looks through the library directories; also counts the compiled bytecode whose source is
/// signed.
pub(super) fn look_for(
    environment: &Environment,
    inventory: &Inventory,
    wheels: &[Compared],
) -> Result<(Vec<Added>, u64), EnvironmentError> {
    let expected = wheels.iter().flat_map(|wheel| &wheel.expected);
    let expected: HashSet<&Path> = expected.map(|(path, _)| path.as_path()).collect();
    // Folders that signed wheels have files in: nobody else has any there.
    let owned: HashSet<&Path> = expected
        .iter()
        .filter_map(|path| path.parent())
        .filter(|folder| {
            !environment
                .libraries()
                .iter()
                .any(|library| library == folder)
        })
        .collect();
    let compared: HashSet<usize> = wheels.iter().map(|wheel| wheel.number).collect();
    let recorded = inventory.installed.iter().flat_map(|installed| {
        // What was compared told of everything that its RECORD names. Of what was not, the project
        // is named; its RECORD excuses neither what Python runs at its start nor files among
        // those of others.
        let excused = |path: &&Path| {
            let starts = path.extension().is_some_and(|ending| ending == "pth");
            !starts && path.parent().is_none_or(|folder| !owned.contains(folder))
        };
        let all = compared.contains(&installed.number);
        let paths = installed.recorded.iter().map(PathBuf::as_path);
        paths
            .filter(move |path| all || excused(path))
            .collect::<Vec<_>>()
    });
    let mut search = Search {
        recorded: recorded.collect(),
        expected,
        added: Vec::new(),
        bytecode: 0,
    };
    for library in environment.libraries() {
        search.look_in(library)?;
    }
    search.added.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((search.added, search.bytecode))
}

struct Search<'a> {
    /// The files of signed wheels.
    expected: HashSet<&'a Path>,
    /// What any `RECORD` names: of a signed wheel it was compared, and of what is not from an
    /// index the project is named.
    recorded: HashSet<&'a Path>,
    added: Vec<Added>,
    bytecode: u64,
}

impl Search<'_> {
    fn look_in(&mut self, library: &Path) -> Result<(), EnvironmentError> {
        let mut waiting = vec![library.to_owned()];
        let mut seen = 0;
        while let Some(directory) = waiting.pop() {
            let entries = fs::read_dir(&directory).map_err(unreadable(&directory))?;
            for entry in entries {
                let entry = entry.map_err(unreadable(&directory))?;
                seen += 1;
                if seen > MAX_FILES {
                    return Err(EnvironmentError::TooMany {
                        path: library.to_owned(),
                        what: "files",
                        limit: MAX_FILES,
                    });
                }
                let path = entry.path();
                let kind = entry.file_type().map_err(unreadable(&path))?;
                let top = directory == library;
                if kind.is_dir() {
                    match odd_directory(&path).filter(|_| top && !self.has_below(&path)) {
                        Some(why) => self.added.push(Added { path, why }),
                        None => waiting.push(path),
                    }
                } else if kind.is_file() {
                    self.file(path, top);
                } else if !self.knows(&path) {
                    let why = match kind.is_symlink() {
                        true => "a link; where it leads was not looked at",
                        false => "neither a file nor a folder",
                    };
                    self.added.push(Added { path, why });
                }
            }
        }
        Ok(())
    }

    fn knows(&self, path: &Path) -> bool {
        self.expected.contains(path) || self.recorded.contains(path)
    }

    fn has_below(&self, directory: &Path) -> bool {
        let mut known = self.expected.iter().chain(&self.recorded);
        known.any(|path| path.starts_with(directory))
    }

    fn file(&mut self, path: PathBuf, top: bool) {
        if let Some(source) = is_bytecode_of(&path) {
            let of_tool = || is_of_tool(&source);
            if self.expected.contains(source.as_path()) || of_tool() {
                match never_compared(&path, &source) {
                    Some(why) => self.added.push(Added { path, why }),
                    None => self.bytecode += 1,
                }
                return;
            }
        }
        if self.knows(&path) || top && is_of_tool(&path) || is_note(&path) {
            return;
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        let why = match ending {
            Some("pth") if top => "Python runs what stands in it at every start",
            Some("pyc") => "compiled bytecode without a signed source",
            Some("egg-link") => "it leads to a source tree",
            _ => "no RECORD names it",
        };
        self.added.push(Added { path, why });
    }
}

/// Why a directory beside the packages is a thing of its own.
fn odd_directory(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(".egg-info") || name.ends_with(".egg") {
        return Some("installed in a way that keeps no RECORD: nothing of it can be compared");
    }
    let stranger = name.ends_with(".dist-info") && named(name).is_none();
    stranger.then_some("its name is not that of a project and a version")
}

/// Whether it is what installers leave in the `.dist-info` of something without a `RECORD` that
/// would name it.
fn is_note(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let folder = path.parent().and_then(Path::file_name);
    let folder = folder.and_then(|name| name.to_str());
    matches!(name, Some("RECORD" | "INSTALLER" | "REQUESTED"))
        && folder.is_some_and(|folder| named(folder).is_some())
}

/// The source file that compiled bytecode in a `__pycache__` belongs to (PEP 3147).
pub(super) fn is_bytecode_of(path: &Path) -> Option<PathBuf> {
    let cache = path.parent().filter(|it| it.ends_with("__pycache__"))?;
    let name = path.file_name()?.to_str()?.strip_suffix(".pyc")?;
    let name = match name.rsplit_once(".opt-") {
        Some((name, level)) if level.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    };
    let (module, _tag) = name.rsplit_once('.')?;
    Some(cache.parent()?.join(format!("{module}.py")))
}

/// Why bytecode would not be made anew from this source (PEP 552), where that is so: then Python
/// runs it whatever the source is, or never.
fn never_compared(bytecode: &Path, source: &Path) -> Option<&'static str> {
    const HASHED: u32 = 1;
    const CHECKED: u32 = 2;
    let unlike = Some("compiled bytecode that was not made from the source beside it");
    let Some(head) = head(bytecode) else {
        return unlike;
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    match word(4) {
        0 => {
            // The lowest 32 bits of the source's length.
            let low = |source: fs::Metadata| source.len() & u64::from(u32::MAX);
            let fits = fs::metadata(source).is_ok_and(|it| u64::from(word(12)) == low(it));
            if fits { None } else { unlike }
        }
        flags if flags == HASHED | CHECKED => None,
        _ => Some("compiled bytecode that Python runs without a look at its source"),
    }
}

/// The first 16 bytes, which say what bytecode was made from.
fn head(path: &Path) -> Option<[u8; 16]> {
    let mut head = [0; 16];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    Some(head)
}

fn is_of_tool(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some((_, digest)) = OF_TOOLS.iter().find(|(known, _)| Some(*known) == name) else {
        return false;
    };
    let bytes = bounded(path, MAX_OF_TOOLS_LEN);
    bytes.is_some_and(|bytes| Sha256::of(&bytes).to_string() == *digest)
}

#[cfg(test)]
mod tests;
