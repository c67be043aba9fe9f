//! uv's own configuration files, without what `wheelmark setup` added to them.
//!
//! The proxy that those files name goes before the environment's, and uv has no variable that
//! takes one setting of theirs back. So for the run they are shown to it from another place:
//! a configuration directory in which everything else leads to the real one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use wheelmark_client::RunRoom;

use crate::commands::setup::marks;
use crate::logging::WithHint as _;

const UV: &str = "uv";
const FILE: &str = "uv.toml";

/// What uv reads during the run in the place of its own files.
#[derive(Default)]
pub(super) struct UvFiles {
    /// Variables that lead it there.
    pub(super) set: Vec<(String, OsString)>,
    /// Each file that setup edited, and its text without that.
    texts: Vec<(PathBuf, String)>,
}

impl UvFiles {
    /// Looks for what setup added; nothing is made where there is none of it.
    pub(super) fn without_setup(room: &RunRoom) -> anyhow::Result<Self> {
        let mut files = Self::default();
        let made = files.make(&room.configuration());
        made.context("uv's configuration could not be put aside for this run")?;
        Ok(files)
    }

    /// The text of a file as uv sees it, if it is another than that of the file.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        let row = self.texts.iter().find(|(file, _)| file == path);
        row.map(|(_, text)| text.clone())
    }

    fn make(&mut self, room: &Path) -> anyhow::Result<()> {
        if let Ok(dirs) = etcetera::choose_base_strategy() {
            let user = dirs.config_dir();
            let place = room.join("user");
            if self.edited(&user.join(UV).join(FILE), &place)? {
                link_all_but(UV, &user, &place)?;
                link_all_but(FILE, &user.join(UV), &place.join(UV))?;
                self.set.push(("XDG_CONFIG_HOME".to_owned(), place.into()));
            }
        }
        // uv reads the first one that is there.
        let named = std::env::var_os("XDG_CONFIG_DIRS").filter(|named| !named.is_empty());
        let named = named.unwrap_or_else(|| "/etc/xdg".into());
        let mut homes = std::env::split_paths(&named).chain(["/etc".into()]);
        let system = homes.find_map(|home| {
            let file = home.join(UV).join(FILE);
            file.is_file().then_some(file)
        });
        let place = room.join("system");
        if let Some(file) = system
            && self.edited(&file, &place)?
        {
            let mut first = place.into_os_string();
            first.push(":");
            first.push(named);
            self.set.push(("XDG_CONFIG_DIRS".to_owned(), first));
        }
        Ok(())
    }

    /// Writes the file below another place, if setup added to it.
    fn edited(&mut self, file: &Path, place: &Path) -> anyhow::Result<bool> {
        let Ok(text) = fs::read_to_string(file) else {
            return Ok(false);
        };
        let stripped = marks::strip(&text)
            .with_context(|| format!("{} cannot be read", file.display()))
            .hint("put the missing line back, or take out what setup added by hand")?;
        if stripped == text {
            return Ok(false);
        }
        fs::create_dir_all(place.join(UV))?;
        fs::write(place.join(UV).join(FILE), &stripped)?;
        self.texts.push((file.to_owned(), stripped));
        Ok(true)
    }
}

/// Links everything in a directory into another one, but for this name.
fn link_all_but(name: &str, from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != name {
            symlink(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
