//! What people write is shown as they meant it.

use wheelmark_packaging::{Dialect, Markup};
use wheelmark_readme::render;

use super::markdown;

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(markdown(text), expect, "{text:?}");
}

#[test]
fn markdown_is_rendered() {
    check(
        "# Demo 1.0\n\nDoes *this* and `that`, see <https://example.org/>.\n",
        "<h1 id=\"readme-demo-10\">Demo 1.0</h1>\n<p>Does <em>this</em> and <code>that</code>, see \
         <a href=\"https://example.org/\" rel=\"nofollow noopener noreferrer\">https://example.org/</a>.</p>",
    );
    check(
        "```python\nx < 1\n```\n",
        "<pre><code class=\"language-python\">x &lt; 1\n</code></pre>",
    );
    check(
        "- [x] done\n- [ ] not\n",
        "<ul>\n<li>\u{2611}\ndone</li>\n<li>\u{2610}\nnot</li>\n</ul>",
    );
    check(
        "|a|b|\n|-|-:|\n|1|2|\n",
        "<table><thead><tr><th>a</th><th align=\"right\">b</th></tr></thead><tbody>\n\
         <tr><td>1</td><td align=\"right\">2</td></tr>\n</tbody></table>",
    );
    check("~~no~~", "<p><del>no</del></p>");
    check(
        "3. c\n4. d\n",
        "<ol start=\"3\">\n<li>c</li>\n<li>d</li>\n</ol>",
    );
}

#[test]
fn a_table_of_contents_leads_to_the_headings() {
    check(
        "[How](#how-to-use-it)\n\n## How to *use* it?\n\n## How to use it\n",
        "<p><a href=\"#readme-how-to-use-it\" rel=\"nofollow noopener noreferrer\">How</a></p>\n\
         <h2 id=\"readme-how-to-use-it\">How to <em>use</em> it?</h2>\n\
         <h2 id=\"readme-how-to-use-it-1\">How to use it</h2>",
    );
}

#[test]
fn images_are_links_to_themselves() {
    let rel = "rel=\"nofollow noopener noreferrer\"";
    check(
        "![Logo](https://example.org/logo.png)",
        &format!("<p><a href=\"https://example.org/logo.png\" {rel}>Logo</a></p>"),
    );
    check(
        "[![Tests](https://ci.example/badge.svg)](https://ci.example/)",
        &format!("<p><a href=\"https://ci.example/\" {rel}>Tests</a></p>"),
    );
    check(
        "<p align=\"center\"><img src=\"https://example.org/a.png\" width=\"300\" onload=x></p>",
        &format!("<p align=\"center\"><a href=\"https://example.org/a.png\" {rel}>image</a></p>"),
    );
}

#[test]
fn html_in_markdown_is_kept_as_far_as_it_is_known() {
    check(
        "<details open>\n<summary>More</summary>\n\ntext\n\n</details>\n",
        "<details open=\"\">\n<summary>More</summary>\n<p>text</p>\n</details>",
    );
    check(
        "<table><td>one<td>two<tr><td>three</table>after\n",
        "<table><tbody><tr><td>one</td><td>two</td></tr><tr><td>three</td></tr></tbody></table>after",
    );
    check(
        "<ul><li>one<li>two</ul>\n",
        "<ul><li>one</li><li>two</li></ul>",
    );
    check("a <center>b</center> <blink>c</blink>\n", "<p>a b c</p>");
    check("<b>not closed\n", "<p><b>not closed</b></p>");
}

#[test]
fn links_that_lead_nowhere_are_text() {
    check(
        "[docs](docs/index.md)",
        "<p><a rel=\"nofollow noopener noreferrer\">docs</a></p>",
    );
    check(
        "[here](//evil.example/)",
        "<p><a rel=\"nofollow noopener noreferrer\">here</a></p>",
    );
}

#[test]
fn commonmark_has_no_extensions() {
    let html = render("~~a~~\n\n|a|\n|-|\n", Markup::Markdown(Dialect::CommonMark)).unwrap();
    assert_eq!(html.as_str(), "<p>~~a~~</p>\n<p>|a|\n|-|</p>\n");
}

#[test]
fn other_text_stands_as_it_was_written() {
    for markup in [Markup::Plain, Markup::ReStructuredText] {
        let html = render(
            "Title\n=====\n\n.. raw:: html\n\n   <script>'\"&\0\n",
            markup,
        )
        .unwrap();
        assert_eq!(
            html.as_str(),
            "<pre>Title\n=====\n\n.. raw:: html\n\n   &lt;script&gt;&#39;&quot;&amp;\u{fffd}\n</pre>"
        );
    }
}
