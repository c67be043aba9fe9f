use proptest::prelude::*;
use serde_json::Value;

use super::{parse, with};
use crate::simple::{
    Dropped, Extra, Hashes, PageFile, ProjectPage, ProjectStatus, Removed, Yanked,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[<>&\"'a-z#= \\\\\r\n\0]{0,12}"]
}

/// Values as parsing gives them: a fraction can come out another one.
fn kept_value() -> impl Strategy<Value = Value> {
    json_value().prop_map(|value| match parse(&with("x", value)) {
        Ok(page) => page.files[0].extra["x"].clone(),
        Err(_) => Value::Null,
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

prop_compose! {
    fn page()(
        files in prop::collection::btree_map(
            "[Dd]emo-[0-9]{1,2}(\\.[0-9])?(\\.tar\\.gz|-py3-none-any\\.whl)",
            (text(), prop::option::of(any::<u64>()), text(), 0..4_u8, kept_value(), any::<i32>()), 0..5,
        ),
        reason in prop::option::of(text()), status in text(), versions in prop::collection::btree_set(text(), 0..3),
        extra in kept_value(), key in "[a-z]{8}", removed in prop::collection::btree_map("demo-[0-9]{3}\\.tar\\.gz", any::<i32>(), 0..3),
        dropped in prop::collection::btree_map(any::<u8>(), any::<i32>(), 0..3),
    ) -> ProjectPage {
        let mut page = ProjectPage::new("demo".parse().unwrap());
        for (byte, time) in dropped {
            let at = jiff::Timestamp::from_second(time.into()).unwrap();
            let filename = format!("demo-{byte}.tar.gz").parse().unwrap();
            let dropped = Dropped { filename, at, since: at, extra: Extra::new() };
            page.wheelmark.dropped.insert([byte; 32].into(), dropped);
        }
        for (filename, time) in removed {
            if !files.contains_key(&filename) {
                let removed_at = jiff::Timestamp::from_second(time.into()).unwrap();
                let entry = PageFile::new(&page.name, filename.parse().unwrap(), Hashes::of_sha256([9; 32]));
                let removed = Removed { entry, removed_at, extra: Extra::new() };
                page.wheelmark.removed.insert(filename, removed);
            }
        }
        for (filename, (text, size, url, kind, extra, time)) in files {
            let mut file = PageFile::new(&page.name, filename.parse().unwrap(), Hashes::of_sha256([kind; 32]));
            file.url = url;
            file.size = size;
            file.requires_python = (kind > 1).then(|| text.clone());
            file.provenance = (kind == 1).then(|| text.clone());
            file.yanked = match kind {
                0 => Yanked::Yes,
                2 if !text.is_empty() => Yanked::Because(text),
                _ => Yanked::No,
            };
            file.core_metadata = (kind == 3).then(Hashes::new);
            file.upload_time = jiff::Timestamp::from_microsecond(i64::from(time) * 1_234_567).ok();
            file.extra.insert(key.clone(), extra);
            page.files.push(file);
        }
        page.project_status = reason.map(|reason| ProjectStatus {
            status: status.into(), reason: Some(reason), ..ProjectStatus::default()
        });
        page.versions = versions;
        page.extra.insert(key, extra);
        page
    }
}

proptest! {
    #[test]
    fn rendering_is_a_fixed_point(page in page()) {
        let once = page.to_json();
        let parsed = ProjectPage::parse(&once)?;
        let twice = parsed.to_json();
        prop_assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(&twice));
        prop_assert_eq!(ProjectPage::parse(&twice)?, parsed);
        // The reference reader finds the same document.
        let value: Value = serde_json::from_slice(&once).unwrap();
        prop_assert_eq!(value["files"].as_array().map(Vec::len), Some(page.files.len()));
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(ProjectPage::parse(&bytes));
    }

    #[test]
    fn any_document_is_read_or_refused(value in json_value(), member in "(url|hashes|size|upload-time|requires-python|core-metadata|yanked|provenance|gpg-sig|_wheelmark|other)") {
        if let Ok(page) = parse(&with(&member, value)) {
            let rendered = page.to_json();
            prop_assert_eq!(ProjectPage::parse(&rendered)?.to_json(), rendered);
        }
    }

    /// Whatever a page holds, its HTML has the elements and attributes of the renderer and no
    /// others.
    #[test]
    fn html_escapes_everything(page in page()) {
        let html = page.to_html();
        let mut rest = html.as_str();
        let mut anchors = 0;
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '!' | '/')).unwrap();
            let known = ["!DOCTYPE", "html", "head", "meta", "title", "/title", "/head", "body", "h1", "/h1", "a", "/a", "br", "/body", "/html"];
            prop_assert!(known.contains(&&rest[..name_end]), "{}", &rest[..name_end]);
            anchors += usize::from(&rest[..name_end] == "a");
            rest = &rest[name_end..];
            // Attributes: a space, a known name, a quoted value without quotes.
            while let Some(attribute) = rest.strip_prefix(' ') {
                let (name, value) = attribute.split_once(['=', '>']).unwrap();
                if name == "html" {
                    rest = &attribute[name.len()..];
                    continue;
                }
                let known = ["href", "lang", "charset", "name", "content", "data-requires-python", "data-core-metadata", "data-yanked", "data-gpg-sig", "data-provenance"];
                prop_assert!(known.contains(&name), "{name}");
                let (_, after) = value.strip_prefix('"').unwrap().split_once('"').unwrap();
                rest = after;
            }
            rest = rest.strip_prefix('>').unwrap();
        }
        prop_assert!(!rest.contains('"') && !html.contains(['\0', '\r']));
        prop_assert_eq!(anchors, page.files.len());
    }
}
