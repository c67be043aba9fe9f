//! What becomes of each package: who attests to all its files, and whether that may be written down.

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_client::{
    CheckedFile, CheckedPackage, Evidence, Failure, FileVerdict, Homes, PackageTrouble,
};
use wheelmark_packaging::{DistributionFilename, ProjectName, Version};
use wheelmark_provenance::{Identity, Publisher, Remembered, Standing};

use super::{Key, Named};

/// What was found of a package.
pub(super) struct Finding {
    pub(super) key: Key,
    /// The versions that are locked.
    pub(super) versions: BTreeSet<Version>,
    /// Its files, and how many of them somebody attests to.
    pub(super) files: usize,
    pub(super) attested: usize,
    /// Who attests to them.
    pub(super) found: Vec<Publisher>,
    /// Those of them who may be named.
    pub(super) counting: Vec<Publisher>,
    /// Who is named already.
    pub(super) named: Vec<Publisher>,
    pub(super) what: What,
}

/// What becomes of a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nobody attests to any of its files, and nobody is named.
    Nobody,
    /// Somebody attests to some of its files, so that nobody can be named.
    Partly,
    /// Those who are named attest to all of them.
    AsNamed,
    /// They are to be named, and were seen before.
    SeenBefore,
    /// They are to be named, and are seen for the first time.
    FirstSeen,
    /// They are to be named, in the place of others, because the person says so.
    Accepted,
    /// It has to be looked at, for this reason.
    Wrong(String),
}

impl Finding {
    /// Who is to be named from now on, if that is a change.
    pub(super) fn to_write(&self) -> Option<&[Publisher]> {
        match self.what {
            What::SeenBefore | What::FirstSeen | What::Accepted => Some(&self.counting),
            What::Nobody | What::Partly | What::AsNamed | What::Wrong(_) => None,
        }
    }
}

/// What was found of every package, by name and version.
pub(super) fn findings(
    checked: &[CheckedPackage],
    homes: &Homes,
    named: &Named,
    accepted: &[ProjectName],
) -> anyhow::Result<Vec<Finding>> {
    let mut groups: BTreeMap<Key, Vec<&CheckedPackage>> = BTreeMap::new();
    for package in checked {
        let key = named.key(&package.project, package.version.as_ref());
        groups.entry(key).or_default().push(package);
    }
    let each = groups.into_iter().map(|(key, packages)| {
        let remembered = remembered(&packages, homes)?;
        let before = named.by.get(&key).cloned().unwrap_or_default();
        let accepted = accepted.contains(&key.0);
        Ok(finding(key, &packages, &remembered, before, accepted))
    });
    each.collect()
}

/// What is remembered of who attests to a project, of the index that it comes from.
fn remembered(packages: &[&CheckedPackage], homes: &Homes) -> anyhow::Result<Remembered> {
    let found = packages
        .iter()
        .find_map(|it| Some((&it.project, it.home.as_ref()?)));
    let Some((project, home)) = found else {
        return Ok(Remembered::default());
    };
    let mut readers = homes.readers().iter();
    let reader = readers.find(|reader| reader.index().urls().simple() == home);
    Ok(match reader {
        Some(reader) => reader.index().remembered(project)?,
        None => Remembered::default(),
    })
}

fn finding(
    key: Key,
    packages: &[&CheckedPackage],
    remembered: &Remembered,
    named: Vec<Publisher>,
    accepted: bool,
) -> Finding {
    let files = || packages.iter().flat_map(|package| &package.files);
    let attested = |file: &&CheckedFile| !identities(file).is_empty();
    let (mut found, mut counting): (Vec<Publisher>, Vec<Publisher>) = Default::default();
    for file in files() {
        for identity in identities(file) {
            let publisher = identity.publisher();
            // Each for itself: whoever can add an attestation is not to be named beside the others.
            if counts(identity, file, remembered) && !counting.contains(&publisher) {
                counting.push(publisher.clone());
            }
            if !found.contains(&publisher) {
                found.push(publisher);
            }
        }
    }
    let mut finding = Finding {
        versions: packages
            .iter()
            .filter_map(|it| it.version.clone())
            .collect(),
        files: files().count(),
        attested: files().filter(attested).count(),
        what: What::Nobody,
        key,
        found,
        counting,
        named,
    };
    finding.what = what(&finding, packages, remembered, accepted);
    finding
}

fn what(
    finding: &Finding,
    packages: &[&CheckedPackage],
    remembered: &Remembered,
    accepted: bool,
) -> What {
    let mut first = false;
    for package in packages {
        if let Some(trouble) = &package.trouble
            && !matches!(trouble, PackageTrouble::NotSigned)
        {
            return What::Wrong(of_package(trouble));
        }
        for file in &package.files {
            match weighed(package, file, remembered) {
                Ok(standing) => first |= matches!(standing, Standing::First(_)),
                Err(why) => return What::Wrong(why),
            }
        }
    }
    let lists = |publishers: &[Publisher]| {
        let publishers: Vec<String> = publishers.iter().map(ToString::to_string).collect();
        publishers.join(" and ")
    };
    let named = lists(&finding.named);
    let is_named = |file: &CheckedFile| {
        let mut by = identities(file).iter();
        by.any(|one| finding.named.iter().any(|it| one.matches(it).is_ok()))
    };
    let mut files = packages.iter().flat_map(|package| &package.files);
    // Where nobody is remembered, several cannot be told from one and somebody who joined them.
    let several = first && finding.counting.len() > 1;
    match (finding.attested, finding.named.is_empty()) {
        (0, true) => What::Nobody,
        (some, true) if some < finding.files => What::Partly,
        (some, false) if some < finding.files => What::Wrong(format!(
            "the lock names {named}, and nobody attests to {} of {} files",
            finding.files - some,
            finding.files
        )),
        (_, false) if files.all(is_named) => What::AsNamed,
        (_, nobody_named) if several && (nobody_named || accepted) => What::Wrong(format!(
            "{} attest to its files, and anybody can: find out which of them the project is, and then `wheelmark trust identities accept {} IDENTITY`",
            lists(&finding.found),
            finding.key.0
        )),
        (_, false) if accepted => What::Accepted,
        (_, false) => What::Wrong(format!(
            "the lock names {named}, and {} attests to it now: ask the project, by another way than the index, and then --accept {}",
            lists(&finding.found),
            finding.key.0
        )),
        // What cannot be written down would name nobody.
        (_, true)
            if finding
                .found
                .iter()
                .any(|it| matches!(it, Publisher::Unknown(_))) =>
        {
            What::Wrong("who attests to it cannot be written down".to_owned())
        }
        (_, true) if first => What::FirstSeen,
        (_, true) => What::SeenBefore,
    }
}

/// Whether an identity may be named: it was seen before, or nobody was.
fn counts(identity: &Identity, file: &CheckedFile, remembered: &Remembered) -> bool {
    let parsed = file.filename.as_deref().map(DistributionFilename::parse);
    let Some(Ok(parsed)) = parsed else {
        return false;
    };
    let standing = remembered.weigh(parsed.version(), file.uploaded, &[identity]);
    matches!(standing, Standing::Known(_) | Standing::First(_))
}

/// How a file stands to what is remembered of its project, or why nothing can be made of it.
fn weighed(
    package: &CheckedPackage,
    file: &CheckedFile,
    remembered: &Remembered,
) -> Result<Standing, String> {
    if !matches!(file.verdict, FileVerdict::Signed) {
        let name = file.filename.as_deref().unwrap_or("one of its files");
        return Err(format!(
            "{name} is not what its index lists: see `wheelmark verify`"
        ));
    }
    let evidence = match &file.evidence {
        Some(Ok(Evidence::Refused(why))) => {
            return Err(format!("its provenance does not hold: {why}"));
        }
        Some(Ok(evidence)) => evidence,
        Some(Err(refusal)) => return Err(refusal.to_string()),
        None => return Err("it was not looked at who attests to it".to_owned()),
    };
    let parsed = file.filename.as_deref().map(DistributionFilename::parse);
    let Some(Ok(parsed)) = parsed else {
        return Err("its files have names that nobody can attest to".to_owned());
    };
    let attested: Vec<&Identity> = evidence.identities().iter().collect();
    let standing = remembered.weigh(parsed.version(), file.uploaded, &attested);
    match standing {
        Standing::Unattested | Standing::Older | Standing::First(_) | Standing::Known(_) => {
            Ok(standing)
        }
        Standing::Vanished { .. }
        | Standing::ChangedHands { .. }
        | Standing::OtherAccount { .. }
        | Standing::RevokedOnly { .. } => {
            let failure = Failure::Identity {
                standing: Box::new(standing),
                why: evidence.why(),
            };
            Err(format!(
                "{failure}: ask the project, by another way than the index, and then `wheelmark trust identities accept {} IDENTITY`",
                package.project
            ))
        }
    }
}

fn identities(file: &CheckedFile) -> &[Identity] {
    match &file.evidence {
        Some(Ok(evidence)) => evidence.identities(),
        _ => &[],
    }
}

fn of_package(trouble: &PackageTrouble) -> String {
    match trouble {
        PackageTrouble::NotPinned => "no version is locked".to_owned(),
        PackageTrouble::NoDigests => "no hash is locked".to_owned(),
        PackageTrouble::NoVersion => "no such version is signed".to_owned(),
        PackageTrouble::NotSigned => "its index is not signed".to_owned(),
        PackageTrouble::NoHome(why) => why.clone(),
        PackageTrouble::Refused(refusal) => refusal.to_string(),
    }
}
