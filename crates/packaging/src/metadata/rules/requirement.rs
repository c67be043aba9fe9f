//! Requirements: `NAME[EXTRAS] VERSIONS; MARKER` (PEP 508), and the names of extras.
//!
//! They are checked and not kept: nothing here resolves anything.

use std::str::FromStr;

use pep440_rs::VersionSpecifiers;

use super::RuleError;
use crate::CoreMetadata;

/// Deepest nesting of parentheses in a marker. Markers that people write have one or two.
const MAX_DEPTH: usize = 32;

/// What is wrong with a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// It does not begin with a name.
    #[error("it does not begin with a project's name")]
    Name,
    /// The list of extras is malformed.
    #[error("its extras are not a list of names in brackets")]
    Extras,
    /// The versions are malformed.
    #[error("its versions do not follow PEP 440")]
    Versions,
    /// The marker is malformed.
    #[error("its marker is malformed")]
    Marker,
}

/// What of PEP 508 a requirement uses.
#[derive(PartialEq, Eq)]
enum Form {
    Versions,
    Url,
}

impl CoreMetadata {
    pub(super) fn check_requirements(&self) -> Result<(), RuleError> {
        for field in ["Requires-Dist", "Provides-Dist", "Obsoletes-Dist"] {
            for requirement in self.all(field) {
                match parse(requirement) {
                    Ok(Form::Versions) => {}
                    Ok(Form::Url) => {
                        return Err(RuleError::DirectRequirement {
                            field,
                            requirement: shortened(requirement),
                        });
                    }
                    Err(source) => {
                        return Err(RuleError::Requirement {
                            field,
                            requirement: shortened(requirement),
                            source,
                        });
                    }
                }
            }
        }
        for name in self.all("Provides-Extra") {
            let mut rest = Rest(name);
            if rest.name().is_none() || !rest.0.is_empty() {
                return Err(RuleError::Extra {
                    name: shortened(name),
                });
            }
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn parse(requirement: &str) -> Result<Form, RequirementError> {
    let mut rest = Rest(requirement.trim());
    rest.name().ok_or(RequirementError::Name)?;
    rest.space();
    if rest.take("[") {
        rest.extras().ok_or(RequirementError::Extras)?;
        rest.space();
    }
    if rest.take("@") {
        return Ok(Form::Url);
    }
    // No version specifier has a semicolon in it.
    let (versions, marker) = match rest.0.split_once(';') {
        // Some tools end with a semicolon.
        Some((versions, "")) => (versions.trim(), None),
        Some((versions, marker)) => (versions.trim(), Some(marker)),
        None => (rest.0.trim(), None),
    };
    let versions = match versions.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')').ok_or(RequirementError::Versions)?,
        None => versions,
    };
    let clauses = versions.split(',').map(str::trim);
    // A comma at the end is common, and `===` takes anything.
    let clauses: Vec<&str> = clauses
        .filter(|clause| !clause.is_empty() && !is_arbitrary(clause))
        .collect();
    if !clauses.is_empty() && VersionSpecifiers::from_str(&clauses.join(",")).is_err() {
        return Err(RequirementError::Versions);
    }
    match marker {
        None => Ok(Form::Versions),
        Some(marker) => {
            let mut rest = Rest(marker);
            let whole = rest.marker(0).is_some() && {
                rest.space();
                rest.0.is_empty()
            };
            if whole {
                Ok(Form::Versions)
            } else {
                Err(RequirementError::Marker)
            }
        }
    }
}

fn is_arbitrary(clause: &str) -> bool {
    let version = clause.strip_prefix("===").map(str::trim);
    version.is_some_and(|version| {
        !version.is_empty() && !version.contains(|c: char| c.is_whitespace() || c == ')')
    })
}

/// What is left of the text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn while_in(&mut self, allowed: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !allowed(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// A name of a project or an extra.
    fn name(&mut self) -> Option<&'a str> {
        let name = self.while_in(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        (edge(name.chars().next()) && edge(name.chars().next_back())).then_some(name)
    }

    /// Names behind an opening bracket, and the closing one.
    fn extras(&mut self) -> Option<()> {
        self.space();
        if self.take("]") {
            return Some(());
        }
        loop {
            self.name()?;
            self.space();
            if self.take("]") {
                return Some(());
            }
            if !self.take(",") {
                return None;
            }
            self.space();
        }
    }

    /// Comparisons joined with `and` and `or`.
    fn marker(&mut self, depth: usize) -> Option<()> {
        loop {
            self.space();
            if self.take("(") {
                if depth == MAX_DEPTH {
                    return None;
                }
                self.marker(depth + 1)?;
                self.space();
                if !self.take(")") {
                    return None;
                }
            } else {
                self.operand()?;
                self.operator()?;
                self.operand()?;
            }
            self.space();
            if !self.word("and") && !self.word("or") {
                return Some(());
            }
        }
    }

    /// A quoted text, or the name of something in the environment.
    fn operand(&mut self) -> Option<()> {
        self.space();
        for quote in ["'", "\""] {
            if self.take(quote) {
                let (_, rest) = self.0.split_once(quote)?;
                self.0 = rest;
                return Some(());
            }
        }
        let name = self.while_in(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
        ENVIRONMENT.contains(&name).then_some(())
    }

    fn operator(&mut self) -> Option<()> {
        self.space();
        for operator in ["===", "==", "~=", "!=", "<=", ">=", "<", ">"] {
            if self.take(operator) {
                return Some(());
            }
        }
        if self.word("not") {
            self.space();
        }
        self.word("in").then_some(())
    }

    /// A word that no letter follows.
    fn word(&mut self, word: &str) -> bool {
        let after = self.0.strip_prefix(word);
        let ends = |rest: &&str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        match after.filter(ends) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

/// What a marker can ask for (PEP 508, PEP 751), with the spellings of PEP 345.
const ENVIRONMENT: [&str; 20] = [
    "python_version",
    "python_full_version",
    "os_name",
    "sys_platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform_machine",
    "platform_python_implementation",
    "implementation_name",
    "implementation_version",
    "extra",
    "extras",
    "dependency_groups",
    "os.name",
    "sys.platform",
    "platform.version",
    "platform.machine",
    "platform.python_implementation",
    "python_implementation",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(requirement: &str, expect: &str) {
        let told = match parse(requirement) {
            Ok(Form::Versions) => "ok".to_owned(),
            Ok(Form::Url) => "url".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expect, "{requirement:?}");
    }

    #[test]
    fn what_tools_write_is_accepted() {
        for requirement in [
            "a",
            "a.b-c_d9",
            "name (>=1.0)",
            "name (>=1.0,<2)",
            "name<=1!2.0,!=3.*;",
            "name[x]",
            "name[ x , y ] >=1",
            "name[]",
            "name>=1,",
            "name===weird-thing",
            "name; python_version < '3.8'",
            "name ; extra == \"x\" and (os_name=='nt' or sys_platform == \"win32\")",
            "name>=1.2; python_version not in '2.7, 3.0' and 'linux' in sys_platform",
            "name; platform_python_implementation!='PyPy'and python_version>='3'",
            "name~=1.4.2 ; implementation_name == \"cpython\"",
            "name; os.name == 'nt'",
            "importlib-metadata>=3.6; python_version<\"3.10\"",
        ] {
            check(requirement, "ok");
        }
        check("name @ https://example.com/name.whl", "url");
        check("name[x]@git+ssh://git@example.com/x ; extra == 'y'", "url");
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for requirement in ["", ">=1", "-a", "a-", "_x>=1", "ä"] {
            check(requirement, "it does not begin with a project's name");
        }
        for requirement in ["a[x", "a[x y]", "a[,]", "a[x,]", "a[-]"] {
            check(
                requirement,
                "its extras are not a list of names in brackets",
            );
        }
        for requirement in [
            "a b", "a >=", "a (>=1", "a >=1 <2", "a 1.0", "a>=1.*", "a ==one", "a=== b c",
        ] {
            check(requirement, "its versions do not follow PEP 440");
        }
        for requirement in [
            "a; x",
            "a; python_version",
            "a; python_version >",
            "a; python_version > '3",
            "a; python > '3'",
            "a; (python_version > '3'",
            "a; python_version > '3')",
            "a; python_version > '3' and",
            "a; python_version > '3' x",
            "a; python_version not '3'",
            "a; extra == 'x'; extra == 'y'",
        ] {
            check(requirement, "its marker is malformed");
        }
        let deep = |depth| format!("a; {}extra=='x'{}", "(".repeat(depth), ")".repeat(depth));
        check(&deep(MAX_DEPTH), "ok");
        check(&deep(MAX_DEPTH + 1), "its marker is malformed");
        check(&deep(100_000), "its marker is malformed");
    }
}
