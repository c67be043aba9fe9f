//! A `Verified` value cannot be made outside the module that verifies.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{none, root};

/// What is wrong with how a file declares `Verified`, or `None` if it does not declare it.
fn complaints(text: &str) -> Option<Vec<String>> {
    let stream: TokenStream = text.parse().unwrap();
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let at = tokens.windows(2).position(|pair| {
        matches!(pair, [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "struct" && name == "Verified")
    })?;
    let mut complaints = Vec::new();
    // Its fields: the first group behind the name.
    let fields = tokens[at..].iter().find_map(|token| match token {
        TokenTree::Group(group) => Some(group.stream().to_string()),
        _ => None,
    });
    match fields {
        Some(fields) if fields.split_whitespace().any(|word| word == "pub") => {
            complaints.push("a field of Verified is public".to_owned());
        }
        Some(_) => {}
        None => complaints.push("Verified has no fields".to_owned()),
    }
    // Its attributes: the groups before the name, back to the item before it.
    for token in tokens[..at].iter().rev() {
        match token {
            TokenTree::Group(attribute) => {
                let attribute = attribute.stream().to_string();
                for made in ["Deserialize", "Default"] {
                    if attribute.contains(made) {
                        complaints.push(format!(
                            "Verified derives {made}, which makes one without verifying"
                        ));
                    }
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '#' => {}
            TokenTree::Ident(word) if word == "pub" => {}
            _ => break,
        }
    }
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token, TokenTree::Ident(word) if word == "impl") {
            complaints.extend(implementation_complaints(&tokens[at + 1..]));
        }
    }
    Some(complaints)
}

/// What is wrong with one `impl` block, given what comes behind the word: a way to make a
/// `Verified` out of something else that other modules can call.
fn implementation_complaints(tokens: &[TokenTree]) -> Option<String> {
    let body = tokens.iter().position(
        |token| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace),
    )?;
    let TokenTree::Group(block) = &tokens[body] else {
        return None;
    };
    let head: Vec<String> = tokens[..body].iter().map(ToString::to_string).collect();
    let (made_by, of) = match head.iter().position(|word| word == "for") {
        Some(at) => (Some(&head[..at]), &head[at + 1..]),
        None => (None, &head[..]),
    };
    if !of.iter().any(|word| word == "Verified") {
        return None;
    }
    if let Some(name) = made_by {
        let conversion = ["From", "TryFrom", "Default", "Deserialize", "FromStr"];
        let named = name
            .iter()
            .find(|word| conversion.contains(&word.as_str()))?;
        return Some(format!(
            "Verified implements {named}, which makes one without verifying"
        ));
    }
    let inner: Vec<TokenTree> = block.stream().into_iter().collect();
    let word = |at: usize, wanted: &str| matches!(inner.get(at), Some(TokenTree::Ident(word)) if word == wanted);
    for at in (0..inner.len()).filter(|&at| word(at, "pub")) {
        let function =
            (at + 1..inner.len()).find(|&next| !(word(next, "const") || word(next, "async")))?;
        let arguments = inner[function..].iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                Some(group.stream())
            }
            _ => None,
        });
        let takes_self = |arguments: TokenStream| {
            arguments
                .into_iter()
                .any(|token| token.to_string() == "self")
        };
        if word(function, "fn") && !arguments.is_some_and(takes_self) {
            return Some(format!(
                "Verified has a public constructor: {}",
                inner[function + 1]
            ));
        }
    }
    None
}

#[test]
fn verified_can_only_be_made_where_it_is_verified() {
    let mut declared = 0;
    let mut open = vec![root().join("crates")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let Some(found) = complaints(&std::fs::read_to_string(&path).unwrap())
            {
                declared += 1;
                none(&found);
            }
        }
    }
    // Of metadata in `tuf`, of attestations in `provenance`.
    assert_eq!(declared, 2, "Verified is declared twice");
}

#[test]
fn a_verified_that_anyone_can_make_would_be_seen() {
    assert_eq!(complaints("pub struct Other(pub u8);"), None);
    assert_eq!(
        complaints("/// Good.\n#[derive(Debug)] pub struct Verified<T>(T);"),
        Some(vec![])
    );
    let open = complaints("#[derive(Clone, Deserialize)] pub struct Verified<T> { pub inner: T }")
        .unwrap();
    assert_eq!(open.len(), 2, "{open:?}");

    let with = |implementation: &str| {
        complaints(&format!("pub struct Verified<T>(T); {implementation}")).unwrap()
    };
    assert_eq!(
        with("impl<T> Verified<T> { fn new(t: T) -> Self { Self(t) } }"),
        [""; 0]
    );
    assert_eq!(
        with("impl<T> Verified<T> { pub fn into_inner(self) -> T { self.0 } }"),
        [""; 0]
    );
    assert_eq!(
        with("impl<T> Verified<T> { pub const fn new(t: T) -> Self { Self(t) } }").len(),
        1
    );
    assert_eq!(
        with("impl<T> From<T> for Verified<T> { fn from(t: T) -> Self { Self(t) } }").len(),
        1
    );
    assert_eq!(
        with("impl<T> Deref for Verified<T> { type Target = T; }"),
        [""; 0]
    );
}
