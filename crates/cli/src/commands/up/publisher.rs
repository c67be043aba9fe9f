//! The snapshot process that `wheelmark up` starts beside itself, and looks after.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::commands::snapshotter::READY;
use crate::context::Context;

/// How long to wait before it is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// The snapshot process, running.
pub(super) struct Publisher {
    child: Child,
    /// It ends when this does.
    input: Option<ChildStdin>,
    how: How,
}

/// How it is started.
pub(super) struct How {
    arguments: Vec<OsString>,
}

impl How {
    pub(super) fn new(
        data: &Path,
        online_key: Option<&Path>,
        signing_log: Option<&str>,
        external_url: Option<&str>,
        context: &Context,
    ) -> Self {
        let mut arguments: Vec<OsString> = vec!["snapshotter".into(), "--supervised".into()];
        arguments.extend(["--data".into(), data.into()]);
        if let Some(key) = online_key {
            arguments.extend(["--online-key".into(), key.into()]);
        }
        if let Some(place) = signing_log {
            arguments.extend(["--signing-log".into(), place.into()]);
        }
        if let Some(url) = external_url {
            arguments.extend(["--external-url".into(), url.into()]);
        }
        arguments.extend((0..context.verbose).map(|_| "-v".into()));
        Self { arguments }
    }
}

impl Publisher {
    /// Starts it and waits until it publishes; `None` if it ended before, and has said why.
    pub(super) async fn start(how: How) -> anyhow::Result<Option<Self>> {
        let own = std::env::current_exe().context("this program cannot find itself")?;
        // From this thread, which lives as long as the process: the child ends with it.
        let mut child = Command::new(own)
            .args(&how.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the snapshot process could not be started")?;
        let input = child.stdin.take();
        let said = child.stdout.take().context("it was started with a pipe")?;
        let line = BufReader::new(said).lines().next_line().await?;
        if line.as_deref() == Some(READY) {
            return Ok(Some(Self { child, input, how }));
        }
        child.wait().await?;
        Ok(None)
    }

    /// Waits until it ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Starts it anew after it has ended; `None` if it does not come up.
    pub(super) async fn again(self) -> anyhow::Result<Option<Self>> {
        tokio::time::sleep(PAUSE).await;
        Self::start(self.how).await
    }

    /// Lets it finish what it is at, and waits for its end.
    pub(super) async fn stop(mut self) -> std::io::Result<ExitStatus> {
        drop(self.input.take());
        self.child.wait().await
    }
}
