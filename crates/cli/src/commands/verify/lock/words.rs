//! What was found of a lock file, for people.

use std::collections::{BTreeMap, BTreeSet};

use owo_colors::{OwoColorize as _, Stream::Stdout};
use wheelmark_client::{CheckedFile, CheckedPackage, Evidence, FileVerdict, PackageTrouble};
use wheelmark_packaging::simple::Yanked;
use wheelmark_tuf::without_controls;

use super::super::withdrawn::ADVICE as WITHDRAWN;
use super::Told;
use crate::commands::index::table::table;

/// Most findings that are told of one package.
const MAX_FINDINGS: usize = 20;

pub(super) fn text(told: &Told<'_>) -> String {
    let mut text = format!("{}: {}\n", without_controls(told.name), verdict(told));
    text.push_str(&line("lock", &summary(told)));
    for (home, count) in homes(told) {
        text.push_str(&line("index", &format!("{home} ({count})")));
    }
    for index in &told.lock.indexes {
        let names = format!("{index} for all of them, as the file itself says");
        text.push_str(&line("named", &names));
    }
    for other in &told.lock.elsewhere {
        let project = other.project.as_ref().map_or("it", |it| it.as_str());
        let said = format!("{project}: {}, {}", other.kind.words(), other.place);
        text.push_str(&line("not from an index", &said));
    }
    for note in &told.lock.notes {
        text.push_str(&line("note", note));
    }
    text.push_str(&rows(told));
    for package in told.checked.iter().filter(|it| !it.holds()) {
        text.push_str(&findings(package));
    }
    text.push_str(&remarks(told));
    text
}

fn verdict(told: &Told<'_>) -> String {
    let wrong = told.checked.iter().filter(|it| !told.holds(it)).count();
    let others = told.lock.elsewhere.iter();
    let others = others.filter(|it| !told.may_be(it)).count();
    if wrong + others == 0 {
        let files = || told.checked.iter().flat_map(|it| &it.files);
        let good = match files().filter(|file| file.evidence.is_some()).count() {
            0 => "every file is signed".to_owned(),
            all if all == files().count() => {
                "every file is signed, and attested by whom the lock names".to_owned()
            }
            some => format!(
                "every file is signed, and {} attested by whom the lock names",
                count(some, "is", "are")
            ),
        };
        return good.if_supports_color(Stdout, |t| t.green()).to_string();
    }
    let mut parts = Vec::new();
    let unsigned =
        |it: &&CheckedPackage| it.trouble.is_some() || it.files.iter().any(is_not_signed);
    let failing = || told.checked.iter().filter(|it| !told.holds(it));
    let unsigned = failing().filter(unsigned).count();
    if unsigned > 0 {
        parts.push(format!(
            "{} NOT what is signed",
            count(unsigned, "package is", "packages are")
        ));
    }
    if wrong > unsigned {
        parts.push(format!(
            "{} NOT attested by whom the lock names",
            count(wrong - unsigned, "package is", "packages are")
        ));
    }
    if others > 0 {
        parts.push(format!("{others} not from an index"));
    }
    let text = parts.join(", ");
    text.if_supports_color(Stdout, |t| t.red()).to_string()
}

fn summary(told: &Told<'_>) -> String {
    let lock = told.lock;
    let version = lock
        .version
        .as_deref()
        .map_or(String::new(), |version| format!(", version {version}"));
    let files: usize = lock.packages.iter().map(|it| it.files.len()).sum();
    format!(
        "{}{version}: {}, {}",
        lock.format,
        count(lock.packages.len(), "package", "packages"),
        count(files, "file", "files")
    )
}

fn homes(told: &Told<'_>) -> BTreeMap<String, usize> {
    let mut homes = BTreeMap::new();
    for home in told.checked.iter().filter_map(|it| it.home.as_ref()) {
        *homes.entry(home.to_string()).or_default() += 1;
    }
    homes
}

/// The table: what does not hold first.
fn rows(told: &Told<'_>) -> String {
    let mut packages: Vec<&CheckedPackage> = told.checked.iter().collect();
    packages.sort_by_key(|package| package.holds());
    let rows: Vec<Vec<String>> = packages
        .iter()
        .take(told.listed)
        .map(|package| row(package, told))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n");
    for line in table(&["PACKAGE", "VERSION", "FILES", "WHAT"], &rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    if packages.len() > rows.len() {
        let more = packages.len() - rows.len();
        text.push_str(&format!(
            "  … and {more} more: --list N lists more of them\n"
        ));
    }
    text
}

fn row(package: &CheckedPackage, told: &Told<'_>) -> Vec<String> {
    let version = package.version.as_ref().map(ToString::to_string);
    let mut what = match (&package.trouble, &package.chain) {
        _ if package.holds() => match package.chain {
            Some(chain) => format!("signed ({chain}){}", by_whom(package)),
            None => "signed".to_owned(),
        },
        (Some(trouble), _) => short(trouble).to_owned(),
        (None, _) => {
            let all = package.files.len();
            match package.files.iter().filter(|it| is_not_signed(it)).count() {
                0 => {
                    let lacking = package.files.iter().filter(|it| !it.holds()).count();
                    format!("NOT attested by whom the lock names: {lacking} of {all}")
                }
                wrong => format!("NOT what is signed: {wrong} of {all}"),
            }
        }
    };
    let yanked = |file: &CheckedFile| file.yanked != Yanked::No;
    if package.files.iter().any(yanked) {
        what.push_str(", yanked");
    }
    if !package.holds() && told.excepted.has_project(&package.project) {
        what.push_str(" (excepted)");
    }
    vec![
        package.project.to_string(),
        version.unwrap_or_else(|| "any".to_owned()),
        package.files.len().to_string(),
        what,
    ]
}

/// Who attests to a package's files, where that was asked.
fn by_whom(package: &CheckedPackage) -> String {
    let evidence = package.files.iter().filter_map(|it| it.evidence.as_ref());
    let identities = evidence
        .filter_map(|it| it.as_ref().ok())
        .flat_map(Evidence::identities);
    let publishers: BTreeSet<String> = identities.map(|it| it.publisher().to_string()).collect();
    let publishers: Vec<String> = publishers.into_iter().collect();
    match publishers.is_empty() {
        true => String::new(),
        false => format!(
            ", attested as {}",
            without_controls(&publishers.join(" and "))
        ),
    }
}

fn short(trouble: &PackageTrouble) -> &'static str {
    match trouble {
        PackageTrouble::NotPinned => "no version is locked",
        PackageTrouble::NoDigests => "no hash is locked",
        PackageTrouble::NoVersion => "no such version is signed",
        PackageTrouble::NotSigned => "its index is not signed",
        PackageTrouble::NoHome(_) => "not on its index",
        PackageTrouble::Refused(_) => "cannot be told",
    }
}

/// Whether a file is another one than the signed one, whoever attests to it.
fn is_not_signed(file: &CheckedFile) -> bool {
    !matches!(file.verdict, FileVerdict::Signed)
}

fn findings(package: &CheckedPackage) -> String {
    let mut text = String::new();
    if let Some(trouble) = &package.trouble {
        let (found, advice) = of_package(package, trouble);
        text.push_str(&finding(package.project.as_str(), &found, &advice));
    }
    let wrong: Vec<&CheckedFile> = package.files.iter().filter(|it| !it.holds()).collect();
    for file in wrong.iter().take(MAX_FINDINGS) {
        let (found, advice) = of_file(package, file);
        let digest = || {
            file.locked
                .iter()
                .next()
                .map(|(name, hex)| format!("{name}:{hex}"))
        };
        let name = file.filename.clone().or_else(digest).unwrap_or_default();
        let name = format!("{} {name}", package.project);
        text.push_str(&finding(&name, &found, &advice));
    }
    if wrong.len() > MAX_FINDINGS {
        let more = wrong.len() - MAX_FINDINGS;
        text.push_str(&format!(
            "    … and {more} more files of {}\n",
            package.project
        ));
    }
    text
}

fn of_package(package: &CheckedPackage, trouble: &PackageTrouble) -> (String, String) {
    let index = package.home.as_ref().map_or("its index", |it| it.as_str());
    match trouble {
        PackageTrouble::NotPinned => (
            "no version is locked: whoever follows it takes whatever is there then".to_owned(),
            "lock it: `NAME==VERSION --hash=sha256:DIGEST`, as `pip lock`, `uv pip compile --generate-hashes` and others write it".to_owned(),
        ),
        PackageTrouble::NoDigests => (
            "no hash is locked: whoever follows it takes whatever the index serves then".to_owned(),
            "lock it with hashes, or install it through `wheelmark exec`".to_owned(),
        ),
        PackageTrouble::NoVersion => (
            format!("{index} has signed no such version"),
            "find out where it came from, and lock anew".to_owned(),
        ),
        PackageTrouble::NotSigned => (
            format!("{index} is not signed: what it lists is its own word"),
            "leave it out of the verdict with --except NAME, or get it from an index that is signed".to_owned(),
        ),
        PackageTrouble::NoHome(why) => (
            why.clone(),
            "trust the index that it lives on (`wheelmark trust add`), or find out who put it there".to_owned(),
        ),
        PackageTrouble::Refused(refusal) => (refusal.to_string(), refusal.next().to_owned()),
    }
}

fn of_file(package: &CheckedPackage, file: &CheckedFile) -> (String, String) {
    const DISTRUST: &str = "do not install from this lock; find out who changed it, and lock anew through `wheelmark exec`";
    let index = package.home.as_ref().map_or("its index", |it| it.as_str());
    let locked = |algorithm: &str| file.locked.get(algorithm).unwrap_or_default().to_owned();
    match &file.verdict {
        FileVerdict::Signed => not_attested(file),
        FileVerdict::OtherBytes { algorithm, signed } => (
            format!(
                "{index} signed other bytes under this name: {algorithm} {signed}, locked is {}",
                locked(algorithm)
            ),
            DISTRUST.to_owned(),
        ),
        FileVerdict::OtherLength { signed } => (
            format!("another length is locked than the signed one of {signed} bytes"),
            DISTRUST.to_owned(),
        ),
        FileVerdict::NoDigest => (
            "no hash is locked: whoever follows it takes whatever the index serves then".to_owned(),
            "lock it with hashes, or install it through `wheelmark exec`".to_owned(),
        ),
        FileVerdict::NoSignedDigest => (
            "a hash is locked of a kind that is not signed, and installers are content with any one; or only broken ones are".to_owned(),
            "lock it with sha256 alone".to_owned(),
        ),
        FileVerdict::OtherVersion(version) => (
            format!("it is the signed file of version {version}, not of the locked one"),
            DISTRUST.to_owned(),
        ),
        FileVerdict::Unlisted => (
            format!(
                "the signed page of {} on {index} does not list it",
                package.project
            ),
            DISTRUST.to_owned(),
        ),
        FileVerdict::Removed { at } => (
            format!("{index} took it away at {at}"),
            "lock another version; `wheelmark explain` tells more".to_owned(),
        ),
        FileVerdict::Withdrawn(withdrawn) => {
            (withdrawn.to_string(), WITHDRAWN.to_owned())
        }
        FileVerdict::Withheld => (
            format!("{index} withholds the project's files"),
            "wait, or ask whoever runs the index".to_owned(),
        ),
        FileVerdict::NotFromIndex => (
            "not from an index: it lies on the machine that installs".to_owned(),
            "lock it as the index has it".to_owned(),
        ),
        FileVerdict::Refused(refusal) => (refusal.to_string(), refusal.next().to_owned()),
    }
}

/// What a signed file lacks as to who attests to it.
fn not_attested(file: &CheckedFile) -> (String, String) {
    if let Some(Err(refusal)) = &file.evidence {
        return (refusal.to_string(), refusal.next().to_owned());
    }
    let lacks: Vec<String> = file.lacks.iter().map(ToString::to_string).collect();
    let next = file.lacks.first().map(|line| line.shortfall.next());
    (lacks.join("; "), next.unwrap_or_default().to_owned())
}

fn finding(what: &str, found: &str, advice: &str) -> String {
    format!(
        "\n  {}\n    found     {}\n    do        {advice}\n",
        without_controls(what),
        without_controls(found)
    )
}

/// What is worth a word, and nothing wrong.
fn remarks(told: &Told<'_>) -> String {
    let mut text = String::new();
    let mut named: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for package in told.checked {
        if let (Some(other), Some(home)) = (&package.named_elsewhere, &package.home) {
            *named.entry((other, home.to_string())).or_default() += 1;
        }
    }
    for ((other, home), packages) in named {
        text.push_str(&line(
            "named",
            &format!(
                "{other} for {}, whose home is {home}: an installer that follows it asks there, and has the same hashes to hold it to",
                count(packages, "package", "packages")
            ),
        ));
    }
    let gone = told.checked.iter().flat_map(|it| &it.files);
    let gone = gone.filter(|file| file.at_loopback).count();
    if gone > 0 {
        text.push_str(&line(
            "named",
            &format!(
                "a place on one machine for {}, such as a proxy that is gone: `wheelmark lock rewrite {}` puts the real ones there",
                count(gone, "file", "files"),
                told.name
            ),
        ));
    }
    for package in told.checked {
        for file in package
            .files
            .iter()
            .filter(|file| file.yanked != Yanked::No)
        {
            let why = match &file.yanked {
                Yanked::Because(why) => format!("yanked: {why}"),
                _ => "yanked".to_owned(),
            };
            let name = file.filename.as_deref().unwrap_or_default();
            text.push_str(&line("yanked", &format!("{name} ({why})")));
        }
    }
    if !text.is_empty() {
        text.insert(0, '\n');
    }
    text
}

fn line(label: &str, text: &str) -> String {
    format!("  {label:<10} {}\n", without_controls(text))
}

fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}
