//! The files of a signed wheel, and what lies where they were to be put.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use wheelmark_packaging::inspect::{ContentFile, MAX_SCRIPT_LEN, WheelContents};
use wheelmark_packaging::installed::{EntryPoint, Interpreter, Place, Script, is_launcher};
use wheelmark_tuf::{Sha256, Sha256Hasher};

use super::inventory::bounded;
use super::strangers::is_bytecode_of;
use super::{CheckedDistribution, Compared, Difference, DifferenceKind, Environment};

/// What installers write into a `.dist-info` directory themselves: `RECORD` anew, the others
/// beside what the wheel has.
const INSTALLERS_OWN: [&str; 9] = [
    "RECORD",
    "RECORD.jws",
    "RECORD.p7s",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "provenance_url.json",
    "uv_build.json",
    "uv_cache.json",
];

/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// The longest file whose digest is taken although its length is not the signed one, in bytes:
/// it may be the file of another wheel at the same place.
const MAX_OTHER_LEN: u64 = 64 * 1024 * 1024;

pub(super) fn compare(
    environment: &Environment,
    number: usize,
    library: &Path,
    dist_info: &str,
    recorded: &[PathBuf],
    contents: &WheelContents,
) -> (Compared, Vec<Difference>) {
    let own = |name: &str| {
        let rest = name.strip_prefix(dist_info);
        let name = rest.and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| INSTALLERS_OWN.contains(&name))
    };
    let mut compared = Compared {
        number,
        expected: Vec::with_capacity(contents.files.len()),
        same: 0,
    };
    let mut differences = Vec::new();
    let mut known = BTreeSet::new();
    for (path, file) in &contents.files {
        let place = Place::of(path, &contents.dist_info);
        let (at, difference) = match place {
            Place::Library(path) if own(path) => {
                let at = library.join(path);
                let missing = path.ends_with("/RECORD") && !at.is_file();
                (at, missing.then_some(DifferenceKind::Missing))
            }
            Place::Library(path) => {
                let at = library.join(path);
                let difference = differs(&at, file);
                compared.expected.push((at.clone(), file.sha256));
                (at, difference)
            }
            Place::Script(name) => {
                let at = environment.scripts().join(name);
                let difference = script_differs(environment, &at, file);
                (at, difference)
            }
            Place::Header(path) => {
                let below = environment.prefix().join("include");
                let named = recorded
                    .iter()
                    .find(|at| at.starts_with(&below) && at.ends_with(path));
                let at = named.cloned().unwrap_or_else(|| below.join(path));
                let difference = differs(&at, file);
                (at, difference)
            }
            Place::Data(path) => {
                let at = environment.prefix().join(path);
                let difference = differs(&at, file);
                (at, difference)
            }
            // An installer that knows such a place puts it where nobody looks here.
            Place::Unknown => (library.join(path), Some(DifferenceKind::NotCompared)),
        };
        match difference {
            Some(kind) => differences.push(Difference {
                path: at.clone(),
                kind,
            }),
            None => compared.same += 1,
        }
        known.insert(at);
    }
    for point in &contents.entry_points {
        let at = environment.scripts().join(&point.name);
        // On Windows they are programs, with the script at their end.
        if !known.contains(&at) && !environment.scripts().ends_with("Scripts") {
            let kind = launcher_differs(environment, &at, std::slice::from_ref(point));
            differences.extend(kind.map(|kind| Difference {
                path: at.clone(),
                kind,
            }));
        }
        known.insert(at);
    }
    let info = library.join(dist_info);
    for path in recorded.iter().filter(|path| !known.contains(*path)) {
        let name = path.file_name().and_then(|name| name.to_str());
        let own =
            path.parent() == Some(&info) && name.is_some_and(|it| INSTALLERS_OWN.contains(&it));
        let bytecode = || is_bytecode_of(path).is_some_and(|source| known.contains(&source));
        // pip writes more than one for itself, under the names of Python's versions.
        let launcher = || {
            path.parent() == Some(environment.scripts())
                && launcher_differs(environment, path, &contents.entry_points).is_none()
        };
        if !own && fs::symlink_metadata(path).is_ok() && !bytecode() && !launcher() {
            differences.push(Difference {
                path: path.clone(),
                kind: DifferenceKind::Added,
            });
        }
    }
    (compared, differences)
}

/// Takes out what is the signed file of another wheel, which was written over this one's.
pub(super) fn settle(distributions: &mut [CheckedDistribution], wheels: &[Compared]) {
    let mut by_path: HashMap<&Path, Vec<(usize, &[u8; 32])>> = HashMap::new();
    for wheel in wheels {
        for (path, sha256) in &wheel.expected {
            by_path
                .entry(path)
                .or_default()
                .push((wheel.number, sha256));
        }
    }
    for (number, distribution) in distributions.iter_mut().enumerate() {
        distribution.differences.retain(|difference| {
            let DifferenceKind::Changed { found: Some(found) } = &difference.kind else {
                return true;
            };
            let others = by_path.get(difference.path.as_path());
            !others.is_some_and(|others| {
                others
                    .iter()
                    .any(|(other, sha256)| *other != number && *sha256 == found)
            })
        });
    }
}

fn differs(at: &Path, file: &ContentFile) -> Option<DifferenceKind> {
    let length = match length(at) {
        Ok(length) => length,
        Err(kind) => return Some(kind),
    };
    if length != file.length && length > MAX_OTHER_LEN {
        return Some(DifferenceKind::Changed { found: None });
    }
    match digest(at) {
        Ok(found) if found == file.sha256 => None,
        Ok(found) => Some(DifferenceKind::Changed { found: Some(found) }),
        Err(_) => Some(DifferenceKind::NoFile),
    }
}

/// The length of an ordinary file.
fn length(at: &Path) -> Result<u64, DifferenceKind> {
    match fs::metadata(at) {
        Ok(found) if found.is_file() => Ok(found.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(DifferenceKind::Missing),
        Ok(_) | Err(_) => Err(DifferenceKind::NoFile),
    }
}

fn digest(at: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(at)?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish().0);
        }
        hasher.update(&buffer[..count]);
    }
}

fn script_differs(
    environment: &Environment,
    at: &Path,
    file: &ContentFile,
) -> Option<DifferenceKind> {
    let Some(rest) = file.behind_first_line else {
        return differs(at, file);
    };
    if let Err(kind) = length(at) {
        return Some(kind);
    }
    let changed = || Some(DifferenceKind::Changed { found: None });
    let Some(bytes) = bounded(at, MAX_SCRIPT_LEN) else {
        return changed();
    };
    match Script::read(&bytes) {
        Some(script) if Sha256::of(script.rest).0 == rest => led(environment, script.interpreter),
        _ => changed(),
    }
}

fn launcher_differs(
    environment: &Environment,
    at: &Path,
    points: &[EntryPoint],
) -> Option<DifferenceKind> {
    if let Err(kind) = length(at) {
        return Some(kind);
    }
    let bytes = bounded(at, MAX_SCRIPT_LEN).unwrap_or_default();
    match Script::read(&bytes) {
        Some(script) if points.iter().any(|point| is_launcher(script.rest, point)) => {
            led(environment, script.interpreter)
        }
        _ => Some(DifferenceKind::Launcher),
    }
}

fn led(environment: &Environment, interpreter: Interpreter<'_>) -> Option<DifferenceKind> {
    let (Interpreter::At(said) | Interpreter::Beside(said) | Interpreter::Other(said)) =
        interpreter;
    let may = environment.may_lead_to(interpreter);
    (!may).then(|| DifferenceKind::Interpreter(said.to_owned()))
}
