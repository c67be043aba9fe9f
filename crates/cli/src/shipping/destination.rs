//! Where the signing log is sent, as the setting says it.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// Where the system's log listens.
const SYSTEM_LOG: &str = "/dev/log";

/// Where the signing log is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A file that lines are appended to, such as one on another machine's disk.
    File(PathBuf),
    /// A datagram socket of a syslog daemon.
    Syslog(PathBuf),
    /// A URL that lines are posted to.
    Http(Url),
}

impl Destination {
    /// Reads `file:PATH`, `syslog`, `syslog:PATH` or a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let absolute = |path: &str| match path.starts_with('/') {
            true => Ok(PathBuf::from(path)),
            false => Err(format!("`{path}` is not an absolute path")),
        };
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(absolute(path)?));
        }
        if text == "syslog" {
            return Ok(Self::Syslog(PathBuf::from(SYSTEM_LOG)));
        }
        if let Some(path) = text.strip_prefix("syslog:") {
            return Ok(Self::Syslog(absolute(path)?));
        }
        match text.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(
                        "no password belongs into this URL, which the web side can read: hand a \
                         token over as the credential `wheelmark-signing-log-token`"
                            .to_owned(),
                    );
                }
                if url.query().is_some() || url.fragment().is_some() {
                    return Err(
                        "no query belongs into this URL, which is shown in logs: hand a token over as \
                         the credential `wheelmark-signing-log-token`"
                            .to_owned(),
                    );
                }
                Ok(Self::Http(url))
            }
            _ => Err(format!(
                "`{text}` is not file:/PATH, syslog, syslog:/PATH, or a URL of http or https"
            )),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Syslog(path) => write!(f, "syslog:{}", path.display()),
            Self::Http(url) => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_is_read_as_it_is_shown() {
        for text in [
            "file:/mnt/elsewhere/signing.log",
            "syslog:/dev/log",
            "https://log.example/wheelmark",
        ] {
            let read = Destination::parse(text).map(|read| read.to_string());
            assert_eq!(read, Ok(text.to_owned()));
        }
        assert_eq!(
            Destination::parse("syslog"),
            Destination::parse("syslog:/dev/log")
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "file:relative.log",
            "syslog:",
            "ftp://log.example/",
            "elsewhere",
            "https://me:secret@log.example/",
            "https://log.example/?token=secret",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
