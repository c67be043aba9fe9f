//! The checks that read the workspace and run none of its programs.

use anyhow::Context;

use crate::workspace::{EVERYTHING, Workspace, must};

/// The cargo-deny that `deny.toml` was written for.
///
/// It is compiled once and kept under the target directory: the only prebuilt one that a
/// package registry offers (0.14.2, as a Python package) panics on the package ids that
/// cargo writes since 1.77.
const CARGO_DENY: &str = "0.20.2";

/// `cargo fmt --check` over the workspace, and over the fuzz targets, which have their own.
pub(crate) fn fmt(workspace: &Workspace) -> anyhow::Result<()> {
    must(
        workspace.cargo().args(["fmt", "--all", "--check"]),
        "cargo fmt --check (mend with cargo fmt --all)",
    )?;
    must(
        workspace
            .cargo()
            .args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
        "cargo fmt --check in fuzz/",
    )
}

/// clippy over everything that is compiled, tests included, and over the fuzz targets, which
/// are a workspace of their own: what they use may have changed under them.
pub(crate) fn lint(workspace: &Workspace) -> anyhow::Result<()> {
    must(
        workspace
            .cargo()
            .args(["clippy", "--locked"])
            .args(EVERYTHING)
            .args(["--", "-D", "warnings"]),
        "cargo clippy",
    )?;
    must(
        workspace
            .cargo()
            .args(["clippy", "--locked", "--all-targets", "--no-deps"])
            .args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"])
            .arg(workspace.target())
            .args(["--", "-D", "warnings"]),
        "cargo clippy in fuzz/",
    )
}

/// The API documentation of the workspace's own crates.
pub(crate) fn docs(workspace: &Workspace) -> anyhow::Result<()> {
    must(
        workspace
            .cargo()
            .args([
                "doc",
                "--locked",
                "--workspace",
                "--all-features",
                "--no-deps",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"),
        "cargo doc",
    )
}

/// cargo-deny's licences, bans and sources, by `deny.toml`.
///
/// Its advisories need a database that is fetched by git at run time; they are not asked
/// for here.
pub(crate) fn licences(workspace: &Workspace) -> anyhow::Result<()> {
    let home = workspace.target().join("tools");
    let program = home.join(format!("bin/cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let installed = home.join("cargo-deny.version");
    if !program.is_file() || std::fs::read_to_string(&installed).ok().as_deref() != Some(CARGO_DENY)
    {
        // Unoptimised: it runs for two seconds, and compiles three times as fast.
        must(
            workspace
                .cargo()
                .args(["install", "cargo-deny", "--version", CARGO_DENY])
                .args([
                    "--locked",
                    "--debug",
                    "--force",
                    "--config",
                    "profile.dev.debug=false",
                    "--root",
                ])
                .arg(&home)
                .env("CARGO_TARGET_DIR", home.join("build")),
            "cargo install cargo-deny",
        )?;
        std::fs::write(&installed, CARGO_DENY)
            .with_context(|| format!("cannot write {}", installed.display()))?;
        // The compiled parts weigh hundreds of megabytes and are of no use to anything else.
        std::fs::remove_dir_all(home.join("build"))
            .context("cannot remove the build of cargo-deny")?;
    }
    must(
        workspace.command(&program).args([
            "--locked",
            "--all-features",
            "check",
            "licenses",
            "bans",
            "sources",
        ]),
        "cargo-deny",
    )
}

/// The architecture invariants, which also run with every `cargo test --workspace`.
pub(crate) fn invariants(workspace: &Workspace) -> anyhow::Result<()> {
    must(
        workspace.cargo().args([
            "test",
            "--locked",
            "--package",
            "xtask",
            "--test",
            "invariants",
        ]),
        "the invariants test",
    )
}
