//! A project's description, made into HTML that can stand on any page.
//!
//! ```text
//!              Markdown ─▶ markdown ─▶ tidy ─────────────────▶ clean ─▶ Html
//!              (HTML in     headings    a known set of tags,    ammonia's own
//!               it as well) get ids     balanced, not too deep  judgement of all that
//!
//!  reStructuredText, plain text ─▶ escaped, as it stands ─────────────▶ Html
//! ```
//!
//! Whoever uploads a file chooses its description, and whoever reads the index's pages sees it. So
//! what comes out has no script, no form, no style and no frame; it loads nothing from anywhere, so
//! that no third party learns who reads (an image becomes a link to it); links lead to the web or to
//! a mail program, or within the description, and are marked `nofollow`; and its ids cannot be those
//! of the page around it.
//!
//! `tidy` bounds what `clean` gets: parsing HTML takes time and memory that grow with the square of
//! what a tag's attributes, unclosed elements and misplaced contents of tables can be, and after
//! `tidy` there is none of that. `clean` decides what is safe, by a parser that sees HTML as
//! browsers do, and would be right without `tidy`.
//!
//! Nothing here reads a clock, a file or a socket.

mod clean;
mod markdown;
mod policy;
mod tidy;

use std::fmt;

use wheelmark_packaging::Markup;

/// Longest description that is rendered, in bytes. The longest known ones (a project's whole change
/// log) are near one megabyte.
pub const MAX_DESCRIPTION_LEN: usize = 2 * 1024 * 1024;

/// Longest HTML that a description may become, in bytes. Text that has to be escaped can grow to
/// six times its length, and tables in Markdown to more, since rows that are cut short are filled up.
pub const MAX_HTML_LEN: usize = 16 * 1024 * 1024;

/// Why a description is not rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// It is longer than [`MAX_DESCRIPTION_LEN`].
    #[error("the description has {length} bytes, at most {MAX_DESCRIPTION_LEN} are rendered")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The HTML would be longer than [`MAX_HTML_LEN`].
    #[error("the description becomes more than {MAX_HTML_LEN} bytes of HTML")]
    HtmlTooLong,
}

impl NotRendered {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "shorten it, and link to the rest",
            Self::HtmlTooLong => "make its tables smaller",
        }
    }
}

/// HTML that is safe to put into an element of a page. It comes from [`render`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// The HTML.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Renders a description.
///
/// Markdown is rendered with tables, footnotes, task lists and struck text where it is GitHub's,
/// and without them where it is CommonMark. reStructuredText stands there as it was written: no
/// library for it is maintained in this language.
///
/// # Errors
///
/// [`NotRendered`], if it is too long.
pub fn render(description: &str, markup: Markup) -> Result<Html, NotRendered> {
    let length = description.len();
    if length > MAX_DESCRIPTION_LEN {
        return Err(NotRendered::TooLong { length });
    }
    match markup {
        Markup::Markdown(dialect) => {
            let html = markdown::to_html(description, dialect)?;
            Ok(Html(clean::clean(&tidy::tidy(&html)?)))
        }
        Markup::ReStructuredText | Markup::Plain => {
            let mut html = String::with_capacity(length + 16);
            html.push_str("<pre>");
            tidy::escape(description, &mut html);
            html.push_str("</pre>");
            Ok(Html(html))
        }
    }
}
