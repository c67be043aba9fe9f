//! The list of all projects.

use serde_json::{Map, Value};

use super::json::{self, JsonError, Members};
use super::{API_VERSION, Extra, html};
use crate::{NameError, ProjectName};

/// Longest accepted list, in bytes: several times that of the largest public index.
pub const MAX_LIST_LEN: usize = 256 * 1024 * 1024;

/// The list of all projects of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectList {
    /// The projects. Rendered sorted by name, whatever their order here.
    pub projects: Vec<ListedProject>,
    /// Members of `meta` besides the version.
    pub meta: Extra,
    /// Members of the list that are not known here.
    pub extra: Extra,
}

/// One project of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProject {
    /// Its name. The spelling that the list used is not kept.
    pub name: ProjectName,
    /// Members that are not known here.
    pub extra: Extra,
}

/// Why bytes are not a list of projects.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Not JSON of the right form.
    #[error("the list of projects cannot be read")]
    Json(#[from] JsonError),
    /// An entry's name is not a project name.
    #[error("the list names a project that cannot exist")]
    Name(#[source] NameError),
    /// Two entries for one project.
    #[error("the list names `{project}` twice")]
    Duplicate {
        /// The project.
        project: ProjectName,
    },
}

impl ProjectList {
    /// Parses the JSON form (PEP 691), any version 1.x.
    pub fn parse(bytes: &[u8]) -> Result<ProjectList, ListError> {
        let mut list = Members::of(json::parse(bytes, MAX_LIST_LEN)?, "list")?;
        let meta = list.take_meta()?;
        let entries = list
            .take_array("projects")?
            .ok_or(JsonError::Missing { member: "projects" })?;
        let mut projects = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut entry = Members::of(entry, "projects")?;
            let name = entry
                .need_string("name")?
                .parse()
                .map_err(ListError::Name)?;
            projects.push(ListedProject {
                name,
                extra: entry.rest(),
            });
        }
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        match projects
            .windows(2)
            .find(|pair| pair[0].name == pair[1].name)
        {
            Some(pair) => Err(ListError::Duplicate {
                project: pair[0].name.clone(),
            }),
            None => Ok(ProjectList {
                projects,
                meta,
                extra: list.rest(),
            }),
        }
    }

    /// Renders the JSON form, version 1.4: the same model gives the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut list: Map<String, Value> = self.extra.clone().into_iter().collect();
        let mut meta: Map<String, Value> = self.meta.clone().into_iter().collect();
        meta.insert("api-version".to_owned(), API_VERSION.into());
        list.insert("meta".to_owned(), meta.into());
        let projects = self.sorted().map(|project| {
            let mut entry: Map<String, Value> = project.extra.clone().into_iter().collect();
            entry.insert("name".to_owned(), project.name.as_str().into());
            Value::Object(entry)
        });
        list.insert("projects".to_owned(), projects.collect());
        json::render(&Value::Object(list))
    }

    /// Renders the HTML form, version 1.4, with links relative to the list's own URL.
    pub fn to_html(&self) -> String {
        html::list(self)
    }

    pub(super) fn sorted(&self) -> impl Iterator<Item = &ListedProject> {
        let mut projects: Vec<&ListedProject> = self.projects.iter().collect();
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        projects.into_iter()
    }
}

impl FromIterator<ProjectName> for ProjectList {
    fn from_iter<I: IntoIterator<Item = ProjectName>>(names: I) -> ProjectList {
        let projects = names.into_iter().map(|name| ListedProject {
            name,
            extra: Extra::new(),
        });
        ProjectList {
            projects: projects.collect(),
            ..ProjectList::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::ProjectList;
    use crate::ProjectName;

    /// Parses a list with these entries, and gives it back rendered.
    fn rendered(projects: &str) -> Result<String, String> {
        let list = format!(
            r#"{{"meta":{{"api-version":"1.0","_last-serial":7}},"projects":{projects},"x":1}}"#
        );
        match ProjectList::parse(list.as_bytes()) {
            Ok(list) => Ok(String::from_utf8(list.to_json()).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn is_sorted_and_normalised_and_keeps_what_it_does_not_know() {
        let projects = r#"[{"name":"Zope.Interface","_last-serial":3},{"name":"flask"}]"#;
        let expect = concat!(
            r#"{"meta":{"_last-serial":7,"api-version":"1.4"},"#,
            r#""projects":[{"name":"flask"},{"_last-serial":3,"name":"zope-interface"}],"x":1}"#,
        );
        assert_eq!(rendered(projects).as_deref(), Ok(expect));
        let projects = r#"[{"name":"flask"},{"_last-serial":3,"name":"zope-interface"}]"#;
        assert_eq!(rendered(projects).as_deref(), Ok(expect));
    }

    #[test]
    fn refuses_other_forms() {
        let told = |projects| rendered(projects).unwrap_err();
        assert_eq!(
            told(r#"[{"name":"a_b"},{"name":"A-B"}]"#),
            "the list names `a-b` twice"
        );
        assert_eq!(
            told(r#"[{"name":"../x"}]"#),
            "the list names a project that cannot exist"
        );
        assert_eq!(told(r#"[{}]"#), "the list of projects cannot be read");
        assert_eq!(told("{}"), "the list of projects cannot be read");
        assert_eq!(told("null"), "the list of projects cannot be read");
    }

    #[test]
    fn html_links_to_every_page() {
        let names = ["flask", "a_b"].map(|name| name.parse::<ProjectName>().unwrap());
        let html = names.into_iter().collect::<ProjectList>().to_html();
        let links = "<h1>Projects</h1>\n<a href=\"a-b/\">a-b</a><br>\n<a href=\"flask/\">flask</a><br>\n</body>";
        assert!(html.contains(links), "{html}");
    }
}
