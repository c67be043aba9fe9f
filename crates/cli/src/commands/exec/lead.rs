//! How a command is led to the proxy: its mode, and what it is given for it.

use std::path::PathBuf;
use std::sync::Arc;

use wheelmark_client::installer::{
    ConnectSettings, Environment, LinkMode, Mode, ModeChoice, Settings, environment,
    poetry_virtualenvs,
};
use wheelmark_client::{Connect, Homes, Proxy, RoomError, RunRoom};

use super::{around_here, roots};
use crate::context::Context;
use crate::homes::tunnels;

/// What one command is led by.
pub(super) struct Lead {
    index_url: String,
    proxy_url: String,
    /// The certificates to trust, by variable, in connect mode.
    bundles: Option<Vec<(&'static str, PathBuf)>>,
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
                bundles: None,
            };
            return Ok((lead, proxy));
        }
        let connect = Connect::new(homes, tunnels(context)?, context.clock.now())?;
        let authority = connect.authority();
        let bundles = roots::trusted().into_iter().map(|(name, trusted)| {
            let file = room.write_bundle(name, &authority.bundle(&trusted))?;
            Ok((name, file))
        });
        let lead = Self {
            index_url: homes.usual().index().urls().simple().to_string(),
            proxy_url,
            bundles: Some(bundles.collect::<Result<_, RoomError>>()?),
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
            caches: &caches,
            poetry_virtualenvs: virtualenvs.as_deref(),
            link_mode: LinkMode::chosen(std::env::var("UV_LINK_MODE").ok().as_deref()),
            git_settings: git_settings(),
            connect: self
                .bundles
                .as_deref()
                .map(|bundles| ConnectSettings { bundles }),
        }))
    }
}

/// How many of git's settings the environment holds. A count that git itself refuses is none.
fn git_settings() -> u32 {
    let count = std::env::var("GIT_CONFIG_COUNT").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}
