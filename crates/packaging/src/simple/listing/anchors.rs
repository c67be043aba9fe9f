//! The links of an HTML document, as a browser's tokenizer sees them.

use html5gum::{DefaultEmitter, Error, StartTag, Token, Tokenizer};

use super::ListingError;

/// What an HTML page has that matters here.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// `href` of the first `<base>` that has one.
    pub(super) base: Option<String>,
    /// Whether it names a version of the simple API 1.x (PEP 629).
    pub(super) declared: bool,
    /// Whether it ends where it should: not within a tag or a link, and behind `</html>` or
    /// `</body>` if it opens one of these.
    pub(super) whole: bool,
    /// Its links, in order.
    pub(super) anchors: Vec<Anchor>,
}

/// An `<a>` with an `href`.
#[derive(Debug, Default)]
pub(super) struct Anchor {
    pub(super) href: String,
    pub(super) text: String,
    pub(super) requires_python: Option<String>,
    pub(super) core_metadata: Option<String>,
    pub(super) yanked: Option<String>,
}

/// Longest text of a link that is kept, in bytes: a file's name.
const MAX_TEXT_LEN: usize = 512;

impl Document {
    /// Reads a document of at most `max_len` bytes and `max_anchors` links.
    pub(super) fn read(
        bytes: &[u8],
        max_len: usize,
        max_anchors: usize,
    ) -> Result<Document, ListingError> {
        if bytes.len() > max_len {
            return Err(ListingError::TooLong {
                length: bytes.len(),
                limit: max_len,
            });
        }
        let mut emitter = DefaultEmitter::default();
        // So that what a script or a style holds is not taken for markup.
        emitter.naively_switch_states(true);
        let mut document = Document::default();
        let mut inside = false;
        let (mut opened, mut closed, mut broken) = (false, false, false);
        for token in Tokenizer::new_with_emitter(bytes, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => match tag.name.as_slice() {
                    b"a" => {
                        inside = false;
                        if let Some(href) = attribute(&tag, b"href") {
                            if document.anchors.len() >= max_anchors {
                                return Err(ListingError::TooMany { limit: max_anchors });
                            }
                            document.anchors.push(anchor(&tag, href));
                            inside = true;
                        }
                    }
                    b"base" if document.base.is_none() => {
                        document.base = attribute(&tag, b"href");
                    }
                    b"meta" => document.declared |= declares(&tag),
                    b"html" | b"body" => opened = true,
                    _ => {}
                },
                Token::EndTag(tag) => match tag.name.as_slice() {
                    b"a" => inside = false,
                    b"html" | b"body" => closed = true,
                    _ => {}
                },
                Token::Error(error) => broken |= *error == Error::EofInTag,
                Token::String(text) if inside => {
                    if let Some(anchor) = document.anchors.last_mut()
                        && anchor.text.len() + text.len() <= MAX_TEXT_LEN
                    {
                        anchor.text.push_str(&String::from_utf8_lossy(&text));
                    }
                }
                _ => {}
            }
        }
        document.whole = !broken && !inside && (closed || !opened);
        Ok(document)
    }
}

fn anchor(tag: &StartTag<()>, href: String) -> Anchor {
    Anchor {
        // As browsers do with white space around a URL.
        href: href.trim().to_owned(),
        text: String::new(),
        requires_python: attribute(tag, b"data-requires-python"),
        // The later name first (PEP 714).
        core_metadata: attribute(tag, b"data-core-metadata")
            .or_else(|| attribute(tag, b"data-dist-info-metadata")),
        yanked: attribute(tag, b"data-yanked"),
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn declares(tag: &StartTag<()>) -> bool {
    let named = attribute(tag, b"name").is_some_and(|name| name == "pypi:repository-version");
    named && attribute(tag, b"content").is_some_and(|version| version.starts_with("1."))
}
