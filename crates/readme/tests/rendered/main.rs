//! What descriptions become, and that nothing in them gets through that should not.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod hostile;
mod judge;
mod shown;
mod sizes;

use wheelmark_packaging::{Dialect, Markup};
use wheelmark_readme::render;

const GITHUB: Markup = Markup::Markdown(Dialect::GitHub);

#[track_caller]
fn markdown(text: &str) -> String {
    let html = render(text, GITHUB).unwrap();
    judge::judge(html.as_str());
    html.as_str().trim_end().to_owned()
}
