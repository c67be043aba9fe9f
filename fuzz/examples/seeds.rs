//! Writes the inputs that fuzzing begins with: `cargo run --example seeds -- FOLDER`.
//!
//! All of them are made here, from nothing but this program and what PyPI serves of two files.

use std::path::Path;
use std::{env, fs, io};

use serde_json::{Value, json};
use wheelmark_fuzz::archive::{self, File};
use wheelmark_fuzz::attested;
use wheelmark_fuzz::repository::Repository;
use wheelmark_provenance::openpgp::Certificates;

const METADATA: &[u8] = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nSummary: A demonstration\n\
    Requires-Python: >=3.9\nRequires-Dist: other>=1; extra == \"x\"\nProvides-Extra: x\nLicense-Expression: MIT OR (Apache-2.0)\n\
    License-File: LICENSE\nDynamic: Description\nClassifier: Topic :: Software Development\n\nThe description.\n";
const OLD_METADATA: &[u8] =
    b"Metadata-Version: 1.1\nName: Demo\nVersion: 1.0.0\nLicense: UNKNOWN\n\
    Description: one\n        two\n       |three\nPlatform: UNKNOWN\n";
const WHEEL: &[u8] =
    b"Wheel-Version: 1.0\nGenerator: seeds\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("a folder has to be named"))?;
    let folder = Path::new(&folder);
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    metadata(&write)?;
    packaging(&write)?;
    locks(&write)?;
    certificates(&write)?;
    attestations(&write)?;
    recoveries(&write)?;
    archives(&write)
}

type Write<'a> = &'a dyn Fn(&str, &str, &[u8]) -> io::Result<()>;

/// Lock files, each behind the byte of its format, and what installers leave.
fn locks(write: Write<'_>) -> io::Result<()> {
    let digest = "0".repeat(64);
    let file = "demo-1.0-py3-none-any.whl";
    let texts = [
        (
            "uv",
            format!(
                "version = 1\n[[package]]\nname = \"demo\"\nversion = \"1.0\"\nsource = {{ registry = \"https://a.example/simple/\" }}\n\
                 wheels = [{{ url = \"https://a.example/{file}\", hash = \"sha256:{digest}\", size = 1 }}]\n\
                 [[package]]\nname = \"mine\"\nsource = {{ virtual = \".\" }}\n"
            ),
        ),
        (
            "pylock",
            format!(
                "lock-version = \"1.0\"\n[[packages]]\nname = \"demo\"\nversion = \"1.0\"\nindex = \"https://a.example/simple/\"\n\
                 attestation-identities = [{{ kind = \"GitHub\", repository = \"o/r\", workflow = \"r.yml\" }}, {{ kind = \"Other\" }}]\n\
                 [[packages.wheels]]\nname = \"{file}\"\nurl = \"https://a.example/{file}\"\nhashes = {{ sha256 = \"{digest}\" }}\n"
            ),
        ),
        (
            "poetry",
            format!(
                "[[package]]\nname = \"demo\"\nversion = \"1.0\"\nfiles = [{{file = \"{file}\", hash = \"sha256:{digest}\"}}]\n\
                 [package.source]\ntype = \"legacy\"\nurl = \"https://a.example/simple\"\n[metadata]\nlock-version = \"2.1\"\n"
            ),
        ),
        (
            "pdm",
            format!(
                "[metadata]\nlock_version = \"4.5.0\"\n[[package]]\nname = \"demo\"\nversion = \"1.0\"\nfiles = [{{file = \"{file}\", hash = \"sha256:{digest}\"}}]\n"
            ),
        ),
        (
            "requirements",
            format!(
                "--index-url https://a.example/simple/\ndemo[x]==1.0 ; python_version > '3' \\\n    --hash=sha256:{digest}\n\
                 there @ https://a.example/there.zip\n-e ./tree\n-r more.txt\n"
            ),
        ),
    ];
    write(
        "lock",
        "beside",
        b"\x01identities-version = \"1.0\"\n[[packages]]\nname = \"demo\"\n[[packages.attestation-identities]]\nkind = \"Google\"\nemail = \"a@b.example\"\n",
    )?;
    for (number, (name, text)) in (0_u8..).zip(texts) {
        write("lock", name, &[&[number], text.as_bytes()].concat())?;
    }
    let script = "#!/e/bin/python\nimport sys\nfrom demo import main\nif __name__ == '__main__':\n    sys.exit(main())\n";
    let points = "[console_scripts]\ndemo = demo:main\n";
    write(
        "installed",
        "launcher",
        format!("{points}\0{script}").as_bytes(),
    )?;
    write(
        "installed",
        "record",
        b"demo.py,sha256=x,1\n\"a,b\",,\n../../../bin/demo,,\n",
    )?;
    write(
        "installed",
        "direct-url",
        br#"{"url":"file:///a","dir_info":{"editable":true}}"#,
    )
}

/// Plans of a recovery, and the statement of one.
fn recoveries(write: Write<'_>) -> io::Result<()> {
    let digest = "0".repeat(64);
    let at = "2026-05-30T22:00:00Z";
    let file = json!({ "version": 7, "sha256": digest });
    let keys = json!({ "keyids": ["a"], "threshold": 1 });
    let change =
        |what: &str, signed: &str, name: Option<&str>, supports: Value, decision: Value| {
            json!({
                "what": what, "signed": signed, "file": name, "then": null, "now": digest,
                "supports": supports, "decision": decision,
            })
        };
    let plan = json!({
        "form": 1, "made": at, "index": digest,
        "last-good": { "from": "/backup", "root": 1, "snapshot": file, "expires": at, "dated": at },
        "present": { "root": 1, "snapshot": file, "timestamp": file },
        "roles": [{ "role": "snapshot", "what": "fast-forward", "then": "7", "now": "9007199254740991" }],
        "claims": [
            { "project": "acme", "sealed": false, "what": "added", "now": keys, "supports": [], "decision": "drop" },
            { "project": "gone", "sealed": true, "what": "removed", "then": keys, "decision": null },
        ],
        "projects": [
            { "project": "acme", "page": digest, "changes": [
                change("added", "project", Some("acme-1.0.tar.gz"), json!([{ "by": "sealed" }, { "by": "developer" }]), json!("keep")),
            ]},
            { "project": "demo", "list": digest, "changes": [
                change("state", "index", None, json!([]), Value::Null),
                change("added", "index", Some("demo-2.0.tar.gz"), json!([{ "by": "attested", "identity": "github:o/r@x.yml", "known": true }]), Value::Null),
                change("vanished", "index", Some("demo-1.0.tar.gz"), json!([{ "by": "copies", "count": 2 }]), json!("drop")),
            ]},
        ],
        "left-out": 3,
    });
    write("recovery_plan", "whole", plan.to_string().as_bytes())?;
    let statement = json!({
        "at": "2026-06-02T09:00:00Z", "since": at, "bulletin": "The online key was stolen.\nAsk us.\n",
        "claims": { "acme-tools": digest }, "later": { "x": [1] },
    });
    write("statement", "whole", statement.to_string().as_bytes())?;
    let own = json!({ "role": "targets", "recovery": statement });
    write("statement", "beside", own.to_string().as_bytes())
}

/// OpenPGP certificates, by their frame.
fn certificates(write: Write<'_>) -> io::Result<()> {
    // A key, a user id, a signature, a subkey: in the old form of packets and in the new one.
    let old: &[u8] = b"\x99\x00\x03\x04\x00\x01\xb4\x03abc\x88\x01\x04\xb8\x02\x04\x02";
    let new: &[u8] = b"\xc6\x03\x06\x00\x01\xcd\x03abc\xc2\xff\x00\x00\x00\x01\x04\xd1\x01\x00";
    let text = Certificates::parse(old).map_err(io::Error::other)?;
    let text = text.to_armor().map_err(io::Error::other)?;
    write("certificates", "old", old)?;
    write("certificates", "new", new)?;
    write("certificates", "both", &[old, new].concat())?;
    write("certificates", "armour", text.as_bytes())
}

/// Attestations, in all forms.
fn attestations(write: Write<'_>) -> io::Result<()> {
    for (number, file) in attested::files().iter().enumerate() {
        let name = format!("real-{number}");
        let one = file.attestation.to_json();
        let json: Value = serde_json::from_slice(&one).map_err(io::Error::other)?;
        write("provenance", &name, file.provenance)?;
        write("attestation", &name, &one)?;
        let list = json!([json, json]).to_string();
        write("attestation", &format!("list-{number}"), list.as_bytes())?;
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": json["verification_material"]["certificate"] },
                "tlogEntries": json["verification_material"]["transparency_entries"],
            },
            "dsseEnvelope": {
                "payload": json["envelope"]["statement"],
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{ "sig": json["envelope"]["signature"] }],
            },
        });
        write("bundle", &name, bundle.to_string().as_bytes())?;
    }
    for (name, publisher) in [
        ("github", "github:pallets/flask@publish.yaml#pypi"),
        ("gitlab", "gitlab:group/sub/project@ci/release.yml"),
        ("google", "google:robot@project.iam.gserviceaccount.com"),
        (
            "circleci",
            "circleci:01234567-89ab-cdef-0123-456789abcdef/01234567-89ab-cdef-0123-456789abcdef#refs/heads/x",
        ),
        ("issuer", "alice@example.org+https://accounts.example.org"),
        // What would be read back as another publisher.
        (
            "disguised",
            r#"{"kind":"OIDC","subject":"github:o/r@x.yml#y","issuer":"https://evil.example"}"#,
        ),
    ] {
        write("provenance", name, publisher.as_bytes())?;
    }
    Ok(())
}

/// Canonical JSON, roles, and the client's server.
fn metadata(write: Write<'_>) -> io::Result<()> {
    write(
        "canonical",
        "values",
        br#"{"b":[1,-2,true,false,null,"\u0001\"\\\u00e4"],"a":{"":{}}}"#,
    )?;
    let repository = Repository::new();
    for generation in [0, 3] {
        for (name, file) in &repository.published[generation] {
            let role = name
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .trim_end_matches(".json");
            let value: Value = serde_json::from_slice(file)?;
            write(
                "roles",
                &format!("{role}-{generation}"),
                &serde_json::to_vec(&value["signed"])?,
            )?;
        }
    }
    write(
        "roles",
        "root-file",
        &repository.published[0]["1.root.json"],
    )?;
    write("roles", "hash-prefixes", &hash_prefixes(&repository)?)?;

    write("signatures", "two-of-three", &[2, 7, 7, 0, 0, 0, 1, 1])?;
    write(
        "signatures",
        "again-under-another-id",
        &[2, 0x11, 0x11, 0, 0, 0, 4, 0],
    )?;
    write("signatures", "twice", &[1, 3, 3, 0, 0, 0, 0, 0])?;
    write(
        "signatures",
        "of-something-else",
        &[1, 3, 3, 0x81, 0, 0x10, 1, 0x20, 5],
    )?;
    // The role; for each sighting the generation, the files, the time; the roots, the version.
    let honest = [0_u8; 24];
    write("evidence", "the-same-twice", &honest)?;
    let stolen = [
        0, 1, 0, 7, 0, 0, 1, 1, 1, 1, 1, 0, 7, 0, 0, 1, 2, 1, 1, 1, 2, 0,
    ];
    write("evidence", "two-timestamps", &stolen)?;
    write(
        "evidence",
        "file",
        br#"{"wheelmark-evidence":1,"claim":"equivocation","role":"timestamp","version":1,"roots":["e30="],"seen":[{"source":"a","at":"2026-01-01T00:00:00Z","via":["targets"],"files":[{"path":"timestamp.json","base64":"e30="}]},{"source":"b","at":"2026-01-01T00:00:00Z","via":[],"files":[]}]}"#,
    )?;
    // Whom the way is asked for, the first keys; then the next ones, where from, the number, who signs.
    let three = [0, 0, 0, 0, 2, 0, 1, 1, 3, 2, 1, 1, 1, 2, 23, 0, 1, 1, 27];
    write("handover", "three", &three)?;
    write("handover", "forged", &[0, 0, 0, 0, 2, 0, 1, 1, 2])?;
    let elsewhere = [0, 0, 0, 0, 2, 0, 1, 1, 3, 23, 0, 0, 4, 0, 1, 63];
    write("handover", "from-elsewhere", &elsewhere)?;
    write(
        "handover",
        "file",
        br#"[{"signatures":[{"keyid":"a","sig":"00"}],"signed":{"_type":"wheelmark-handover","from":{"keyids":["a"],"keys":{"a":{"keytype":"ed25519","keyval":{"public":"00"},"scheme":"ed25519"}},"threshold":1},"made-at":"2026-11-22T08:00:00Z","number":1,"role":"project-flask","to":{"keyids":["a"],"keys":{},"threshold":1}}}]"#,
    )?;
    // The path, the limit, what targets delegates to, and one role after the other.
    let list = [0, 8, 2, 3, 0, 0, 1, 8, 2, 0];
    write("search", "list", &[&list[..], &[0, 0x0c]].concat())?;
    write(
        "search",
        "cycle",
        &[0, 8, 2, 1, 0, 0, 2, 1, 1, 0, 2, 1, 0, 0],
    )?;
    let bins = [1, 8, 1, 2, 0, 0, 0, 0, 0, 0, 0x0c, 0x0c, 0x0c, 0x0c];
    write("search", "bins", &bins)?;
    write("search", "refused", &[&list[..], &[0x10, 0x2c]].concat())?;

    // Rounds, the time, the generation, and then one answer after the other.
    let honest = [1_u8; 24];
    write("client", "honest", &[&[0, 0, 3], &honest[..]].concat())?;
    write(
        "client",
        "old-then-new",
        &[&[1, 0, 0], &[1; 8][..], &[1, 3], &honest].concat(),
    )?;
    for (name, generation, requests) in [("back-again", 2, 9), ("back-one", 1, 8)] {
        let first = vec![1; requests];
        let rounds = [&[1, 0, generation], &first[..], &[0, 0], &honest].concat();
        write("client", name, &rounds)?;
    }
    write(
        "client",
        "expired",
        &[&[2, 1, 0], &[1; 8][..], &[2, 1], &honest].concat(),
    )?;
    write(
        "client",
        "mixed",
        &[
            &[3, 0, 0, 1, 0],
            &[4, 7, 4, 9, 5, 0, 40, 0, 1, 6, 2, 0, b'{', b'}', 0, 3, 2][..],
            &honest,
        ]
        .concat(),
    )?;
    let theft = [7, 0, 0, 9, 9, 9, 7, 0, 1, 9, 9, 2, 1, 1, 1, 1];
    write(
        "client",
        "theft",
        &[&[2, 0, 0, 1, 0], &theft[..], &[0, 3], &honest].concat(),
    )?;
    write(
        "client",
        "far-ahead",
        &[
            &[2, 0, 1, 1, 0],
            &[7, 0, 0, 255, 255, 255, 7, 0, 1, 255, 255, 1][..],
            &honest,
        ]
        .concat(),
    )
}

/// The top-level targets with bins by prefix.
fn hash_prefixes(repository: &Repository) -> io::Result<Vec<u8>> {
    let mut file: Value = serde_json::from_slice(&repository.published[0]["1.targets.json"])?;
    let signed = &mut file["signed"];
    let keyid = signed["delegations"]["roles"][0]["keyids"][0].clone();
    signed["delegations"]["roles"] = json!([
        {"keyids": [keyid], "name": "low", "path_hash_prefixes": ["0", "1a", "2"], "terminating": true, "threshold": 1},
        {"keyids": [keyid], "name": "a/b", "paths": ["simple/a?c*/*", "*"], "terminating": false, "threshold": 1},
    ]);
    Ok(serde_json::to_vec(signed)?)
}

const README: &[u8] = b"\0# Demo\n\n[use](#use) ![logo](https://example.org/x.png)\n\n## Use\n\n- [x] a\n- [ ] ~~b~~[^1]\n\n\
|a|b|\n|-|-:|\n|1|\n\n```python\nx < 1\n```\n\n<details><summary>c</summary>\n\nd\n</details>\n\n[^1]: e\n";

/// Names, metadata, pages, headers.
fn packaging(write: Write<'_>) -> io::Result<()> {
    for (name, filename) in [
        ("wheel", "demo-1.0-py3-none-any.whl"),
        (
            "wheel-long",
            "Zope.Interface-1!2.0rc1.post2.dev3+a.b-1x-cp313.py3-abi3.none-manylinux_2_28_x86_64.win32.whl",
        ),
        ("sdist", "demo_project-1.0.tar.gz"),
        ("sdist-old", "Zope.Interface-5.4.0-beta1.zip"),
    ] {
        write("filename", name, filename.as_bytes())?;
    }
    write("core_metadata", "new", METADATA)?;
    write("core_metadata", "old", OLD_METADATA)?;
    write(
        "core_metadata",
        "imports",
        b"Metadata-Version: 2.5\nName: demo\nVersion: 1.0\nImport-Name: a.b ; private\nImport-Namespace: a\n",
    )?;
    write(
        "signature",
        "gnupg",
        b"-----BEGIN PGP SIGNATURE-----\nComment: a seed\n\niHUEABYIAB0WIQQO02PL5n2O9Am5eL1Qu6iAGlhuiQUCawHbGgAKCRBQu6iAGlhu\niVYKAQC67giD1tqtPIVTrY2Gxyu76qbPVYgdKiZ0nW/hHkLeYQD8CrvzgHoh31Mi\nKMwEO1BhQDIJZ8TFgTknfVfyUmPZLg8=\n=lPzA\n-----END PGP SIGNATURE-----\n",
    )?;
    write(
        "signature",
        "packets",
        b"\xc2\x03\x04\x00\x00\x88\x03\x03\x05\x00",
    )?;
    write("readme", "markdown", README)?;
    write(
        "readme",
        "html",
        b"\0<table><td>a<tr><td align=right>b</table><a href='javascript:x' onclick=x>c</a><svg><style>d</style></svg>\n",
    )?;
    write("readme", "commonmark", b"\x02*a **b* c** `d` <!-- e -->\n")?;
    write("readme", "plain", b"\x03a < b & \"c\"\n")?;
    write(
        "accept",
        "pip",
        b"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
    )?;
    write(
        "accept",
        "browser",
        b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    )?;
    write(
        "accept",
        "ranges",
        b"application/*;q=0.5, text/*;q=0, application/vnd.pypi.simple.latest+json;q=1.000",
    )?;
    write("page", "page", &serde_json::to_vec(&page())?)?;
    let list = json!({"meta": {"api-version": "1.4", "_last-serial": 1}, "projects": [{"name": "A_b"}, {"name": "c", "x": 1}]});
    write("page", "list", &serde_json::to_vec(&list)?)?;
    write(
        "listing",
        "page",
        format!(
            "<!DOCTYPE html><base href=\"/f/\"><meta name=\"pypi:repository-version\" content=\"1.1\">\
             <a href=\"flask-3.0.tar.gz#sha256={}\" data-requires-python=\"&gt;=3.8\" \
             data-yanked=\"why\" data-dist-info-metadata=true>flask</a><a href=../>..</a>",
            "a".repeat(64)
        )
        .as_bytes(),
    )?;
    write(
        "listing",
        "list",
        b"<a href=\"flask/\">Flask</a><!-- --><a href=zope-interface/>zope.interface</a>",
    )
}

fn page() -> Value {
    let digest = "0123456789abcdef".repeat(4);
    json!({
        "meta": {"api-version": "1.4", "_last-serial": 7},
        "name": "demo",
        "versions": ["1.0", "2004d"],
        "project-status": {"status": "archived", "reason": "<done>"},
        "unknown": [0.5, {"a": null}],
        "_wheelmark": {"dropped": {&digest: {
            "filename": "demo-6.6.tar.gz", "at": "2026-06-02T09:00:00Z", "since": "2026-05-30T22:00:00Z"
        }}},
        "files": [
            {
                "filename": "demo-1.0-py3-none-any.whl",
                "url": "../../packages/demo/demo-1.0-py3-none-any.whl",
                "hashes": {"sha256": digest},
                "size": 1234,
                "upload-time": "2026-01-02T03:04:05.678901Z",
                "requires-python": ">=3.9,<4",
                "core-metadata": {"sha256": digest},
                "yanked": "it's \"bad\"",
                "provenance": "https://index.example/x",
                "gpg-sig": true,
                "_wheelmark": {
                    "signed": "at-upload", "signed-at": "2026-01-02T03:04:06Z",
                    "provenance-sha256": digest, "chunks-sha256": digest
                }
            },
            {"filename": "demo-1.0.tar.gz", "url": "x#y", "hashes": {}, "dist-info-metadata": true, "yanked": true},
            {"filename": "demo-1.0.win32.exe", "url": "x", "hashes": {}}
        ]
    })
}

fn archives(write: Write<'_>) -> io::Result<()> {
    let mut files: Vec<File<'_>> = vec![
        (b"demo/__init__.py", b"x\n"),
        (b"demo/a,b.txt", b"ab"),
        (b"demo-1.0.dist-info/METADATA", METADATA),
        (b"demo-1.0.dist-info/WHEEL", WHEEL),
        (b"demo-1.0.dist-info/licenses/LICENSE", b"MIT"),
    ];
    let text = |files: &[File<'_>]| -> Vec<u8> {
        let texts = files.iter();
        let texts: Vec<Vec<u8>> = texts
            .map(|(path, contents)| [path, &b"\n"[..], contents].concat())
            .collect();
        texts.join(&0)
    };
    write("wheel", "no-record", &text(&files))?;
    let record = archive::record(&files);
    files.push((b"demo-1.0.dist-info/RECORD", &record));
    write("wheel", "wheel", &text(&files))?;
    write("zip", "stored", &archive::zip(&files, false))?;
    write("zip", "deflated", &archive::zip(&files, true))?;
    let sdist: [File<'_>; 3] = [
        (b"demo-1.0/", b""),
        (b"demo-1.0/PKG-INFO", METADATA),
        (b"demo-1.0/LICENSE", b"MIT"),
    ];
    write("zip", "sdist", &archive::zip(&sdist, false))?;

    let tar = [
        archive::tar_entry(b'g', b"g", b"", b"13 comment=x\n"),
        archive::tar_entry(b'5', b"demo-1.0/", b"", b""),
        archive::tar_entry(b'0', b"demo-1.0/PKG-INFO", b"", METADATA),
        archive::tar_entry(
            b'x',
            b"x",
            b"",
            b"25 path=demo-1.0/LICENSE\n14 mtime=1.25\n",
        ),
        archive::tar_entry(b'0', b"short", b"", b"MIT"),
        archive::tar_entry(b'L', b"././@LongLink", b"", b"demo-1.0/long\0"),
        archive::tar_entry(b'2', b"short", b"PKG-INFO", b""),
        archive::tar_entry(b'1', b"demo-1.0/hard", b"demo-1.0/LICENSE", b""),
        vec![0; 1024],
    ]
    .concat();
    write("tar", "every-kind", &[&[0], &tar[..]].concat())?;
    let plain = [
        archive::tar_entry(b'0', b"demo-1.0/PKG-INFO", b"", OLD_METADATA),
        vec![0; 1024],
    ]
    .concat();
    write("tar", "plain", &[&[0], &plain[..]].concat())?;
    write(
        "tar",
        "compressed",
        &[&[1], &archive::gzip(&plain)[..]].concat(),
    )
}
