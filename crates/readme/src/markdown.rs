//! Markdown to HTML, whatever HTML stands in it included. Nothing is safe yet.

use std::collections::HashMap;
use std::fmt;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use wheelmark_packaging::Dialect;

use crate::{MAX_HTML_LEN, NotRendered};

/// Longest id of a heading, in characters.
const MAX_ID_LEN: usize = 64;

pub(crate) fn to_html(text: &str, dialect: Dialect) -> Result<String, NotRendered> {
    let options = match dialect {
        Dialect::CommonMark => Options::empty(),
        Dialect::GitHub => {
            Options::ENABLE_TABLES
                | Options::ENABLE_FOOTNOTES
                | Options::ENABLE_STRIKETHROUGH
                | Options::ENABLE_TASKLISTS
                | Options::ENABLE_GFM
        }
    };
    let mut out = Bounded(String::with_capacity(text.len() + text.len() / 2));
    let events = Named::new(Parser::new_ext(text, options));
    match html::write_html_fmt(&mut out, events) {
        Ok(()) => Ok(out.0),
        Err(fmt::Error) => Err(NotRendered::HtmlTooLong),
    }
}

/// A text that does not grow beyond [`MAX_HTML_LEN`]; who writes more is stopped.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_HTML_LEN {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// Events, in which each heading has an id made of its words: tables of contents link to these.
struct Named<'a, I> {
    events: I,
    /// What was read ahead.
    heading: std::vec::IntoIter<Event<'a>>,
    /// How often each id was given.
    given: HashMap<String, u32>,
}

impl<'a, I: Iterator<Item = Event<'a>>> Named<'a, I> {
    fn new(events: I) -> Self {
        Self {
            events,
            heading: Vec::new().into_iter(),
            given: HashMap::new(),
        }
    }

    fn id(&mut self, words: &str) -> Option<String> {
        let mut id = String::new();
        for c in words.trim().chars().take(MAX_ID_LEN) {
            match c {
                ' ' | '-' => id.push('-'),
                '_' => id.push('_'),
                c if c.is_alphanumeric() => id.extend(c.to_lowercase()),
                _ => {}
            }
        }
        if id.is_empty() {
            return None;
        }
        let times = self.given.entry(id.clone()).or_default();
        *times += 1;
        Some(match *times {
            1 => id,
            more => format!("{id}-{}", more - 1),
        })
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for Named<'a, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if let Some(event) = self.heading.next() {
            return Some(event);
        }
        let event = self.events.next()?;
        let Event::Start(Tag::Heading {
            level,
            classes,
            attrs,
            ..
        }) = event
        else {
            return Some(event);
        };
        let (mut within, mut words) = (Vec::new(), String::new());
        for event in self.events.by_ref() {
            if let Event::Text(text) | Event::Code(text) = &event {
                words.push_str(text);
            }
            let is_end = matches!(event, Event::End(TagEnd::Heading(_)));
            within.push(event);
            if is_end {
                break;
            }
        }
        self.heading = within.into_iter();
        let id = self.id(&words).map(CowStr::from);
        Some(Event::Start(Tag::Heading {
            level,
            id,
            classes,
            attrs,
        }))
    }
}
