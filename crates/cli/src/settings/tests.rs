#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use super::*;

fn effective(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Effective {
    let file = file::parse(text, Path::new("/data/index.toml"));
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Effective::of(file, variables.collect(), flags)
}

fn of(text: &str) -> Settings {
    effective(text, &[], &Flags::default()).check().unwrap()
}

fn mistakes(text: &str) -> Vec<String> {
    let wrong = effective(text, &[], &Flags::default()).check().unwrap_err();
    wrong.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_good() {
    let settings = of("");
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8458");
    assert_eq!(settings.max_file_size, wheelmark_server::MAX_FILE_LEN);
    assert_eq!(settings.publish_timeout, wheelmark_server::PUBLISH_TIMEOUT);
    assert_eq!(settings.max_connections, wheelmark_server::MAX_CONNECTIONS);
    assert_eq!(settings.rate_failed_attempts, FAILED_ATTEMPTS);
    assert_eq!(settings.rate_uploads, UPLOADS);
    assert_eq!(settings.external_url, None);
}

#[test]
fn what_stands_above_counts_and_says_where_it_stands() {
    let check = |variables: &[(&str, &str)], flag: Option<&str>, expected: (&str, &str)| {
        let flags = Flags {
            listen: flag.map(str::to_owned),
            ..Flags::default()
        };
        let effective = effective("\n\nlisten = '127.0.0.1:1'\n", variables, &flags);
        let written = effective.written("listen");
        let source = written.source.to_string();
        assert_eq!((written.text.as_str(), source.as_str()), expected);
    };
    let variable = [("WHEELMARK_INDEX_LISTEN", "127.0.0.1:2")];
    check(&[], None, ("127.0.0.1:1", "/data/index.toml:3"));
    check(&variable, None, ("127.0.0.1:2", "WHEELMARK_INDEX_LISTEN"));
    check(&variable, Some("127.0.0.1:3"), ("127.0.0.1:3", "--listen"));
    let empty = [("WHEELMARK_INDEX_LISTEN", "")];
    check(&empty, None, ("127.0.0.1:1", "/data/index.toml:3"));
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let told = mistakes(
        "lisen = '127.0.0.1:1'\n\
         max-file-size = 'much'\n\
         publish-timeout = 30\n\
         trusted-proxies = ['10.0.0.0/8', 'proxy']\n\
         tls-cert = 'cert.pem'\n\
         log-format = true\n",
    );
    assert_eq!(
        told,
        [
            "/data/index.toml:1: `lisen` is not a setting; did you mean `listen`?",
            "/data/index.toml:6: `log-format` is a string, and here is a boolean",
            "/data/index.toml:4: `trusted-proxies`: `proxy` is not an IP address",
            "/data/index.toml:2: `max-file-size`: `much` is not a size, such as 500MB or 4GiB",
            "/data/index.toml:5: `tls-cert` is set, and TLS needs `tls-key` as well",
        ]
    );
    let told = mistakes("listen = \nxyzzy = 1\n[table]\n");
    assert!(told[0].starts_with("/data/index.toml:1: "), "{told:?}");
    assert!(
        told.contains(&"/data/index.toml:2: `xyzzy` is not a setting".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_variable_that_nobody_reads_is_a_mistake() {
    let variables = [("WHEELMARK_INDEX_LISTN", "127.0.0.1:1")];
    let wrong = effective("", &variables, &Flags::default())
        .check()
        .unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "WHEELMARK_INDEX_LISTN: `WHEELMARK_INDEX_LISTN` is not a setting; \
         did you mean `WHEELMARK_INDEX_LISTEN`?"
    );
}

#[test]
fn values_are_read_as_people_write_them() {
    let settings = of("max-file-size = '500MB'\nmax-project-size = '2 GiB'\n\
         publish-timeout = '2m'\nmax-connections = 100\nlisten = '[::]:443'\n\
         metrics-listen = '127.0.0.1:9000'\nexternal-url = 'https://a.example/pypi/'\n\
         trusted-proxies = '127.0.0.1, ::1'\nlog-format = 'json'\n\
         tls-cert = 'tls/cert.pem'\ntls-key = '/etc/key.pem'\n\
         lifted-rules = ['similar-names', 'older-file-names']\n\
         rate-failed-attempts = '5, then 1/h'\nrate-uploads = '20,then 4/s'\n");
    assert_eq!(settings.rate_failed_attempts.burst, 5);
    assert_eq!(settings.rate_failed_attempts.every.as_secs(), 3600);
    assert_eq!(settings.rate_uploads.burst, 20);
    assert_eq!(settings.rate_uploads.every.as_millis(), 250);
    let lifted = settings.lifted_rules;
    assert!(lifted.similar_names && lifted.older_file_names);
    assert!(!lifted.standard_library_names && !lifted.unknown_classifiers);
    assert_eq!(settings.max_file_size, 500_000_000);
    assert_eq!(settings.max_project_size, Some(2 << 30));
    assert_eq!(settings.publish_timeout, Duration::from_secs(120));
    assert_eq!(settings.max_connections, 100);
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.tls_cert, Some("/data/tls/cert.pem".into()));
    assert_eq!(settings.tls_key, Some("/etc/key.pem".into()));
    let settings = of("gc-every = '12h'\ngc-snapshots = 7\ngc-removed-after = '90d'\n");
    let collecting = settings.collecting.unwrap();
    assert_eq!(collecting.every.as_hours(), 12);
    let days = Duration::from_secs(90 * 86_400);
    let keep = Keep::new(7, Duration::from_secs(3600), Some(days)).unwrap();
    assert_eq!(collecting.keep, keep);
    assert_eq!(of("gc-snapshots = 7").collecting, None);
    assert!(!of("gc-snapshots = 7").claims && of("claims = 'on'").claims);
    for wrong in [
        "gc-every = '30s'",
        "gc-every = 'daily'",
        "claims = 'yes'",
        "gc-snapshots = 0",
        "gc-older-than = '59m'",
        "max-file-size = 0",
        "lifted-rules = 'all'",
        "publish-timeout = '2h'",
        "publish-timeout = '0s'",
        "max-connections = 0",
        "external-url = 'ftp://a/'",
        "external-url = 'https://a/?b'",
        "listen = 'localhost'",
        "max-file-size = '99999999999GiB'",
        "rate-uploads = '10'",
        "rate-uploads = '10, 1/s'",
        "rate-uploads = '0, then 1/s'",
        "rate-uploads = '10, then 0/s'",
        "rate-uploads = '10, then 1/day'",
        "rate-uploads = '10, then 1000001/s'",
        "rate-failed-attempts = '-1, then 1/s'",
        "rate-failed-attempts = 30",
        "listen = '127.0.0.1:1'\nmetrics-listen = '127.0.0.1:1'",
    ] {
        assert_eq!(mistakes(wrong).len(), 1, "{wrong}");
    }
}

#[test]
fn the_file_that_is_made_says_nothing_and_can_say_everything() {
    let template = template();
    assert!(file::parse(&template, Path::new("x")).values.is_empty());
    assert!(template.lines().all(|line| line.len() <= 100), "{template}");
    let names: Vec<String> = KEYS.iter().map(|key| format!("#{} = ", key.name)).collect();
    let spoken: String = template
        .lines()
        .map(|line| {
            let says = names.iter().any(|name| line.starts_with(name));
            format!("{}\n", if says { &line[1..] } else { line })
        })
        .collect();
    let effective = effective(&spoken, &[], &Flags::default());
    effective.check().unwrap();
    let all_from_file = effective
        .values()
        .iter()
        .all(|(_, written)| matches!(written.source, Source::File { .. }));
    assert!(all_from_file, "{:?}", effective.values());
}
