//! Says whether HTML is safe, by rules of its own: nothing here is shared with what made it.

use html5gum::{Token, Tokenizer};

const ELEMENTS: &str = " a abbr acronym aside b blockquote br caption cite code dd del details div dl dt em \
     figcaption figure h1 h2 h3 h4 h5 h6 hr i kbd li nav ol p pre s section span strong sub summary sup table \
     tbody td tfoot th thead tr tt ul var ";

/// Panics unless `html` is harmless, and well nested.
#[track_caller]
pub(crate) fn judge(html: &str) {
    let mut open = Vec::new();
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert!(ELEMENTS.contains(&format!(" {name} ")), "{name} in {html}");
                for (attribute, value) in &tag.attributes {
                    let attribute = std::str::from_utf8(attribute).unwrap();
                    let value = std::str::from_utf8(value).unwrap();
                    check(&name, attribute, value, html);
                }
                if !["br", "hr"].contains(&&*name) {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert_eq!(open.pop(), Some(name), "{html}");
            }
            Token::String(_) => {}
            // A noncharacter is text like any other.
            Token::Error(error) if error.value == html5gum::Error::NoncharacterInInputStream => {}
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {
                panic!("{token:?} in {html}")
            }
        }
    }
    assert!(open.is_empty(), "{open:?} in {html}");
}

fn check(element: &str, attribute: &str, value: &str, html: &str) {
    let fine = match attribute {
        "href" => {
            element == "a"
                && (value.starts_with("#readme-")
                    || ["http:", "https:", "mailto:"].iter().any(|scheme| {
                        value
                            .get(..scheme.len())
                            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
                    }))
        }
        "rel" => element == "a" && value == "nofollow noopener noreferrer",
        "title" => ["a", "abbr", "acronym"].contains(&element),
        "id" => value.starts_with("readme-"),
        "class" => element == "code" && value.starts_with("language-") && !value.contains(' '),
        "align" => ["left", "center", "right", "justify"].contains(&value),
        "colspan" | "rowspan" | "start" => value.bytes().all(|b| b.is_ascii_digit() || b == b'+'),
        "open" => element == "details",
        _ => false,
    };
    assert!(fine, "{element} {attribute}={value:?} in {html}");
}
