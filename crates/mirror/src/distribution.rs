//! A distribution file that somebody has: is it the one that an index signed?

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use wheelmark_client::{Chain, Home, Homes, Refusal, Withdrawn};
use wheelmark_packaging::simple::PageFile;
use wheelmark_packaging::{DistributionFilename, FilenameError, ProjectName};
use wheelmark_tuf::{RoleName, Sha256, Sha256Hasher, Sha512, Sha512Hasher};

/// How much is read at once.
const PIECE: usize = 512 * 1024;

/// Hexadecimal digits of a SHA-256 or a SHA-512, one of which a file in a tree has before its name.
const DIGITS: [usize; 2] = [64, 128];

/// What is known of a file.
#[derive(Debug)]
pub struct Distribution {
    /// The name by which it was looked up.
    pub filename: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many those are.
    pub size: u64,
    /// What the index says.
    pub verdict: Verdict,
}

/// What the index says of a file.
#[derive(Debug)]
pub enum Verdict {
    /// It is the signed one.
    Signed(Box<SignedAs>),
    /// The index signed other bytes under this name.
    OtherBytes {
        /// The index, by its simple URL.
        index: String,
        /// The signed digest.
        sha256: Sha256,
        /// The signed length.
        size: u64,
        /// The name under which the index signed these very bytes, if it did.
        known_as: Option<String>,
    },
    /// The index listed these bytes until it was recovered from a break-in.
    Withdrawn(Box<Withdrawn>),
    /// No index knows it: nothing speaks for it, and nothing against it.
    Unknown {
        /// Where it was looked for.
        why: String,
        /// The name under which the index signed these very bytes, if it did.
        known_as: Option<String>,
    },
    /// The index's answer does not verify, or is not to be had.
    Refused(Arc<Refusal>),
    /// Its name is not a distribution's.
    NoName(FilenameError),
}

/// Who signed a file, and with which marks.
#[derive(Debug)]
pub struct SignedAs {
    /// The index, by its simple URL.
    pub index: String,
    /// The project.
    pub project: ProjectName,
    /// What the page says of the file.
    pub entry: PageFile,
    /// The role that signs for the page, with its version.
    pub page_role: (RoleName, u64),
    /// The role that lists the file itself, with its version, where that was asked for.
    pub own_role: Option<(RoleName, u64)>,
    /// Who vouches for it.
    pub chain: Chain,
}

/// Looks at a file and asks its project's home for it.
///
/// # Errors
///
/// When the file cannot be read.
pub async fn check_distribution(path: &Path, homes: &Homes) -> std::io::Result<Distribution> {
    let filename = path.file_name().map(|name| name.to_string_lossy());
    let filename = plain_name(&filename.unwrap_or_default()).to_owned();
    let owned = path.to_owned();
    let digested = tokio::task::spawn_blocking(move || digest(&owned));
    let (sha256, sha512, size) = digested.await.map_err(std::io::Error::other)??;
    let verdict = match DistributionFilename::parse(&filename) {
        Ok(parsed) => {
            let digests = (&sha256, &sha512);
            judge(homes, parsed.project(), &filename, digests, size).await
        }
        Err(error) => Ok(Verdict::NoName(error)),
    };
    Ok(Distribution {
        filename,
        sha256,
        size,
        verdict: verdict.unwrap_or_else(Verdict::Refused),
    })
}

async fn judge(
    homes: &Homes,
    project: &ProjectName,
    filename: &str,
    (sha256, sha512): (&Sha256, &Sha512),
    size: u64,
) -> Result<Verdict, Arc<Refusal>> {
    let unknown = || Verdict::Unknown {
        why: homes.absence_or_break(project),
        known_as: None,
    };
    let Some(home) = homes.home_of(project, None).await? else {
        return Ok(unknown());
    };
    if let Some(withdrawn) = withdrawn(&home, project, sha256).await? {
        return Ok(Verdict::Withdrawn(Box::new(withdrawn)));
    }
    let Some(signed) = home.signed_file(project, filename).await? else {
        let Some(known_as) = same_bytes(&home, project, sha256).await? else {
            return Ok(unknown());
        };
        let index = home.reader().index().urls().simple();
        return Ok(Verdict::Unknown {
            why: match known_as {
                Some(_) => format!("{index} has signed these bytes under another name"),
                None => format!("{project} on {index} has no file of this name"),
            },
            known_as,
        });
    };
    let index = signed.index().to_string();
    let is_other = signed.sha512().is_some_and(|listed| listed != sha512);
    if signed.sha256() != sha256 || is_other || signed.size() != size {
        return Ok(Verdict::OtherBytes {
            index,
            sha256: *signed.sha256(),
            size: signed.size(),
            known_as: same_bytes(&home, project, sha256).await?.flatten(),
        });
    }
    let page = signed.page();
    let Some(entry) = page.page().file(filename) else {
        return Ok(unknown());
    };
    let (Some(role), Some(version)) = (page.role(), page.role_version()) else {
        return Ok(Verdict::Unknown {
            why: format!("{index} lists these very bytes, and nobody signs that"),
            known_as: None,
        });
    };
    Ok(Verdict::Signed(Box::new(SignedAs {
        index,
        project: project.clone(),
        entry: entry.clone(),
        page_role: (role.clone(), version),
        own_role: signed.own_role().cloned(),
        chain: page.chain(),
    })))
}

/// What its index says of bytes that it dropped after a break-in.
async fn withdrawn(
    home: &Home,
    project: &ProjectName,
    sha256: &Sha256,
) -> Result<Option<Withdrawn>, Arc<Refusal>> {
    let Some(page) = home.page(project).await? else {
        return Ok(None);
    };
    let index = home.reader().index().urls().simple();
    Ok(Withdrawn::of_bytes(page.page(), sha256, index))
}

/// The name under which the project has a file of this digest; none at all without a page.
async fn same_bytes(
    home: &Home,
    project: &ProjectName,
    sha256: &Sha256,
) -> Result<Option<Option<String>>, Arc<Refusal>> {
    let Some(page) = home.page(project).await? else {
        return Ok(None);
    };
    let mut files = page.page().files.iter();
    let same = files.find(|file| {
        let digest = file.sha256().map(|hex| Sha256(hex.into()));
        digest == Some(*sha256)
    });
    Ok(Some(same.map(|file| file.filename.as_str().to_owned())))
}

/// The file's name without the digest that it has in a tree.
fn plain_name(name: &str) -> &str {
    match name.split_once('.') {
        Some((digest, rest))
            if DIGITS.contains(&digest.len()) && digest.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            rest
        }
        _ => name,
    }
}

fn digest(path: &Path) -> std::io::Result<(Sha256, Sha512, u64)> {
    let mut file = File::open(path)?;
    let (mut sha256, mut sha512) = (Sha256Hasher::new(), Sha512Hasher::new());
    let mut buffer = vec![0; PIECE];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((sha256.finish(), sha512.finish(), length));
        }
        sha256.update(&buffer[..read]);
        sha512.update(&buffer[..read]);
        length += read as u64;
    }
}
