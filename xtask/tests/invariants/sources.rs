//! What the sources name: clocks, files, the environment and randomness, crate by crate.
//!
//! A crate's modules are walked from its root, as the compiler does, leaving out whatever
//! is compiled for tests alone. In each file the paths are gathered from its tokens
//! (`use` trees expanded), and a path is refused when a forbidden one is part of it.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{none, root};

/// What a core without input and output does not name: time, files, sockets, threads, the
/// environment, a runtime, randomness.
const CORE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "tokio",
    "rand",
    "getrandom",
    "SystemRandom",
    "tempfile",
    "KeyPair::generate",
];

/// What only the binary names: the wall clock, the environment, a source of randomness.
const BELOW_THE_BINARY: &[&str] = &[
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    "env::var",
    "env::var_os",
    "env::vars",
    "env::vars_os",
    "env::home_dir",
    "env::temp_dir",
    "env::current_dir",
    "env::args",
    "env::args_os",
    "SystemRandom",
    "rand::rng",
    "rand::random",
    "rand::thread_rng",
    "OsRng",
    "getrandom",
    "Ed25519KeyPair::generate",
];

/// The crates and what each must not name. `wheelmark` itself, the binary, may.
const RULES: [(&str, &[&str]); 15] = [
    ("tuf", CORE),
    ("packaging", CORE),
    ("ceremony", CORE),
    ("recovery", CORE),
    ("readme", CORE),
    ("provenance", CORE),
    ("signing", BELOW_THE_BINARY),
    ("objects", BELOW_THE_BINARY),
    ("store", BELOW_THE_BINARY),
    ("repository", BELOW_THE_BINARY),
    ("server", BELOW_THE_BINARY),
    ("client", BELOW_THE_BINARY),
    ("mirror", BELOW_THE_BINARY),
    ("adopt", BELOW_THE_BINARY),
    ("attest", BELOW_THE_BINARY),
];

/// A path as written, for example `std :: fs :: read`, and the line it begins on.
#[derive(Debug)]
struct Named {
    segments: Vec<String>,
    line: usize,
}

impl Named {
    /// Whether a forbidden path, or one that ends in it, is what was named: `std::fs` is
    /// part of `std::fs::read`, `Instant` of `std::time::Instant::now`.
    fn contains(&self, forbidden: &str) -> bool {
        let forbidden: Vec<&str> = forbidden.split("::").collect();
        self.segments.windows(forbidden.len()).any(|part| {
            // `KeyPair::generate` also stands for `Ed25519KeyPair::generate`.
            part[1..] == forbidden[1..]
                && (part[0] == forbidden[0]
                    || forbidden[0] == "KeyPair" && part[0].ends_with("KeyPair"))
        })
    }
}

/// A file's paths, and the modules that it declares and that are compiled outside tests.
#[derive(Debug, Default)]
struct Scan {
    named: Vec<Named>,
    /// Each with the inline modules around it.
    modules: Vec<Vec<String>>,
}

impl Scan {
    fn of(text: &str) -> Self {
        let mut scan = Self::default();
        let stream: TokenStream = text.parse().unwrap();
        scan.items(stream, &mut Vec::new());
        scan
    }

    fn items(&mut self, stream: TokenStream, within: &mut Vec<String>) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        let mut for_tests = false;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    let inner = usize::from(is_punct(tokens.get(at + 1), '!'));
                    if let Some(TokenTree::Group(attribute)) = tokens.get(at + 1 + inner) {
                        let is_test = is_cfg_test(attribute.stream());
                        if is_test && inner == 1 {
                            return; // the whole file, or block, is compiled for tests alone
                        }
                        for_tests |= is_test;
                        at += 2 + inner;
                        continue;
                    }
                    at += 1;
                }
                _ if for_tests => {
                    at = end_of_item(&tokens, at);
                    for_tests = false;
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = end_of_item(&tokens, at);
                    self.use_tree(&tokens[at + 1..end], &[]);
                    at = end;
                }
                TokenTree::Ident(word) if word == "mod" => {
                    let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else {
                        at += 1;
                        continue;
                    };
                    within.push(name.to_string());
                    match tokens.get(at + 2) {
                        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                            self.items(body.stream(), within);
                        }
                        _ => self.modules.push(within.clone()),
                    }
                    within.pop();
                    at += 3;
                }
                TokenTree::Ident(word) => {
                    let line = word.span().start().line;
                    let mut segments = vec![word.to_string()];
                    at += 1;
                    while let Some(next) = after_separator(&tokens, at) {
                        segments.push(next);
                        at += 3;
                    }
                    self.named.push(Named { segments, line });
                }
                TokenTree::Group(group) => {
                    self.items(group.stream(), within);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// `a::{b, c::d as e}` is `a::b` and `a::c::d`.
    fn use_tree(&mut self, tokens: &[TokenTree], before: &[String]) {
        for part in tokens.split(|token| is_punct(Some(token), ',')) {
            let mut segments = before.to_vec();
            let mut line = 0;
            let mut branched = false;
            for token in part {
                match token {
                    TokenTree::Ident(word) if word == "as" => break,
                    TokenTree::Ident(word) => {
                        line = word.span().start().line;
                        segments.push(word.to_string());
                    }
                    TokenTree::Group(group) => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.use_tree(&inner, &segments);
                        branched = true;
                    }
                    _ => {}
                }
            }
            if !branched && segments.len() > before.len() {
                self.named.push(Named { segments, line });
            }
        }
    }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// The identifier behind `::` at this place.
fn after_separator(tokens: &[TokenTree], at: usize) -> Option<String> {
    if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
        return None;
    }
    match tokens.get(at + 2) {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

/// Exactly `cfg(test)`; whatever else can also be compiled outside tests.
fn is_cfg_test(attribute: TokenStream) -> bool {
    attribute.to_string().replace(' ', "") == "cfg(test)"
}

/// What an item begins with; a field, a variant or an argument begins with its name.
const ITEMS: [&str; 16] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

/// The place behind an item, its braces or its semicolon, or behind a field and its comma.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let is = |words: &[&str]| matches!(&tokens[from], TokenTree::Ident(first) if words.iter().any(|word| first == word));
    let (is_use, is_item) = (is(&["use"]), is(&ITEMS));
    let end = tokens[from..].iter().position(|token| match token {
        TokenTree::Group(group) => !is_use && group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';' || !is_item && punct.as_char() == ',',
        _ => false,
    });
    end.map_or(tokens.len(), |end| from + end + 1)
}

/// Every file of a crate that is compiled outside tests, from its root on; and what could
/// not be read, as a module that a `path` attribute puts somewhere else.
fn files_of(crate_root: &Path) -> (Vec<(PathBuf, Scan)>, Vec<String>) {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    // A module's file and the folder that its own modules are in.
    let mut open = vec![(
        crate_root.to_owned(),
        crate_root.parent().unwrap().to_owned(),
    )];
    while let Some((file, folder)) = open.pop() {
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let scan = Scan::of(&text);
                for module in &scan.modules {
                    let inner: PathBuf = folder.join(module.join("/"));
                    open.push((inner.with_extension("rs"), inner));
                }
                files.push((file, scan));
            }
            Err(error) => unread.push(format!("{}: {error}", file.display())),
        }
    }
    (files, unread)
}

fn complaints(scan: &Scan, forbidden: &[&str]) -> Vec<(usize, String)> {
    let mut complaints = Vec::new();
    for named in &scan.named {
        if let Some(rule) = forbidden.iter().find(|rule| named.contains(rule)) {
            complaints.push((
                named.line,
                format!("names {} ({rule})", named.segments.join("::")),
            ));
        }
    }
    complaints
}

#[test]
fn only_the_binary_names_a_clock_the_environment_or_randomness() {
    let root = root();
    let mut found = Vec::new();
    for (name, forbidden) in RULES {
        let (files, unread) = files_of(&root.join(format!("crates/{name}/src/lib.rs")));
        found.extend(unread);
        for (file, scan) in files {
            let file = file.strip_prefix(&root).unwrap().display().to_string();
            for (line, complaint) in complaints(&scan, forbidden) {
                found.push(format!("{file}:{line} {complaint}"));
            }
        }
    }
    none(&found);
}

#[test]
fn every_library_crate_has_a_rule() {
    let mut unruled = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The others make keys, for tests alone.
        let outside = ["cli", "provenance-testing", "testing"].contains(&name.as_str());
        if !outside && !RULES.iter().any(|(ruled, _)| *ruled == name) {
            unruled.push(name);
        }
    }
    none(&unruled);
}

#[test]
fn modules_are_files_beside_their_folder_and_named_for_what_they_hold() {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates"), root().join("xtask")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if matches!(
                path.file_name().and_then(|name| name.to_str()),
                Some("mod.rs" | "util.rs" | "utils.rs" | "common.rs" | "helpers.rs" | "misc.rs")
            ) {
                found.push(path.display().to_string());
            }
        }
    }
    none(&found);
}

/// The lines that are complained about in a text.
fn lines(text: &str, forbidden: &[&str]) -> Vec<usize> {
    complaints(&Scan::of(text), forbidden)
        .into_iter()
        .map(|(line, _)| line)
        .collect()
}

#[test]
fn what_a_core_must_not_name_is_seen_in_every_spelling() {
    let text = "use std::{collections::BTreeMap, fs};\n\
                use std::time::{Duration, Instant as Stopwatch};\n\
                fn a() { let _ = jiff::Timestamp::now(); }\n\
                fn b() { std::env::var(\"HOME\"); }\n\
                use ::tokio;\n\
                fn c<T: std::io::Read>() { aws_lc_rs::rand::fill(&mut []); }\n\
                fn d() { vec![Zoned::now()] }\n\
                fn e() { Ed25519KeyPair::generate() }\n";
    assert_eq!(lines(text, CORE), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn comments_strings_and_other_names_are_not_complained_about() {
    let text = "//! Never std::fs, never Timestamp::now().\n\
                /// [`std::env::var`] is not for us.\n\
                fn a() -> &'static str { \"SystemTime::now()\" }\n\
                fn b(clock: &dyn Clock) { clock.now(); operand::rand_like(); }\n\
                use crate::fs_names::Instantly;\n";
    assert_eq!(lines(text, CORE), [0; 0]);
}

#[test]
fn what_is_compiled_for_tests_alone_is_left_out_and_nothing_more() {
    let text = "#[cfg(test)]\nmod tests { use std::fs; }\n\
                #[cfg(test)]\nuse std::env;\n\
                #[cfg(test)]\nfn only() { Timestamp::now(); }\n\
                #[cfg(not(test))]\nfn real() { Timestamp::now(); }\n\
                #[cfg(any(test, unix))]\nfn both() { Timestamp::now(); }\n\
                #[cfg(test)]\nmod elsewhere;\n\
                mod kept;\n\
                struct S { #[cfg(test)] a: u8, b: SystemTime }\n\
                mod inline { mod deeper; }\n";
    assert_eq!(lines(text, CORE), [8, 10, 14]);
    let modules = Scan::of(text).modules;
    assert_eq!(
        modules,
        [
            vec!["kept".to_owned()],
            vec!["inline".to_owned(), "deeper".to_owned()]
        ]
    );
}

#[test]
fn below_the_binary_a_stopwatch_is_allowed_and_a_clock_is_not() {
    let text = "fn a() { tokio::time::Instant::now(); }\n\
                fn b() { std::time::SystemTime::now(); }\n\
                fn c() { rand::rng(); }\n\
                fn d() { std::env::var_os(\"X\"); }\n";
    assert_eq!(lines(text, BELOW_THE_BINARY), [2, 3, 4]);
}
