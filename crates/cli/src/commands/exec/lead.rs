//! How a command is led to the proxy: its mode, and what it is given for it.

use std::path::PathBuf;
use std::sync::Arc;

use wheelmark_client::installer::{
    ConnectSettings, Environment, Mode, ModeChoice, Settings, environment, poetry_virtualenvs,
};
use wheelmark_client::{Connect, Homes, Proxy, RunRoom};

use super::{around_here, roots};
use crate::context::Context;
use crate::homes::tunnels;

/// What one command is led by.
pub(super) struct Lead {
    index_url: String,
    proxy_url: String,
    /// The certificates to trust, in connect mode.
    bundle: Option<PathBuf>,
}

impl Lead {
    /// Makes the proxy ready for the mode.
    pub(super) fn new(
        choice: &ModeChoice,
        proxy: Proxy,
        homes: &Homes,
        room: &RunRoom,
        context: &Context,
    ) -> anyhow::Result<(Self, Proxy)> {
        let proxy_url = proxy.proxy_url();
        if choice.mode == Mode::Index {
            let lead = Self {
                index_url: proxy.index_url(),
                proxy_url,
                bundle: None,
            };
            return Ok((lead, proxy));
        }
        let connect = Connect::new(homes, tunnels(context)?, context.clock.now())?;
        let certificates = connect.authority().bundle(&roots::trusted());
        let lead = Self {
            index_url: homes.usual().index().urls().simple().to_string(),
            proxy_url,
            bundle: Some(room.write_bundle(&certificates)?),
        };
        Ok((lead, proxy.with_connect(Arc::new(connect))))
    }

    /// The environment for the command.
    pub(super) fn environment(&self, room: &RunRoom) -> anyhow::Result<Environment> {
        let virtualenvs = around_here(poetry_virtualenvs)?;
        let caches = room.caches();
        Ok(environment(Settings {
            index_url: &self.index_url,
            proxy_url: &self.proxy_url,
            uv_cache: &room.uv_cache(),
            git_settings: git_settings(),
            connect: self.bundle.as_deref().map(|bundle| ConnectSettings {
                bundle,
                caches: &caches,
                poetry_virtualenvs: virtualenvs.as_deref(),
            }),
        }))
    }
}

/// How many of git's settings the environment holds. A count that git itself refuses is none.
fn git_settings() -> u32 {
    let count = std::env::var("GIT_CONFIG_COUNT").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}
