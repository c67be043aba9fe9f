//! HTML of which only known elements are left, well nested and not too deep.
//!
//! It is read by a tokenizer, in time that grows with its length, and whatever is written was
//! written by the rules here: every element is closed, in order; rows are in tables, cells in rows,
//! and nothing else stands between them. So the parser behind this never has to find a place for
//! something that stands in a wrong one, which is what costs it time.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use crate::policy::{self, EVERYWHERE};
use crate::{MAX_HTML_LEN, NotRendered};

/// How deep elements may be nested. Beyond that they are left out, and what is in them stays.
const MAX_DEPTH: usize = 64;

/// Longest value of an attribute, in bytes. Browsers take URLs of this length.
const MAX_VALUE_LEN: usize = 8 * 1024;

/// Elements whose content is left out as well.
const WITH_CONTENT: &[&str] = &[
    "audio", "canvas", "iframe", "math", "noembed", "noframes", "noscript", "object", "script",
    "select", "style", "svg", "template", "textarea", "title", "video", "xmp",
];

/// Elements that have no end.
const VOID: &[&str] = &["br", "hr"];

/// Elements that end a paragraph.
const BLOCKS: &[&str] = &[
    "aside",
    "blockquote",
    "details",
    "div",
    "dl",
    "dd",
    "dt",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "ul",
];

/// Elements that are not looked out of: what is outside of a cell is not ended by what is inside.
const WALLS: &[&str] = &["td", "th", "caption"];

pub(crate) fn tidy(html: &str) -> Result<String, NotRendered> {
    let mut emitter = DefaultEmitter::default();
    // So that what a script or a style holds is not taken for markup.
    emitter.naively_switch_states(true);
    let mut tree = Tree {
        out: String::with_capacity(html.len()),
        open: Vec::new(),
        skipped: None,
    };
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => tree.start(&tag),
            Token::EndTag(tag) => tree.end(&tag.name),
            Token::String(text) => tree.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
        if tree.out.len() > MAX_HTML_LEN {
            return Err(NotRendered::HtmlTooLong);
        }
    }
    tree.close_to(0);
    Ok(tree.out)
}

/// Writes text so that it is nothing but text, also within quotes.
pub(crate) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            // HTML has no way to write them.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

struct Tree {
    out: String,
    /// The elements that are open, the innermost last.
    open: Vec<&'static str>,
    /// An element that is left out with its content, and how often it is open.
    skipped: Option<(Vec<u8>, u32)>,
}

impl Tree {
    fn start(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        if let Some((skipped, depth)) = &mut self.skipped {
            if *skipped == name && !tag.self_closing {
                *depth += 1;
            }
            return;
        }
        match name {
            b"img" => return self.image(tag),
            b"input" => return self.checkbox(tag),
            _ => {}
        }
        let Some((name, attributes)) = policy::element(name) else {
            if WITH_CONTENT.iter().any(|known| known.as_bytes() == name) && !tag.self_closing {
                self.skipped = Some((name.to_owned(), 1));
            }
            return;
        };
        self.make_room_for(name);
        if !self.takes(name) || self.open.len() >= MAX_DEPTH {
            return;
        }
        self.out.push('<');
        self.out.push_str(name);
        for attribute in EVERYWHERE.iter().chain(attributes) {
            self.attribute(tag, attribute);
        }
        if ["td", "th"].contains(&name) {
            self.alignment(tag);
        }
        self.out.push('>');
        if !VOID.contains(&name) {
            self.open.push(name);
        }
    }

    fn attribute(&mut self, tag: &StartTag<()>, name: &str) {
        let Some(value) = value(tag, name) else {
            return;
        };
        self.out.push_str(&format!(" {name}=\""));
        escape(&value, &mut self.out);
        self.out.push('"');
    }

    /// What Markdown says by a style.
    fn alignment(&mut self, tag: &StartTag<()>) {
        let style = value(tag, "style");
        let side = style
            .as_deref()
            .and_then(|style| style.strip_prefix("text-align: "));
        if let Some(side @ ("left" | "center" | "right")) = side {
            self.out.push_str(&format!(" align=\"{side}\""));
        }
    }

    /// An image becomes a link to it; within a link, what stands for it.
    fn image(&mut self, tag: &StartTag<()>) {
        let words = value(tag, "alt").filter(|alt| !alt.trim().is_empty());
        let words = words.unwrap_or_else(|| "image".to_owned());
        let source =
            value(tag, "src").filter(|_| !self.open.contains(&"a") && self.open.len() < MAX_DEPTH);
        if !self.takes("span") {
            return;
        }
        let Some(source) = source else {
            return self.text(&words);
        };
        self.out.push_str("<a href=\"");
        escape(&source, &mut self.out);
        self.out.push_str("\">");
        escape(&words, &mut self.out);
        self.out.push_str("</a>");
    }

    /// The box of a task list becomes a character.
    fn checkbox(&mut self, tag: &StartTag<()>) {
        if value(tag, "type").as_deref() == Some("checkbox") {
            let checked = tag.attributes.contains_key(b"checked".as_slice());
            self.text(if checked { "\u{2611}" } else { "\u{2610}" });
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        let spaces = text.chars().all(|c| c.is_ascii_whitespace());
        if spaces || self.takes("span") {
            escape(text, &mut self.out);
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((skipped, depth)) = &mut self.skipped {
            if *skipped == name {
                *depth -= 1;
                if *depth == 0 {
                    self.skipped = None;
                }
            }
            return;
        }
        let Some((name, _)) = policy::element(name) else {
            return;
        };
        let walls: &[&str] = match name {
            "table" => &[],
            "li" => &["ul", "ol", "td", "th", "caption"],
            _ if WALLS.contains(&name) || is_of_table(name) => &["table"],
            _ => WALLS,
        };
        if let Some(at) = self.innermost(&[name], walls) {
            self.close_to(at);
        }
    }

    /// Ends what cannot go on when `name` begins.
    fn make_room_for(&mut self, name: &'static str) {
        let (ended, within): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol", "td", "th", "caption"]),
            "dd" | "dt" => (&["dd", "dt"], &["dl", "td", "th", "caption"]),
            "td" | "th" => (&["td", "th"], &["table"]),
            "tr" => (&["tr", "caption"], &["table"]),
            "thead" | "tbody" | "tfoot" | "caption" => {
                (&["thead", "tbody", "tfoot", "tr", "caption"], &["table"])
            }
            _ => (&[], &[]),
        };
        if let Some(at) = self.outermost(ended, within) {
            self.close_to(at);
        }
        if BLOCKS.contains(&name)
            && let Some(at) = self.innermost(&["p"], WALLS)
        {
            self.close_to(at);
        }
        // A cell without a row is in a row of its own.
        let parent = self.open.last().copied().unwrap_or_default();
        if matches!(name, "td" | "th") && matches!(parent, "table" | "thead" | "tbody" | "tfoot") {
            self.out.push_str("<tr>");
            self.open.push("tr");
        }
    }

    /// Whether `name` may begin where we are.
    fn takes(&self, name: &str) -> bool {
        let parent = self.open.last().copied().unwrap_or_default();
        match parent {
            "table" => matches!(name, "caption" | "thead" | "tbody" | "tfoot" | "tr"),
            "thead" | "tbody" | "tfoot" => name == "tr",
            "tr" => matches!(name, "td" | "th"),
            _ if is_of_table(name) || WALLS.contains(&name) => false,
            // A link within a link, or a heading within a heading, ends the outer one in browsers.
            _ if name == "a" => !self.open.contains(&"a"),
            _ if is_heading(name) => !self.open.iter().any(|open| is_heading(open)),
            _ => true,
        }
    }

    /// Where the innermost of these elements is, unless one of `walls` is nearer.
    fn innermost(&self, names: &[&str], walls: &[&str]) -> Option<usize> {
        for (at, open) in self.open.iter().enumerate().rev() {
            if names.contains(open) {
                return Some(at);
            }
            if walls.contains(open) {
                return None;
            }
        }
        None
    }

    /// Where the outermost of these elements is on this side of `walls`.
    fn outermost(&self, names: &[&str], walls: &[&str]) -> Option<usize> {
        let mut found = None;
        for (at, open) in self.open.iter().enumerate().rev() {
            if names.contains(open) {
                found = Some(at);
            } else if walls.contains(open) {
                break;
            }
        }
        found
    }

    /// Closes elements until `depth` are open.
    fn close_to(&mut self, depth: usize) {
        for name in self.open.drain(depth..).rev() {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }
}

fn is_of_table(name: &str) -> bool {
    matches!(name, "thead" | "tbody" | "tfoot" | "tr")
}

fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

/// The value of an attribute, if it is not too long.
fn value(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    let fits = value.len() <= MAX_VALUE_LEN;
    fits.then(|| String::from_utf8_lossy(value).into_owned())
}
