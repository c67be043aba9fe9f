//! A project's description.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::{Dialect, Markup};
use wheelmark_readme::{MAX_HTML_LEN, render};

/// What must not be anywhere in the HTML, whatever stands around it: `<` is never text there.
const NEVER: [&str; 12] = [
    "<script", "<style", "<img", "<svg", "<math", "<iframe", "<object", "<form", "<input", "<link",
    "<meta", "<!--",
];

fuzz_target!(|input: &[u8]| {
    let Some((kind, text)) = input.split_first() else {
        return;
    };
    let markup = match kind % 4 {
        0 | 1 => Markup::Markdown(Dialect::GitHub),
        2 => Markup::Markdown(Dialect::CommonMark),
        _ => Markup::Plain,
    };
    let Ok(html) = render(&String::from_utf8_lossy(text), markup) else {
        return;
    };
    let html = html.as_str();
    assert!(html.len() <= 2 * MAX_HTML_LEN);
    let lower = html.to_ascii_lowercase();
    for bad in NEVER {
        assert!(!lower.contains(bad), "{html}");
    }
    // Every tag has only attributes that are known, each with a value in quotes.
    for tag in lower.split('<').skip(1) {
        let tag = tag.split_once('>').expect("every tag ends").0;
        for attribute in tag
            .split('"')
            .step_by(2)
            .filter_map(|part| part.trim().strip_suffix('='))
        {
            let name = attribute.rsplit(' ').next().unwrap_or_default();
            assert!(
                !name.starts_with("on") && name != "style" && name != "src",
                "{html}"
            );
        }
        if let Some((_, link)) = tag.split_once("href=\"") {
            let link = link.trim_start();
            let schemes = ["https:", "http:", "mailto:", "#readme-"];
            assert!(
                schemes.iter().any(|scheme| link.starts_with(scheme)),
                "{html}"
            );
        }
    }
});
