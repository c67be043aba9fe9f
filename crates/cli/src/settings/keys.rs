//! The settings: their names, defaults and meanings, and how each is read.

use std::net::SocketAddr;

use jiff::SignedDuration;
use url::Url;
use wheelmark_server::{Issuers, Leeway, Network};

use super::LogFormat;
use crate::commands::mirror::duration;

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name in the file, and behind `--`.
    pub(crate) name: &'static str,
    /// Its value where nothing is said; empty where that is nothing.
    pub(crate) default: &'static str,
    /// An example for the file, where there is no default to show.
    pub(crate) example: &'static str,
    /// What it is, for the file; lines as they stand.
    pub(crate) about: &'static str,
    /// Whether it is a list in the file.
    pub(crate) is_list: bool,
}

const TEXT: Key = Key {
    name: "",
    default: "",
    example: "",
    about: "",
    is_list: false,
};

/// All settings, in the order of the file.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "listen",
        default: "127.0.0.1:8458",
        about: "The address to serve on. Port 0 takes a free one. Without TLS, listen on other\n\
                addresses than loopback only behind a proxy that has it: tokens travel in the\n\
                requests.",
        ..TEXT
    },
    Key {
        name: "external-url",
        example: "https://pypi.example.org/",
        about: "The URL under which people reach the index, if a proxy in front gives it another\n\
                one than the address above. It is what the start page tells them.",
        ..TEXT
    },
    Key {
        name: "tls-cert",
        example: "/etc/letsencrypt/live/pypi.example.org/fullchain.pem",
        about: "TLS: the server's certificate, and behind it those that lead to its authority, in\n\
                PEM. Both files are read again when they change, and on SIGHUP; connections go on.\n\
                A relative path starts from this file.",
        ..TEXT
    },
    Key {
        name: "tls-key",
        example: "/etc/letsencrypt/live/pypi.example.org/privkey.pem",
        about: "TLS: the key of the certificate, in PEM and not encrypted.",
        ..TEXT
    },
    Key {
        name: "trusted-proxies",
        example: "127.0.0.1, 10.0.0.0/8",
        about: "The proxies in front, addresses or networks. Their X-Forwarded-For says whom a\n\
                request is from, and their X-Request-Id is kept. Nobody else's is believed.",
        is_list: true,
        ..TEXT
    },
    Key {
        name: "metrics-listen",
        example: "127.0.0.1:9458",
        about: "Answer /metrics on this address alone, beside /healthz and /readyz. Without it,\n\
                /metrics is answered on the address above, for everybody.",
        ..TEXT
    },
    Key {
        name: "max-connections",
        default: "4096",
        about: "Most connections at a time. When all places are taken, connections that ask for\n\
                nothing give way. It is less where the system allows fewer open files.",
        ..TEXT
    },
    Key {
        name: "max-file-size",
        default: "4GiB",
        about: "Longest file that is taken: bytes, or with kB, MB, GB, KiB, MiB, GiB.",
        ..TEXT
    },
    Key {
        name: "max-project-size",
        example: "50GiB",
        about: "Most that the files of one project may have together. Without it there is no limit.",
        ..TEXT
    },
    Key {
        name: "max-staged-size",
        default: "16GiB",
        about: "Most that releases and files may have together that wait for signatures.",
        ..TEXT
    },
    Key {
        name: "lifted-rules",
        example: "older-file-names, similar-names",
        about: "Rules for new files that do not hold here: older-file-names,\n\
                standard-library-names, similar-names, unknown-classifiers. docs/uploads.md says\n\
                what each protects from.",
        is_list: true,
        ..TEXT
    },
    Key {
        name: "rate-failed-attempts",
        default: "30, then 10/min",
        about: "How many attempts with wrong credentials one address, or one user name, may make at\n\
                once, and how many more in a second (s), a minute (min) or an hour (h). More are\n\
                answered 429. Good tokens are always taken.",
        ..TEXT
    },
    Key {
        name: "rate-uploads",
        default: "1000, then 60/min",
        about: "How many files one user may upload at once, and how many more in a second, a minute\n\
                or an hour. Tokens of scope admin are not counted.",
        ..TEXT
    },
    Key {
        name: "publish-timeout",
        default: "30s",
        about: "How long an upload waits until it is published. Then it is told to ask again; the\n\
                file stays recorded. Seconds or minutes: 30s, 2m.",
        ..TEXT
    },
    Key {
        name: "oidc-issuers",
        default: "github, gitlab, google, circleci, activestate",
        about: "Whose identity tokens are exchanged for upload tokens: the public services by their\n\
                words, others as gitlab=https://gitlab.example.org, or oidc=https://… for any\n\
                issuer. Nobody is asked for keys before a project trusts somebody there. An empty\n\
                list takes none (docs/trusted-publishing.md).",
        is_list: true,
        ..TEXT
    },
    Key {
        name: "oidc-audience",
        example: "pypi.example.org",
        about: "Whom identity tokens have to be made for: a name that no other index has. Without it,\n\
                external-url without its scheme, or a name made of the first root.",
        ..TEXT
    },
    Key {
        name: "sigstore-roots",
        default: "public",
        about: "Whose certificates attestations at upload are believed by: public is Sigstore's public\n\
                instance, anything else the trusted_root.json of a Sigstore of your own; a relative\n\
                path starts from the data directory. An empty list takes no attestations.",
        is_list: true,
        ..TEXT
    },
    Key {
        name: "signing-log",
        example: "https://log.example.org/wheelmark",
        about: "Where each line of the signing log is sent as soon as it is written: file:/PATH,\n\
                syslog (or syslog:/PATH of its socket), or a URL that it is posted to. What cannot\n\
                be sent is kept and sent later (docs/signing-log.md).",
        ..TEXT
    },
    Key {
        name: "claims",
        default: "off",
        about: "Whether owners may claim their projects, so that their own keys sign for them: on or\n\
                off. What that means for whoever runs the index, docs/claims.md says.",
        ..TEXT
    },
    Key {
        name: "split-claims-above",
        default: "512KiB",
        about: "How long the list of claims may get before it is split by the first letters of names\n\
                (docs/layout.md). Clients fetch the part that a project is in.",
        ..TEXT
    },
    Key {
        name: "recovery-delay",
        default: "14d",
        about: "For how long everybody can see that a project's keys are said to be lost before others\n\
                take their place (`wheelmark project recover`): a day at least. Both processes read it.",
        ..TEXT
    },
    Key {
        name: "gc-every",
        example: "1d",
        about: "How often the process that signs takes old states away by itself, as `wheelmark index\n\
                gc` does (docs/upkeep.md): 12h, 1d, 7d. Without it, nothing goes unless somebody says\n\
                so.",
        ..TEXT
    },
    Key {
        name: "gc-snapshots",
        default: "5",
        about: "Then: how many snapshots stay at least, with all that they name.",
        ..TEXT
    },
    Key {
        name: "gc-older-than",
        default: "1h",
        about: "Then: for how long a snapshot stays after the next one came; an hour at least.",
        ..TEXT
    },
    Key {
        name: "gc-removed-after",
        example: "90d",
        about: "Then: for how long the bytes of a removed file stay. Without it they stay for good, so\n\
                that `wheelmark index unremove` can bring them back.",
        ..TEXT
    },
    Key {
        name: "log-format",
        default: "text",
        about: "How log lines are written on standard error: text, or json for machines. What is\n\
                logged is said with -v, or by WHEELMARK_LOG.",
        ..TEXT
    },
];

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Says that there is no such setting, and which one may have been meant. `spell` gives a name
/// the form of the place where it was written.
pub(super) fn unknown(name: &str, spell: impl Fn(&str) -> String) -> String {
    let said = format!("`{}` is not a setting", spell(name).escape_debug());
    let nearest = KEYS
        .iter()
        .map(|key| (strsim::jaro_winkler(name, key.name), key.name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .filter(|(likeness, _)| *likeness > 0.75);
    match nearest {
        Some((_, key)) => format!("{said}; did you mean `{}`?", spell(key)),
        None => said,
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address with a port, such as 127.0.0.1:8458 or [::]:443")
    })
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{text}` is neither `on` nor `off`")),
    }
}

pub(super) fn external_url(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|_| format!("`{text}` is not a URL, such as https://pypi.example.org/"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("`{text}` is not a URL of http or https"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(format!("`{text}` has more than a host and a path"));
    }
    Ok(url)
}

pub(super) fn networks(text: &str) -> Result<Vec<Network>, String> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.parse()
                .map_err(|error: wheelmark_server::NetworkError| error.to_string())
        })
        .collect()
}

/// The rules for new files that do not hold.
pub(super) fn leeway(text: &str) -> Result<Leeway, String> {
    let mut leeway = Leeway::default();
    let rules = text.split(',').map(str::trim);
    for rule in rules.filter(|rule| !rule.is_empty()) {
        match rule {
            "older-file-names" => leeway.older_file_names = true,
            "standard-library-names" => leeway.standard_library_names = true,
            "similar-names" => leeway.similar_names = true,
            "unknown-classifiers" => leeway.unknown_classifiers = true,
            _ => {
                return Err(format!(
                    "`{rule}` is not a rule that can be lifted: those are older-file-names, standard-library-names, similar-names and unknown-classifiers"
                ));
            }
        }
    }
    Ok(leeway)
}

/// The issuers whose identity tokens are looked at.
pub(super) fn issuers(text: &str) -> Result<Issuers, String> {
    let issuers = text.split(',').map(str::trim);
    let issuers = issuers.filter(|issuer| !issuer.is_empty());
    let issuers = issuers.map(|issuer| {
        issuer
            .parse()
            .map_err(|error: wheelmark_server::IssuerError| error.to_string())
    });
    issuers.collect::<Result<_, _>>().map(Issuers)
}

/// A list of texts.
pub(super) fn texts(text: &str) -> Result<Vec<String>, String> {
    let texts = text.split(',').map(str::trim);
    let texts = texts.filter(|text| !text.is_empty());
    Ok(texts.map(str::to_owned).collect())
}

/// For whom identity tokens have to be made.
pub(super) fn audience(text: &str) -> Result<String, String> {
    let plain = text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
    if plain {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{}` is not a name of printable ASCII, at most 255 bytes long",
            text.escape_debug()
        ))
    }
}

pub(super) fn connections(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| format!("`{text}` is not a number from 1 to 1000000"))
}

/// A time between two collections, of a minute at least.
pub(super) fn interval(text: &str) -> Result<SignedDuration, String> {
    let every = duration(text)?;
    match every >= SignedDuration::from_mins(1) {
        true => Ok(every),
        false => Err(format!("`{text}` is less than a minute")),
    }
}

/// For how long a notice stands that a project's keys are lost: its people need time to see it.
pub(super) fn recovery_delay(text: &str) -> Result<SignedDuration, String> {
    let delay = duration(text)?;
    match delay >= SignedDuration::from_hours(24) {
        true => Ok(delay),
        false => Err(format!("`{text}` is less than a day")),
    }
}

pub(super) fn snapshots(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{text}` is not a number from 1 on"))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("`{text}` is neither text nor json")),
    }
}
