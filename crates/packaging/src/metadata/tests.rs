#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;

use super::{CoreMetadata, MAX_HEADERS, MAX_METADATA_LEN, MetadataError};

const REQUIRED: &str = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";

fn parse(text: &str) -> CoreMetadata {
    CoreMetadata::parse(text.as_bytes()).unwrap()
}

/// Parses what is required and these lines behind it, and compares what is said.
#[track_caller]
fn check(lines: &str, expect: &str) {
    let told = match CoreMetadata::parse(format!("{REQUIRED}{lines}").as_bytes()) {
        Ok(metadata) => format!("{} {}", metadata.name, metadata.version),
        Err(error) => error.to_string(),
    };
    assert_eq!(told, expect, "{lines:?}");
}

#[test]
fn reads_fields_and_body() {
    let metadata = parse(
        "metadata-version: 2.4\r\nNAME:  Zope.Interface \r\nVersion: 5.4.0rc1\r\nSummary: Für alle\r\n\
         Requires-Python: >=3.9\r\nClassifier: A :: B\r\nClassifier: C\r\nX-Unknown: 1\r\n\r\nThe body:\r\n it stays\r\n",
    );
    assert_eq!(metadata.metadata_version.to_string(), "2.4");
    assert_eq!(metadata.name.as_str(), "zope-interface");
    assert_eq!(metadata.version.to_string(), "5.4.0rc1");
    assert_eq!(metadata.summary.as_deref(), Some("Für alle"));
    assert_eq!(metadata.requires_python.as_deref(), Some(">=3.9"));
    assert_eq!(
        metadata.description.as_deref(),
        Some("The body:\r\n it stays\r\n")
    );
    assert_eq!(
        metadata.all("classifier").collect::<Vec<_>>(),
        ["A :: B", "C"]
    );
    assert_eq!(metadata.get("X-UNKNOWN"), Some("1"));
    assert_eq!(metadata.get("Keywords"), None);
    assert_eq!(metadata.fields().count(), 8);
}

#[test]
fn a_description_can_be_a_header() {
    let folded = |lines: &str| {
        parse(&format!("{REQUIRED}Description: one\n{lines}"))
            .description
            .unwrap()
    };
    assert_eq!(
        folded("        two\n          three\n"),
        "one\ntwo\n  three"
    );
    assert_eq!(
        folded("       |two\n       |  three\n       |\n       |four\n"),
        "one\ntwo\n  three\n\nfour"
    );
    assert_eq!(folded(" two\n\tthree\n"), "one\ntwo\nthree");
    // distutils wrote empty lines of the description with their indentation.
    assert_eq!(folded("        \n        two\n"), "one\n\ntwo");
    assert_eq!(parse(REQUIRED).description, None);
    assert_eq!(parse(&format!("{REQUIRED}\n \n")).description, None);
    check(
        "Description: one\n\ntwo",
        "metadata has more than one Description field",
    );
}

#[test]
fn knows_every_version_of_the_format() {
    let version = |version: &str| {
        let text = format!("Metadata-Version: {version}\nName: demo\nVersion: 1\n");
        CoreMetadata::parse(text.as_bytes()).map(|metadata| metadata.metadata_version.to_string())
    };
    for known in [
        "1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.99",
    ] {
        assert_eq!(version(known).as_deref(), Ok(known));
    }
    for unknown in [
        "", "2", "1.3", "3.0", "0.9", "2.x", "2.1.0", "+2.1", "2.-1", "2.999", "2. 1",
    ] {
        assert!(
            matches!(
                version(unknown),
                Err(MetadataError::UnsupportedVersion { .. })
            ),
            "{unknown:?}"
        );
    }
}

#[test]
fn refuses_what_is_no_metadata() {
    check("", "demo 1.0");
    check("Name: other\n", "metadata has more than one Name field");
    check(
        "requires-python: a\nRequires-Python: b\n",
        "metadata has more than one Requires-Python field",
    );
    check("nonsense\n", "line 4 of the metadata is not a field");
    check(": nonsense\n", "line 4 of the metadata is not a field");
    check("Two Words: x\n", "line 4 of the metadata is not a field");
    check("Naïve: x\n", "line 4 of the metadata is not a field");
    check(
        "Summary: a\0b\n",
        "line 4 of the metadata has a control character",
    );
    check(
        "Summary: a\rName: other\n",
        "line 4 of the metadata has a control character",
    );
    check("\nnonsense\0\n", "demo 1.0");
    let missing = |text: &str| {
        CoreMetadata::parse(text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(missing(""), "metadata has no Metadata-Version field");
    assert_eq!(
        missing(" continued\n"),
        "line 1 of the metadata is not a field"
    );
    assert_eq!(
        missing("\nMetadata-Version: 2.1\n"),
        "metadata has no Metadata-Version field"
    );
    assert_eq!(
        missing("Metadata-Version: 2.1\nVersion: 1\n"),
        "metadata has no Name field"
    );
    assert_eq!(
        missing("Metadata-Version: 2.1\nName: demo\n"),
        "metadata has no Version field"
    );
    assert_eq!(
        missing("Metadata-Version: 2.1\nName: -\nVersion: 1\n"),
        "the metadata's name is not valid"
    );
    assert_eq!(
        missing("Metadata-Version: 2.1\nName: demo\nVersion: one\n"),
        "the metadata's version `one` is not allowed by PEP 440"
    );
    assert_eq!(
        CoreMetadata::parse(b"Name: \xff"),
        Err(MetadataError::NotUtf8 { offset: 6 })
    );
}

#[test]
fn is_bounded() {
    let many = format!("{REQUIRED}{}", "A: b\n".repeat(MAX_HEADERS));
    assert_eq!(
        CoreMetadata::parse(many.as_bytes()),
        Err(MetadataError::TooManyFields)
    );
    let length = MAX_METADATA_LEN + 1;
    let long = vec![b'x'; usize::try_from(length).unwrap()];
    assert_eq!(
        CoreMetadata::parse(&long),
        Err(MetadataError::TooLong { length })
    );
}

#[track_caller]
fn check_rules(version: &str, lines: &str, expect: &str) {
    let metadata = parse(&format!(
        "Metadata-Version: {version}\nName: demo\nVersion: 1.0\n{lines}"
    ));
    let told = metadata
        .check_rules()
        .map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    assert_eq!(told, expect, "{version} {lines:?}");
}

#[test]
fn fields_are_not_older_than_the_version_says() {
    check_rules("2.2", "Dynamic: Requires-Dist\n", "ok");
    check_rules(
        "2.1",
        "Dynamic: Requires-Dist\n",
        "Dynamic needs metadata version 2.2, the file declares 2.1",
    );
    check_rules(
        "2.3",
        "License-Expression: MIT\n",
        "License-Expression needs metadata version 2.4, the file declares 2.3",
    );
    check_rules(
        "2.4",
        "Import-Name: a\n",
        "Import-Name needs metadata version 2.5, the file declares 2.4",
    );
    check_rules(
        "1.2",
        "Import-Namespace: a\n",
        "Import-Namespace needs metadata version 2.5, the file declares 1.2",
    );
    // Written for years before there was such a field.
    check_rules("2.1", "License-File: ../LICENSE\n", "ok");
}

#[test]
fn licences_follow_pep_639() {
    for expression in [
        "MIT",
        "Apache-2.0 OR MIT",
        "mit or apache-2.0",
        "GPL-2.0-or-later WITH Classpath-exception-2.0",
        "(MIT AND (BSD-3-Clause OR LGPL-2.1+))",
        "LicenseRef-Proprietary",
    ] {
        check_rules("2.4", &format!("License-Expression: {expression}\n"), "ok");
    }
    for expression in [
        "",
        "MIT OR",
        "OR MIT",
        "MIT MIT",
        "(MIT",
        "MIT)",
        "()",
        "MIT, BSD",
        "MIT WITH (X)",
        "MIT License!",
    ] {
        let told = format!("License-Expression `{expression}` is not an SPDX expression");
        check_rules("2.4", &format!("License-Expression: {expression}\n"), &told);
    }
    for (expression, identifier) in [
        ("Apache 2.0", "Apache"),
        ("GPL", "GPL"),
        ("MIT OR BSD", "BSD"),
        ("MIT WITH MIT", "MIT"),
        ("Classpath-exception-2.0", "Classpath-exception-2.0"),
        ("LicenseRef-", "LicenseRef-"),
        ("LicenseRef-own+", "LicenseRef-own+"),
        ("DocumentRef-x:LicenseRef-y", ""),
    ] {
        let told = match identifier {
            "" => format!("License-Expression `{expression}` is not an SPDX expression"),
            _ => format!("License-Expression names `{identifier}`, which is not on SPDX's list"),
        };
        check_rules("2.4", &format!("License-Expression: {expression}\n"), &told);
    }
    check_rules(
        "2.4",
        "License: MIT\nLicense-Expression: MIT\n",
        "License and License-Expression exclude each other",
    );
    check_rules(
        "2.4",
        "License-File: LICENSES/MIT.txt\nLicense-File: NOTICE\n",
        "ok",
    );
    for path in ["../x", "/x", "a//b", "a\\b", ".", "", "LICEN*"] {
        let told = format!(
            "License-File `{}` is not a relative path with `/` and without `..`",
            path.escape_debug()
        );
        check_rules("2.4", &format!("License-File: {path}\n"), &told);
    }
}

#[test]
fn names_follow_pep_643_and_pep_794() {
    check_rules(
        "2.2",
        "Dynamic: requires-dist\nDynamic: Version-Of-It\n",
        "Dynamic cannot name Version-Of-It",
    );
    for field in ["Name", "version", "Metadata-Version"] {
        check_rules(
            "2.2",
            &format!("Dynamic: {field}\n"),
            &format!("Dynamic cannot name {field}"),
        );
    }
    check_rules(
        "2.5",
        "Import-Name: a.b_c\nImport-Name: _x ; private\nImport-Namespace: a\n",
        "ok",
    );
    check_rules("2.5", "Import-Name:\n", "ok");
    check_rules("2.5", "Import-Name: größe\n", "ok");
    for name in ["1a", "a-b", "a..b", "a; public", "a;"] {
        check_rules(
            "2.5",
            &format!("Import-Name: {name}\n"),
            &format!("Import-Name `{name}` is not an import name"),
        );
    }
    check_rules(
        "2.5",
        "Import-Name: a\nImport-Namespace: a\n",
        "`a` is both an Import-Name and an Import-Namespace",
    );
    check_rules(
        "2.1",
        "Summary: one\n two\n",
        "Summary has more than one line",
    );
}

#[test]
fn requires_python_is_a_short_range_on_one_line() {
    let of = |length: usize| {
        let end = ",>=3".repeat(255);
        format!(
            "Requires-Python: >={}{end}\n",
            "3".repeat(length - 2 - end.len())
        )
    };
    check_rules("2.1", &of(1024), "ok");
    check_rules(
        "2.1",
        &of(1025),
        "Requires-Python has 1025 bytes, at most 1024 are allowed",
    );
    check_rules("2.1", "Requires-Python:\n", "ok");
    check_rules("2.1", "Requires-Python: >=3.9, <4\n", "ok");
    check_rules("2.1", "Requires-Python: >=3.9,\n", "ok");
    for range in ["3.9", ">=3.6.*", "python>=3", ">=3.9;", "=>3"] {
        check_rules(
            "2.1",
            &format!("Requires-Python: {range}\n"),
            &format!("Requires-Python `{range}` is not a version specifier"),
        );
    }
    // Old files are read as they are.
    assert_eq!(
        parse(&format!("{REQUIRED}{}", of(5000)))
            .requires_python
            .unwrap()
            .len(),
        5000
    );
    for range in [">=3.9,\n <4", ">=3.9,\t<4"] {
        check_rules(
            "2.1",
            &format!("Requires-Python: {range}\n"),
            "Requires-Python has a line break or another control character",
        );
    }
}

#[test]
fn only_known_versions_are_judged() {
    for version in [
        "1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5",
    ] {
        check_rules(version, "", "ok");
    }
    for version in ["2.6", "2.99"] {
        let told =
            format!("metadata version {version} is newer than 2.5, the newest that is known here");
        check_rules(version, "", &told);
    }
}

#[test]
fn a_summary_is_short() {
    check_rules("2.1", &format!("Summary: {}\n", "ä".repeat(512)), "ok");
    check_rules(
        "2.1",
        &format!("Summary: {}\n", "a".repeat(513)),
        "Summary has 513 characters, at most 512 are allowed",
    );
}

#[test]
fn a_description_is_of_a_kind_that_can_be_shown() {
    for good in [
        "text/markdown",
        "text/x-rst; charset=UTF-8",
        "text/markdown; charset=utf-8; variant=GFM",
        "text/markdown;variant=\"CommonMark\"",
        "Text/Plain",
        "",
    ] {
        check_rules("2.1", &format!("Description-Content-Type: {good}\n"), "ok");
    }
    for (bad, why) in [
        (
            "text/html",
            "is not text/markdown, text/x-rst or text/plain",
        ),
        ("markdown", "is not text/markdown, text/x-rst or text/plain"),
        (
            "text/plain; charset=latin-1",
            "has another charset than UTF-8",
        ),
        (
            "text/markdown; variant=Other",
            "has another variant than GFM or CommonMark",
        ),
        ("text/markdown; variant", "has a parameter without a value"),
    ] {
        check_rules(
            "2.1",
            &format!("Description-Content-Type: {bad}\n"),
            &format!("Description-Content-Type `{bad}` {why}"),
        );
    }
    check_rules(
        "1.2",
        "Description-Content-Type: text/plain\n",
        "Description-Content-Type needs metadata version 2.1, the file declares 1.2",
    );
}

#[test]
fn links_lead_to_web_pages() {
    for good in [
        "Home-page: https://example.com\n",
        "Home-page: UNKNOWN\n",
        "Home-page:\n",
        "Download-URL: http://example.com/x?y#z\n",
        "Project-URL: Docs, https://example.com\nProject-URL: Code,https://example.com\n",
        "Project-URL: Größe, https://exämple.com/ä\n",
    ] {
        check_rules("2.1", good, "ok");
    }
    for bad in [
        "example.com",
        "javascript:alert(1)",
        "ftp://example.com",
        "https://",
        "https://a b",
    ] {
        check_rules(
            "2.1",
            &format!("Home-page: {bad}\n"),
            &format!("Home-page `{bad}` is not a web address"),
        );
        check_rules(
            "2.1",
            &format!("Project-URL: Docs, {bad}\n"),
            &format!("Project-URL `{bad}` is not a web address"),
        );
    }
    let long = "a".repeat(33);
    for value in [
        "https://example.com",
        ", https://example.com",
        &format!("{long}, https://example.com"),
    ] {
        check_rules(
            "2.1",
            &format!("Project-URL: {value}\n"),
            &format!("Project-URL `{value}` has no label of 1 to 32 characters"),
        );
    }
    check_rules(
        "2.1",
        "Project-URL: Docs, https://a.example\nProject-URL: Docs, https://b.example\n",
        "two Project-URL fields have the label `Docs`",
    );
}

#[test]
fn requirements_follow_pep_508() {
    check_rules(
        "2.1",
        "Requires-Dist: a>=1; extra == 'x'\nProvides-Extra: x\n",
        "ok",
    );
    check_rules("2.1", "Provides-Extra: Dev_Tools.x\n", "ok");
    for field in ["Requires-Dist", "Provides-Dist", "Obsoletes-Dist"] {
        check_rules(
            "2.1",
            &format!("{field}: a b\n"),
            &format!("{field} `a b` does not follow PEP 508"),
        );
        check_rules(
            "2.1",
            &format!("{field}: a @ https://example.com/a.whl\n"),
            &format!("{field} `a @ https://example.com/a.whl` requires what lies at a URL"),
        );
    }
    for name in ["", "-x", "x y", "x[", "ä"] {
        check_rules(
            "2.1",
            &format!("Provides-Extra: {name}\n"),
            &format!("Provides-Extra `{name}` is not a name"),
        );
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(CoreMetadata::parse(&bytes));
    }

    #[test]
    fn near_metadata_never_panics(lines in "([A-Z][a-z-]{0,6}: ?[ -~]{0,12}\n|[ \t|][a-z ]{0,9}\n|\n|\r\n){0,8}") {
        if let Ok(metadata) = CoreMetadata::parse(format!("{REQUIRED}{lines}").as_bytes()) {
            drop(metadata.check_rules());
        }
    }

    #[test]
    fn values_are_kept(summary in "[!-~ä]([ -~ä]{0,30}[!-~ä])?", body in "[!-~][ -~\n]{0,40}") {
        let metadata = parse(&format!("{REQUIRED}Summary: {summary}\n\n{body}"));
        prop_assert_eq!(metadata.summary, Some(summary));
        prop_assert_eq!(metadata.description, Some(body));
    }
}
