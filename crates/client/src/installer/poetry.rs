//! Where poetry keeps the environments that it makes.
//!
//! That is in its cache, unless it is told otherwise; and its cache is another during a run.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::routes::Surroundings;

/// Stands in poetry's settings for its cache.
const CACHE: &str = "{cache-dir}";

/// The directory that poetry would use without us. `None` where it cannot be told.
#[must_use]
pub fn virtualenvs(around: &Surroundings<'_>) -> Option<PathBuf> {
    let own = settings(&around.directory.join("poetry.toml"), around);
    let above = || around.directory.ancestors().skip(1);
    let project = own
        .or_else(|| above().find_map(|directory| settings(&directory.join("poetry.toml"), around)));
    let user = configuration(around)
        .and_then(|directory| settings(&directory.join("config.toml"), around));
    let mut files = project.into_iter().chain(user);
    let (path, cache) = files.by_ref().fold((None, None), |(path, cache), file| {
        let setting = |value: Option<&Value>| Some(value?.as_str()?.to_owned());
        let nested = file.get("virtualenvs").and_then(|table| table.get("path"));
        (
            path.or_else(|| setting(nested)),
            cache.or_else(|| setting(file.get("cache-dir"))),
        )
    });
    let cache = around.set("POETRY_CACHE_DIR").or(cache).map(PathBuf::from);
    let cache = cache.or_else(|| usual_cache(around));
    let path = around.set("POETRY_VIRTUALENVS_PATH").or(path);
    let path = path.unwrap_or_else(|| format!("{CACHE}/virtualenvs"));
    if !path.contains(CACHE) {
        return Some(path.into());
    }
    Some(path.replace(CACHE, cache?.to_str()?).into())
}

fn settings(path: &Path, around: &Surroundings<'_>) -> Option<Table> {
    (around.read)(path)?.parse().ok()
}

fn configuration(around: &Surroundings<'_>) -> Option<PathBuf> {
    if let Some(named) = around.set("POETRY_CONFIG_DIR") {
        return Some(named.into());
    }
    if cfg!(target_os = "macos") {
        let home = around.set("HOME")?;
        return Some(Path::new(&home).join("Library/Application Support/pypoetry"));
    }
    Some(around.user_configuration?.join("pypoetry"))
}

fn usual_cache(around: &Surroundings<'_>) -> Option<PathBuf> {
    let home = || around.set("HOME").map(PathBuf::from);
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library/Caches/pypoetry"));
    }
    let caches = around.set("XDG_CACHE_HOME").map(PathBuf::from);
    Some(
        caches
            .or_else(|| Some(home()?.join(".cache")))?
            .join("pypoetry"),
    )
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], variables: &[(&str, &str)], expected: Option<&str>) {
        let found = |list: &[(&str, &str)], wanted: &str| {
            let row = list.iter().find(|(name, _)| *name == wanted);
            row.map(|(_, value)| (*value).to_owned())
        };
        let around = Surroundings {
            directory: Path::new("/src/project"),
            user_configuration: Some(Path::new("/home/.config")),
            variable: &|name| found(variables, name),
            exists: &|_| false,
            read: &|path| found(files, path.to_str().unwrap_or_default()),
        };
        assert_eq!(
            virtualenvs(&around),
            expected.map(PathBuf::from),
            "{files:?} {variables:?}"
        );
    }

    #[test]
    fn environments_stay_where_they_were() {
        let home = ("HOME", "/home");
        let user = "/home/.config/pypoetry/config.toml";
        check(&[], &[home], Some("/home/.cache/pypoetry/virtualenvs"));
        check(
            &[],
            &[home, ("XDG_CACHE_HOME", "/c")],
            Some("/c/pypoetry/virtualenvs"),
        );
        check(
            &[],
            &[home, ("POETRY_CACHE_DIR", "/p")],
            Some("/p/virtualenvs"),
        );
        check(&[], &[home, ("POETRY_VIRTUALENVS_PATH", "/v")], Some("/v"));
        check(
            &[(user, "cache-dir = \"/k\"\n[virtualenvs]\npath = \"/envs\"")],
            &[home, ("POETRY_VIRTUALENVS_PATH", "{cache-dir}/envs")],
            Some("/k/envs"),
        );
        check(&[], &[], None);
        check(
            &[(user, "cache-dir = \"/k\"")],
            &[home],
            Some("/k/virtualenvs"),
        );
        let path = "[virtualenvs]\npath = \"/envs\"";
        check(&[(user, path)], &[], Some("/envs"));
        check(
            &[("/src/poetry.toml", path), (user, "cache-dir = \"/k\"")],
            &[home],
            Some("/envs"),
        );
        let inside = "[virtualenvs]\npath = \"{cache-dir}/e\"";
        check(
            &[
                ("/src/project/poetry.toml", inside),
                (user, "cache-dir = \"/k\""),
            ],
            &[home],
            Some("/k/e"),
        );
        check(
            &[(user, "not toml")],
            &[home],
            Some("/home/.cache/pypoetry/virtualenvs"),
        );
    }
}
