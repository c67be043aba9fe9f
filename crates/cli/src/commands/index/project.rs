//! `wheelmark index project`: whose projects are whose.

use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Member, Role, RoleError, Store, UserName};

use super::account::operator;
use super::table::{minute, table};
use super::{certificate, end_recovery, unclaim};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Say whose projects are whose
///
/// Whoever uploads the first file of a project owns it. Owners and maintainers may upload to it;
/// owners are those to ask.
///
///   wheelmark index project show flask
///   wheelmark index project create acme-tools --owner alice
///   wheelmark index project maintainer add flask bob
///   wheelmark index project owner remove flask alice
///   wheelmark index project certificate add flask maintainer.asc
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the projects with their owners
    List {
        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show who has a part in a project
    Show {
        /// The project
        project: ProjectName,

        /// Print a JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Keep a name for somebody before there are files
    Create {
        /// The project
        project: ProjectName,

        /// Whose it will be
        #[arg(long, value_name = "NAME")]
        owner: UserName,
    },
    /// Add and remove owners
    Owner {
        #[command(subcommand)]
        change: Change,
    },
    /// Add and remove maintainers
    Maintainer {
        #[command(subcommand)]
        change: Change,
    },
    Certificate(certificate::Args),
    Unclaim(unclaim::Args),
    EndRecovery(end_recovery::Args),
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Add somebody, whatever they were before
    Add {
        /// The project
        project: ProjectName,
        /// Who
        user: UserName,
    },
    /// Remove somebody; a project keeps one owner at least
    Remove {
        /// The project
        project: ProjectName,
        /// Who
        user: UserName,
    },
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    if let Command::Certificate(args) = args.command {
        return certificate::run(args, data, context).await;
    }
    if let Command::Unclaim(args) = args.command {
        return unclaim::run(&args, data, context).await;
    }
    if let Command::EndRecovery(args) = args.command {
        return end_recovery::run(&args, data, context).await;
    }
    let store = Store::open(&data.catalogue()).await?;
    match args.command {
        Command::List { json } => list(&store, json).await?,
        Command::Show { project, json } => show(&store, &project, json).await?,
        Command::Create { project, owner } => {
            let (now, by) = (context.clock.now(), operator());
            let created = store.create_project(&project, &owner, &by, now).await;
            created.or_else(explained)?;
            print_line(&format!("{project} is {owner}'s from now on."))?;
        }
        Command::Owner { change } => apply(&store, Role::Owner, change, context).await?,
        Command::Certificate(_) | Command::Unclaim(_) | Command::EndRecovery(_) => {
            unreachable!("done above")
        }
        Command::Maintainer { change } => apply(&store, Role::Maintainer, change, context).await?,
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn apply(store: &Store, role: Role, change: Change, context: &Context) -> anyhow::Result<()> {
    let (now, by) = (context.clock.now(), operator());
    match change {
        Change::Add { project, user } => {
            let members = store.members(&project).await?.unwrap_or_default();
            let before = members.iter().find(|member| member.user == user);
            let granted = store.grant_role(&project, &user, role, &by, now).await;
            let more = match (granted.or_else(explained)?, before) {
                (false, _) => " already".to_owned(),
                (true, Some(before)) => format!(", and its {} no longer", before.role),
                (true, None) => String::new(),
            };
            print_line(&format!("{user} is {role} of {project}{more}."))
        }
        Change::Remove { project, user } => {
            let revoked = store.revoke_role(&project, &user, role, &by, now).await;
            revoked.or_else(explained)?;
            print_line(&format!("{user} is no {role} of {project} any more."))
        }
    }
}

/// The error with what to do.
fn explained<T>(error: RoleError) -> anyhow::Result<T> {
    let hint = match &error {
        RoleError::ProjectExists { project } => {
            format!("to add an owner: wheelmark index project owner add {project} NAME")
        }
        RoleError::NoProject { project } => {
            format!(
                "to keep the name for somebody: wheelmark index project create {project} --owner NAME"
            )
        }
        RoleError::NoUser { name } => format!("add them first: wheelmark index user add {name}"),
        RoleError::NotMember { project, .. } => {
            format!("`wheelmark index project show {project}` says who is what")
        }
        RoleError::LastOwner { project, .. } => {
            format!("add another first: wheelmark index project owner add {project} NAME")
        }
        RoleError::Store(_) => return Err(error.into()),
    };
    Err(error).hint(hint)
}

fn names(members: &[Member], role: Role) -> Vec<&str> {
    let of_role = members.iter().filter(|member| member.role == role);
    of_role.map(|member| member.user.as_str()).collect()
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let mut projects = Vec::new();
    for (project, files) in store.all_projects().await? {
        let members = store.members(&project).await?.unwrap_or_default();
        projects.push((project, files, members));
    }
    if json {
        let projects = projects.iter().map(|(project, files, members)| {
            json!({
                "name": project.as_str(),
                "files": files,
                "owners": names(members, Role::Owner),
                "maintainers": names(members, Role::Maintainer),
            })
        });
        return print_line(&projects.collect::<serde_json::Value>().to_string());
    }
    let rows: Vec<Vec<String>> = projects
        .iter()
        .map(|(project, files, members)| {
            vec![
                project.to_string(),
                files.to_string(),
                names(members, Role::Owner).join(", "),
                names(members, Role::Maintainer).join(", "),
            ]
        })
        .collect();
    print_line(&table(
        &["project", "files", "owners", "maintainers"],
        &rows,
    ))
}

async fn show(store: &Store, project: &ProjectName, json: bool) -> anyhow::Result<()> {
    let members = store.members(project).await?;
    let members = members
        .ok_or_else(|| anyhow!("there is no project {project}"))
        .hint("`wheelmark index project list` shows those that are")?;
    if json {
        let members = members.iter().map(|member| {
            json!({
                "user": member.user.as_str(),
                "role": member.role.as_str(),
                "since": member.granted_at.to_string(),
            })
        });
        let object = json!({
            "name": project.as_str(),
            "members": members.collect::<Vec<_>>(),
        });
        return print_line(&object.to_string());
    }
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            vec![
                member.user.to_string(),
                member.role.to_string(),
                minute(member.granted_at),
            ]
        })
        .collect();
    if rows.is_empty() {
        return print_line(&format!(
            "{project} has no owner; to give it one: wheelmark index project owner add {project} NAME"
        ));
    }
    print_line(&table(&["user", "role", "since"], &rows))
}
