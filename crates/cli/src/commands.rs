//! One module for each command.

pub(crate) mod attest;
pub(crate) mod ceremony;
pub(crate) mod completions;
pub(crate) mod cross_check;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod index;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod mirror;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod proxy;
pub(crate) mod publish;
pub(crate) mod recover;
pub(crate) mod release;
pub(crate) mod serve;
pub(crate) mod setup;
pub(crate) mod sign_tree;
pub(crate) mod snapshotter;
pub(crate) mod trust;
pub(crate) mod tuf;
pub(crate) mod up;
pub(crate) mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::context::Context;

/// The commands that install and verify.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Attest(Box<attest::Args>),
    Exec(exec::Args),
    Pip(exec::PipArgs),
    Uv(exec::UvArgs),
    Proxy(proxy::Args),
    Trust(trust::Args),
    Explain(explain::Args),
    Policy(policy::Args),
    Lock(lock::Args),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Project(project::Args),
    Publish(publish::Args),
    Release(release::Args),
    Setup(setup::Args),
    Verify(verify::Args),
    Mirror(Box<mirror::Args>),
    CrossCheck(cross_check::Args),
}

impl ClientCommand {
    /// Whether it stands beside a command of the person's, and ends with it.
    pub(crate) fn runs_another(&self) -> bool {
        matches!(self, Self::Exec(_) | Self::Pip(_) | Self::Uv(_))
    }

    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Attest(args) => attest::run(*args, context).await,
            Self::Exec(args) => exec::run(args, context).await,
            Self::Pip(args) => exec::run_pip(args, context).await,
            Self::Uv(args) => exec::run_uv(args, context).await,
            Self::Proxy(args) => proxy::run(args, context).await,
            Self::Trust(args) => trust::run(args, context).await,
            Self::Explain(args) => explain::run(args, context).await,
            Self::Policy(args) => policy::run(args, context),
            Self::Lock(args) => lock::run(args, context).await,
            Self::Login(args) => login::login(args, context).await,
            Self::Logout(args) => login::logout(args, context).await,
            Self::Project(args) => project::run(args, context).await,
            Self::Publish(args) => publish::run(args, context).await,
            Self::Release(args) => release::run(args, context).await,
            Self::Setup(args) => setup::run(args, context).await,
            Self::Verify(args) => verify::run(args, context).await,
            Self::Mirror(args) => mirror::run(*args, context).await,
            Self::CrossCheck(args) => cross_check::run(args, context).await,
        }
    }
}
