#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;

use super::{Listing, ListingError, Names};
use crate::ProjectName;
use crate::simple::{MAX_PAGE_LEN, ProjectPage};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn flask() -> ProjectName {
    "flask".parse().unwrap()
}

/// What a page of links shows: of each file name, URL, digest, Python range, metadata, yank; and
/// what was passed over.
fn seen(html: &str) -> Vec<String> {
    let listing = Listing::from_html(&flask(), html.as_bytes()).unwrap();
    let files = listing.files.iter().map(|file| {
        let mut said = format!("{} {}", file.filename, file.url);
        for (algorithm, digest) in file.hashes.iter() {
            said.push_str(&format!(" {algorithm}:{}", &digest[..4]));
        }
        if let Some(range) = &file.requires_python {
            said.push_str(&format!(" python{range}"));
        }
        if let Some(metadata) = &file.core_metadata {
            said.push_str(&format!(" metadata({})", metadata.iter().count()));
        }
        if file.yanked.is_yanked() {
            said.push_str(&format!(" {:?}", file.yanked));
        }
        said
    });
    let skipped = listing.skipped.iter().map(|skipped| {
        assert!(!skipped.why.is_empty());
        format!("- {}", skipped.name)
    });
    files.chain(skipped).collect()
}

fn check(html: &str, expect: &[&str]) {
    assert_eq!(seen(html), expect, "{html}");
}

#[test]
fn links_as_the_tools_write_them() {
    // bandersnatch
    check(
        &format!(
            "<a href=\"../../packages/ab/cd/ef/flask-3.0.tar.gz#sha256={A}\" data-requires-python=\"&gt;=3.8,&lt;4\">flask-3.0.tar.gz</a><br/>"
        ),
        &["flask-3.0.tar.gz ../../packages/ab/cd/ef/flask-3.0.tar.gz sha256:aaaa python>=3.8,<4"],
    );
    // devpi, with an md5 from long ago
    check(
        "<A HREF='../../+f/d41/d8cd98f00b204/Flask-0.1.tar.gz#md5=D41D8CD98F00B204E9800998ECF8427E'>Flask-0.1.tar.gz</A>",
        &["Flask-0.1.tar.gz ../../+f/d41/d8cd98f00b204/Flask-0.1.tar.gz md5:d41d"],
    );
    // pypiserver, and a page generator with absolute URLs
    check(
        "<a href=/packages/flask-1-py3-none-any.whl#sha512=00>x</a>
         <a href=\"https://files.example/flask-2-py3-none-any.whl?x=1#egg=flask\" data-yanked>x</a>
         <a href=\"flask-2.tar.gz\" data-yanked=\"it &amp; was bad\" data-core-metadata=true>x</a>",
        &[
            "flask-1-py3-none-any.whl /packages/flask-1-py3-none-any.whl",
            "flask-2-py3-none-any.whl https://files.example/flask-2-py3-none-any.whl?x=1 Yes",
            "flask-2.tar.gz flask-2.tar.gz metadata(0) Because(\"it & was bad\")",
        ],
    );
    check(
        &format!(
            "<a href=\"flask-1%2B2.tar.gz\" data-dist-info-metadata=\"sha256={A}\">flask</a><a href=flask-3.zip data-core-metadata=false>"
        ),
        &[
            "flask-1+2.tar.gz flask-1%2B2.tar.gz metadata(1)",
            "flask-3.zip flask-3.zip",
        ],
    );
    // a web server's own listing of a folder
    check(
        "<a href=\"../\">../</a><a href=\"?C=N;O=D\">Name</a><a href=\"flask-1.tar.gz\">flask-1.ta..&gt;</a> 21-Nov-2026 10:00 5",
        &["flask-1.tar.gz flask-1.tar.gz"],
    );
}

#[test]
fn what_is_no_file_of_the_project_is_passed_over() {
    check(
        "<a href=flask-1.tar.gz></a><a href=evil-1.tar.gz></a><a href=flask-1.tar.gz></a><a href=flask-x.tar.gz></a><a href=flask.whl></a><a href=flask%2F..%2Fx-1.tar.gz></a><a href=flask-1.exe></a><a>none</a>",
        &[
            "flask-1.tar.gz flask-1.tar.gz",
            "- evil-1.tar.gz",
            "- flask-1.tar.gz",
            "- flask-x.tar.gz",
            "- flask.whl",
            "- flask/../x-1.tar.gz",
        ],
    );
}

#[test]
fn what_only_looks_like_a_link_is_none() {
    check(
        "<!-- <a href=flask-1.tar.gz> --><script>\"<a href=flask-1.tar.gz>\"</script><style><a href=flask-1.tar.gz></style><textarea><a href=flask-1.tar.gz></textarea>&lt;a href=flask-1.tar.gz&gt;",
        &[],
    );
    check(
        "<a href=flask-1.tar.gz href=flask-2.tar.gz>",
        &["flask-1.tar.gz flask-1.tar.gz"],
    );
    check("<a href=flask-1.tar.gz", &[]);
}

#[test]
fn a_page_says_what_it_is_and_where() {
    let read = |html: &str| Listing::from_html(&flask(), html.as_bytes()).unwrap();
    let page = read(
        "<base href=' https://x.example/y/'><base href=z><meta name=pypi:repository-version content=1.4>",
    );
    assert_eq!(page.base.as_deref(), Some(" https://x.example/y/"));
    assert!(page.declared && page.files.is_empty());
    assert!(!read("<h1>502 Bad Gateway</h1>").declared);
    assert!(!read("<meta name=pypi:repository-version content=2.0>").declared);
}

#[test]
fn limits() {
    let long = vec![b' '; MAX_PAGE_LEN + 1];
    assert!(matches!(
        Listing::from_html(&flask(), &long),
        Err(ListingError::TooLong { .. })
    ));
    let many = "<a href=x>".repeat(200_001);
    assert!(matches!(
        Listing::from_html(&flask(), many.as_bytes()),
        Err(ListingError::TooMany { limit: 200_000 })
    ));
}

#[test]
fn one_bad_entry_of_a_json_page_hides_no_other() {
    let good = format!(
        r#"{{"filename":"flask-1.tar.gz","url":"u","hashes":{{"sha256":"{A}"}},"size":5,"upload-time":"2026-01-02T03:04:05Z","yanked":"why"}}"#
    );
    let page = |name: &str, entries: &str| {
        let text =
            format!(r#"{{"meta":{{"api-version":"1.1"}},"name":"{name}","files":[{entries}]}}"#);
        Listing::from_json(&flask(), text.as_bytes())
    };
    let bad = [
        r#"{"filename":"evil-1.tar.gz","url":"u","hashes":{}}"#,
        r#"{"filename":"flask-2.tar.gz","hashes":{}}"#,
        r#"{"filename":"flask-3.tar.gz","url":"u","hashes":{"sha256":"x"}}"#,
        r#"{"filename":"flask-4.tar.gz","url":"u","hashes":{},"yanked":7}"#,
        r#"7"#,
        good.as_str(),
    ];
    let listing = page("Flask", &format!("{good},{}", bad.join(","))).unwrap();
    assert_eq!(listing.files.len(), 1);
    assert_eq!(listing.files[0].size, Some(5));
    assert!(listing.files[0].yanked.is_yanked());
    assert!(listing.declared);
    let names: Vec<&str> = listing.skipped.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "evil-1.tar.gz",
            "flask-2.tar.gz",
            "flask-3.tar.gz",
            "flask-4.tar.gz",
            "",
            "flask-1.tar.gz"
        ]
    );
    assert!(matches!(
        page("werkzeug", ""),
        Err(ListingError::OtherProject { .. })
    ));
    assert!(matches!(
        Listing::from_json(&flask(), b"<html>"),
        Err(ListingError::Json(_))
    ));
}

#[test]
fn lists_of_projects() {
    let names = |html: &str| {
        let names = Names::from_html(html.as_bytes()).unwrap();
        let named = names
            .projects
            .iter()
            .map(|named| format!("{} {}", named.name, named.link.as_deref().unwrap()));
        let skipped = names
            .skipped
            .iter()
            .map(|skipped| format!("- {}", skipped.name));
        named.chain(skipped).collect::<Vec<_>>()
    };
    assert_eq!(
        names(
            "<a href=\"Flask/\">Flask</a><a href='/simple/zope-interface/'>zope.interface</a><a href=flask/>again</a>"
        ),
        ["flask Flask/", "zope-interface /simple/zope-interface/"]
    );
    assert_eq!(
        names(
            "<a href=../>..</a><a href='?C=N;O=D'>Name</a><a href=/>home</a><a href='%C3%A4/'>ä</a><a href=docs.html>read</a><a href=six>six</a>"
        ),
        ["six six", "- ä"]
    );
    let read = Names::from_json(br#"{"meta":{"api-version":"1.0"},"projects":[{"name":"A_b"},{"name":"../x"},{},{"name":"a-b"}]}"#).unwrap();
    assert_eq!(read.projects.len(), 1);
    assert_eq!(read.projects[0].name.as_str(), "a-b");
    assert_eq!(read.skipped.len(), 2);
    assert!(Names::from_json(b"{}").is_err());
}

proptest! {
    /// What our own pages say in HTML reads the same again.
    #[test]
    fn reads_what_is_rendered(
        entries in prop::collection::btree_map(0_u32..40, (any::<[u8; 32]>(), prop::option::of("[ -~]{1,20}"), prop::option::of("\\PC{0,12}")), 0..8)
    ) {
        let mut page = ProjectPage::new(flask());
        for (number, (digest, range, yanked)) in entries {
            let name = crate::DistributionFilename::parse_for(&flask(), &format!("flask-{number}.tar.gz")).unwrap();
            let mut file = crate::simple::PageFile::new(&flask(), name, crate::simple::Hashes::of_sha256(digest));
            file.requires_python = range.filter(|range| !range.trim().is_empty());
            file.yanked = match yanked {
                None => crate::simple::Yanked::No,
                Some(reason) if reason.is_empty() => crate::simple::Yanked::Yes,
                Some(reason) => crate::simple::Yanked::Because(reason),
            };
            page.files.push(file);
        }
        let listing = Listing::from_html(&flask(), page.to_html().as_bytes()).unwrap();
        prop_assert!(listing.declared && listing.skipped.is_empty());
        let mut files = listing.files;
        files.sort_by(|a, b| a.filename.version().cmp(b.filename.version()));
        page.files.sort_by(|a, b| a.filename.version().cmp(b.filename.version()));
        prop_assert_eq!(files, page.files);
    }

    /// No text makes it panic, and no file is another project's.
    #[test]
    fn any_text(html in "(<a href=|[\"'>/#&;=a-z0-9.-]|flask-1|\\.tar\\.gz|<!--|</a>|<script>|\\PC){0,60}") {
        let listing = Listing::from_html(&flask(), html.as_bytes()).unwrap();
        for file in listing.files {
            prop_assert_eq!(file.filename.project(), &flask());
        }
        Names::from_html(html.as_bytes()).unwrap();
    }
}

#[test]
fn a_page_that_was_cut_off_is_not_whole() {
    let whole = |html: &str| {
        let listing = Listing::from_html(&flask(), html.as_bytes());
        listing.unwrap().whole
    };
    let page = "<!DOCTYPE html><html><head><title>x</title></head><body>\n<a href=\"flask-1.tar.gz\">flask-1.tar.gz</a>\n<a href=\"flask-2.tar.gz\">flask-2.tar.gz</a></body></html>\n";
    assert!(whole(page));
    let ends = page.find("<html>").unwrap() + "<html>".len();
    for len in ends..page.find("</body>").unwrap() {
        assert!(!whole(&page[..len]), "{}", &page[..len]);
    }
    // Not all who write links write a document.
    let links = "<a href=flask-1.tar.gz>1</a><br><a href=flask-2.tar.gz>2</a>";
    assert!(whole(links));
    assert!(!whole(&links[..links.len() - 4]));
    assert!(!whole(&links[..links.len() - 10]));
    assert!(whole(""));
    let json = br#"{"meta":{"api-version":"1.0"},"name":"flask","files":[]}"#;
    assert!(Listing::from_json(&flask(), json).unwrap().whole);
    // Nor is a list of projects.
    let whole = |html: &str| Names::from_html(html.as_bytes()).unwrap().whole;
    let list = "<html><body><a href=flask/>flask</a><a href=six/>six</a></body></html>";
    assert!(whole(list));
    assert!(!whole(&list[..list.find("<a href=six").unwrap()]));
    let json = br#"{"meta":{"api-version":"1.0"},"projects":[]}"#;
    assert!(Names::from_json(json).unwrap().whole);
}
