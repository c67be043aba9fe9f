//! Descriptions that are meant to take long, or much memory.
//!
//! There is no clock in these tests: what grows with the square of these lengths does not end within
//! the time that a test run has.

use wheelmark_packaging::Markup;
use wheelmark_readme::{MAX_DESCRIPTION_LEN, MAX_HTML_LEN, NotRendered, render};

use super::{GITHUB, judge::judge};

/// A text of this piece again and again, as long as one may be.
fn again(piece: &str) -> String {
    piece.repeat(MAX_DESCRIPTION_LEN / piece.len())
}

#[test]
fn a_description_has_a_limit() {
    for markup in [GITHUB, Markup::Plain, Markup::ReStructuredText] {
        assert!(render(&again("a"), markup).is_ok());
        let length = MAX_DESCRIPTION_LEN + 1;
        let error = render(&"a".repeat(length), markup).unwrap_err();
        assert_eq!(error, NotRendered::TooLong { length });
        assert!(error.to_string().contains("2097153 bytes"));
    }
}

#[test]
fn all_that_grows_stays_within_its_limit() {
    // Rows that are filled up.
    let columns = MAX_DESCRIPTION_LEN / 12;
    let mut table = "x|".repeat(columns) + "\n" + &"-|".repeat(columns) + "\n";
    table += &"x\n".repeat((MAX_DESCRIPTION_LEN - table.len()) / 2);
    let link = format!("[a]: https://example.org/{}\n\n", "x".repeat(100_000));
    let links = link + &"[a]".repeat(500_000);
    for text in [table, links] {
        match render(&text, GITHUB) {
            Ok(html) => assert!(html.as_str().len() <= MAX_HTML_LEN * 2),
            Err(error) => assert_eq!(error, NotRendered::HtmlTooLong),
        }
    }
}

#[test]
fn nothing_takes_the_square_of_its_length() {
    let id = |n: usize| format!("<b id={n}>");
    let many_formats: String = (0..30_000).map(id).collect();
    let attributes: String = (0..60_000).map(|n| format!(" a{n}")).collect();
    let cases = [
        again("<div>"),
        again("<b>"),
        again("<p><b>"),
        again("<a href=x>"),
        again("<table>"),
        again("<table><b>"),
        again("<table><tr><td>"),
        format!("<table>{}", "<b></b>".repeat(60_000)),
        format!("{}{}", many_formats, "<p>".repeat(30_000)),
        format!("<a{attributes}>"),
        again("<li>"),
        again("</p>"),
        again("</b>"),
        again("> "),
        again("* "),
        again("["),
        again("[a]("),
        again("![a]("),
        again("<"),
        again("a <![CDATA["),
        again("a <!A "),
        again("a <?"),
        again("*a **a "),
        again("`a``b"),
        again("\\"),
        again("&"),
        again("# a\n"),
        again("#\n"),
        again("[^1]: a\n"),
        again("|a|\n|-|\n"),
        again("- a\n  - "),
        again("<svg>"),
        again("<script>"),
        again("<!--"),
    ];
    for text in cases {
        // An eighth of what is taken is enough to tell.
        let text: String = text.chars().take(MAX_DESCRIPTION_LEN / 8).collect();
        let begin: String = text.chars().take(20).collect();
        match render(&text, GITHUB) {
            Ok(html) => judge(html.as_str()),
            Err(error) => assert_eq!(error, NotRendered::HtmlTooLong, "{begin}"),
        }
    }
}
