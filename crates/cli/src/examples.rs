//! An example for every command whose own text has none, shown at the end of its `--help`.

/// The commands, by the words that lead to them, and what stands at the end of their help.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "attest",
        "wheelmark attest dist/*\n\
         wheelmark attest --publisher github:octo/demo@release.yml dist/*\n\
         wheelmark attest --fulcio https://fulcio.example --rekor https://rekor.example \
         --trusted-root trusted_root.json dist/*",
    ),
    (
        "sign-tree",
        "wheelmark sign-tree /srv/mirror/web --out /srv/mirror/web\n\
         wheelmark sign-tree https://devpi.example/root/prod/+simple/ --out /srv/signed",
    ),
    (
        "exec",
        "wheelmark exec -- pip install flask\n\
         wheelmark exec --index https://pypi.example/simple/ -- uv sync --frozen\n\
         wheelmark exec --report verified.json -- poetry install",
    ),
    (
        "pip",
        "wheelmark pip install flask\nwheelmark pip install -r requirements.txt",
    ),
    ("uv", "wheelmark uv pip install flask\nwheelmark uv sync"),
    ("proxy", "wheelmark proxy --listen 127.0.0.1:8080"),
    (
        "trust",
        "wheelmark trust add https://pypi.example/simple/ --root root.json\nwheelmark trust list",
    ),
    (
        "trust add",
        "wheelmark trust add https://pypi.example/simple/ --root root.json\n\
         wheelmark trust add https://pypi.example/simple/ --fingerprint 5f0c…\n\
         wheelmark trust add --replace https://pypi.example/simple/ --fingerprint 91d2…\n\
         wheelmark trust add https://pypi.org/simple/ --unsigned",
    ),
    (
        "trust list",
        "wheelmark trust list\nwheelmark trust list --json",
    ),
    (
        "trust show",
        "wheelmark trust show https://pypi.example/simple/",
    ),
    (
        "trust remove",
        "wheelmark trust remove https://pypi.example/simple/",
    ),
    (
        "trust export",
        "wheelmark trust export https://pypi.example/simple/ trust.json",
    ),
    ("trust import", "wheelmark trust import trust.json"),
    ("trust claims", "wheelmark trust claims list"),
    (
        "trust claims list",
        "wheelmark trust claims list\nwheelmark trust claims list --json",
    ),
    (
        "trust claims forget",
        "wheelmark trust claims forget acme-tools",
    ),
    ("project keys", "wheelmark project keys list acme-tools"),
    (
        "project keys list",
        "wheelmark project keys list acme-tools\nwheelmark project keys list acme-tools --json",
    ),
    ("trust identities", "wheelmark trust identities list"),
    (
        "trust identities list",
        "wheelmark trust identities list\nwheelmark trust identities list flask --json",
    ),
    (
        "trust identities accept",
        "wheelmark trust identities accept flask github:pallets/flask@publish.yaml",
    ),
    (
        "trust identities revoke",
        "wheelmark trust identities revoke flask\n\
         wheelmark trust identities revoke flask github:pallets/flask@publish.yaml",
    ),
    (
        "trust sigstore",
        "wheelmark trust sigstore refresh\nwheelmark trust sigstore show",
    ),
    (
        "trust sigstore refresh",
        "wheelmark trust sigstore refresh\n\
         wheelmark trust sigstore refresh --url https://mirror.example/sigstore/",
    ),
    (
        "trust sigstore show",
        "wheelmark trust sigstore show\nwheelmark trust sigstore show --json",
    ),
    ("trust sigstore forget", "wheelmark trust sigstore forget"),
    (
        "trust mirror",
        "wheelmark trust mirror add https://pypi.example/simple/ https://mirror.example/",
    ),
    (
        "trust mirror list",
        "wheelmark trust mirror list https://pypi.example/simple/",
    ),
    (
        "trust mirror add",
        "wheelmark trust mirror add https://pypi.example/simple/ https://mirror.example/",
    ),
    (
        "trust mirror remove",
        "wheelmark trust mirror remove https://pypi.example/simple/ https://mirror.example/",
    ),
    (
        "explain",
        "wheelmark explain flask\nwheelmark explain flask==3.0 --json",
    ),
    (
        "policy",
        "wheelmark policy check\nwheelmark policy check wheelmark.toml",
    ),
    (
        "policy check",
        "wheelmark policy check\nwheelmark policy check wheelmark.toml --json",
    ),
    ("lock", "wheelmark lock rewrite uv.lock"),
    (
        "lock attest",
        "wheelmark lock attest pylock.toml\n\
         wheelmark lock attest uv.lock --check\n\
         wheelmark lock attest requirements.txt --accept flask",
    ),
    (
        "lock rewrite",
        "wheelmark lock rewrite uv.lock\nwheelmark lock rewrite uv.lock --check",
    ),
    ("setup", "wheelmark setup\nwheelmark setup --undo"),
    (
        "verify",
        "wheelmark verify /srv/mirror\nwheelmark verify https://mirror.example/simple/\n\
         wheelmark verify flask-3.0-py3-none-any.whl\n\
         wheelmark verify flask-3.0-py3-none-any.whl --provenance flask-3.0-py3-none-any.whl.provenance \
         --publisher github:pallets/flask@publish.yaml\n\
         wheelmark verify uv.lock\n\
         wheelmark verify --environment .venv",
    ),
    (
        "mirror",
        "wheelmark mirror https://pypi.example/simple/ /srv/mirror\n\
         wheelmark mirror https://pypi.example/simple/ /srv/mirror --every 5m",
    ),
    (
        "cross-check",
        "wheelmark cross-check https://pypi.example/simple/",
    ),
    (
        "index audit",
        "wheelmark index audit --against https://mirror.example/simple/",
    ),
    ("index user add", "wheelmark index user add alice"),
    ("index user list", "wheelmark index user list"),
    ("index user disable", "wheelmark index user disable alice"),
    ("index user enable", "wheelmark index user enable alice"),
    (
        "index token list",
        "wheelmark index token list --user alice",
    ),
    ("index token revoke", "wheelmark index token revoke first"),
    (
        "index publisher remove",
        "wheelmark index publisher remove flask github-3f9a12cd04be",
    ),
    ("index project list", "wheelmark index project list"),
    ("index project show", "wheelmark index project show flask"),
    (
        "index project create",
        "wheelmark index project create flask --owner alice",
    ),
    (
        "index project owner",
        "wheelmark index project owner add flask alice",
    ),
    (
        "index project owner add",
        "wheelmark index project owner add flask alice",
    ),
    (
        "index project owner remove",
        "wheelmark index project owner remove flask alice",
    ),
    (
        "index project maintainer",
        "wheelmark index project maintainer add flask bob",
    ),
    (
        "index project maintainer add",
        "wheelmark index project maintainer add flask bob",
    ),
    (
        "index project maintainer remove",
        "wheelmark index project maintainer remove flask bob",
    ),
    (
        "index project certificate add",
        "wheelmark index project certificate add flask maintainer.asc",
    ),
    (
        "index project certificate list",
        "wheelmark index project certificate list flask",
    ),
    (
        "index project certificate remove",
        "wheelmark index project certificate remove flask 9E237D746B45DE98FE2306175D65774413AB2514",
    ),
    (
        "index project certificate require",
        "wheelmark index project certificate require flask\n\
         wheelmark index project certificate require flask --undo",
    ),
    (
        "tuf",
        "wheelmark tuf --metadata-dir md --metadata-url https://tuf.example/metadata refresh",
    ),
    ("tuf init", "wheelmark tuf --metadata-dir md init root.json"),
    (
        "tuf refresh",
        "wheelmark tuf --metadata-dir md --metadata-url https://tuf.example/metadata refresh",
    ),
    (
        "tuf download",
        "wheelmark tuf --metadata-dir md --target-name app --target-dir t … download",
    ),
];

/// The command with an example at the end of the help of each command that needs one.
pub(crate) fn with_examples(command: clap::Command) -> clap::Command {
    below(command, "")
}

fn below(mut command: clap::Command, path: &str) -> clap::Command {
    let found = EXAMPLES.iter().find(|(words, _)| *words == path);
    if let Some((_, examples)) = found {
        let lines: Vec<String> = examples.lines().map(|line| format!("  {line}")).collect();
        let one = if lines.len() == 1 {
            "Example"
        } else {
            "Examples"
        };
        command = command.after_long_help(format!("{one}:\n{}", lines.join("\n")));
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    for name in names {
        let path = format!("{path} {name}");
        let path = path.trim_start().to_owned();
        command = command.mut_subcommand(name, |command| below(command, &path));
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Cli;

    /// Longest line of help: terminals of 100 columns show it unbroken.
    const WIDEST: usize = 100;

    fn walk(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&clap::Command, &str)) {
        visit(command, path);
        for command in command.get_subcommands() {
            if command.get_name() != "help" {
                walk(command, &format!("{path} {}", command.get_name()), visit);
            }
        }
    }

    #[test]
    fn every_command_says_what_it_is_for_and_shows_how() {
        let mut command = with_examples(Cli::command()).term_width(WIDEST);
        command.build();
        let mut seen = Vec::new();
        let mut wrong = Vec::new();
        walk(&command, "wheelmark", &mut |command, path| {
            seen.push(
                path.strip_prefix("wheelmark")
                    .unwrap_or(path)
                    .trim()
                    .to_owned(),
            );
            if command.get_about().is_none() {
                wrong.push(format!("{path}: no about"));
            }
            let help = command.clone().render_long_help().to_string();
            // The usage line is no example.
            let shown = help
                .lines()
                .filter(|line| !line.starts_with("Usage:"))
                .any(|line| path.split(' ').all(|word| line.contains(word)));
            if !shown {
                wrong.push(format!("{path}: no example"));
            }
            for line in help.lines().filter(|line| line.chars().count() > WIDEST) {
                wrong.push(format!("{path}: {line}"));
            }
            for argument in command.get_arguments() {
                if argument.get_help().is_none() {
                    wrong.push(format!("{path}: {} has no help", argument.get_id()));
                }
            }
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for (words, _) in EXAMPLES {
            assert!(
                seen.iter().any(|path| path == words),
                "{words} is no command"
            );
        }
    }

    #[test]
    fn completions_and_manuals_can_be_made() {
        let command = with_examples(Cli::command());
        for shell in [
            clap_complete::Shell::Bash,
            clap_complete::Shell::Zsh,
            clap_complete::Shell::Fish,
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), "wheelmark", &mut script);
            assert!(
                String::from_utf8_lossy(&script).contains("cross-check"),
                "{shell}"
            );
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).ok();
        assert!(String::from_utf8_lossy(&page).contains(".SH SUBCOMMANDS"));
    }
}
