#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;

use super::{DistributionFilename, FilenameError, MAX_FILENAME_LEN, SdistFormat};
use crate::ProjectName;

/// Parses, and compares project, version and the rest of what the name says.
#[track_caller]
fn check(filename: &str, expect: &str) {
    let told = match DistributionFilename::parse(filename) {
        Ok(parsed) => {
            assert_eq!(parsed.as_str(), filename);
            let again = DistributionFilename::parse_for(parsed.project(), filename).unwrap();
            assert_eq!(again, parsed);
            describe(&parsed)
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(told, expect, "{filename}");
}

fn describe(parsed: &DistributionFilename) -> String {
    let rest = match parsed {
        DistributionFilename::Wheel(wheel) => {
            let tags: Vec<String> = wheel.tags().map(|tag| tag.to_string()).collect();
            format!(
                "wheel {}{}",
                wheel
                    .build()
                    .map_or(String::new(), |build| format!("#{build} ")),
                tags.join(" ")
            )
        }
        DistributionFilename::Sdist(sdist) => format!("{:?}", sdist.format()),
    };
    let normalised = if parsed.is_normalised() {
        ""
    } else {
        " (old form)"
    };
    format!(
        "{} {} {rest}{normalised}",
        parsed.project(),
        parsed.version()
    )
}

#[test]
fn wheels() {
    check(
        "flask-3.1.3-py3-none-any.whl",
        "flask 3.1.3 wheel py3-none-any",
    );
    check(
        "six-1.16.0-py2.py3-none-any.whl",
        "six 1.16.0 wheel py2-none-any py3-none-any",
    );
    check(
        "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "numpy 2.4.6 wheel cp311-cp311-manylinux_2_27_x86_64 cp311-cp311-manylinux_2_28_x86_64",
    );
    check(
        "demo-1.0-2b-cp313-abi3-win32.whl",
        "demo 1.0 wheel #2b cp313-abi3-win32",
    );
    check(
        "PyYAML-6.0-cp36-cp36m-win32.whl",
        "pyyaml 6.0 wheel cp36-cp36m-win32 (old form)",
    );
    check(
        "zope_interface-8.7-py3-none-any.whl",
        "zope-interface 8.7 wheel py3-none-any",
    );
    check(
        "zope.interface-8.7-py3-none-any.whl",
        "zope-interface 8.7 wheel py3-none-any (old form)",
    );
    check(
        "torch-2.9.0+cu128-cp313-cp313-linux_x86_64.whl",
        "torch 2.9.0+cu128 wheel cp313-cp313-linux_x86_64",
    );
    check(
        "demo-1!2.0rc1.post3.dev4-py3-none-any.whl",
        "demo 1!2.0rc1.post3.dev4 wheel py3-none-any",
    );
    check(
        "demo-1.0_1-py3-none-any.whl",
        "demo 1.0.post1 wheel py3-none-any (old form)",
    );
    check(
        "demo-1.0_beta_2-py3-none-any.whl",
        "demo 1.0b2 wheel py3-none-any (old form)",
    );
    check(
        "demo-01.0-py3-none-any.whl",
        "demo 1.0 wheel py3-none-any (old form)",
    );
}

#[test]
fn source_distributions() {
    check("flask-3.1.3.tar.gz", "flask 3.1.3 TarGz");
    check("PyYAML-6.0.tar.gz", "pyyaml 6.0 TarGz (old form)");
    check(
        "zope.interface-5.4.0.tar.gz",
        "zope-interface 5.4.0 TarGz (old form)",
    );
    check(
        "python-dateutil-2.9.0.tar.gz",
        "python-dateutil 2.9.0 TarGz (old form)",
    );
    check(
        "python_dateutil-2.9.0.post0.tar.gz",
        "python-dateutil 2.9.0.post0 TarGz",
    );
    check(
        "ruamel.yaml-0.17.21.tar.gz",
        "ruamel-yaml 0.17.21 TarGz (old form)",
    );
    check("pytz-2013b.zip", "pytz 2013b0 Zip (old form)");
    check("demo-1.0.tgz", "demo 1.0 TarGz (old form)");
    check("demo-1.0.tar.bz2", "demo 1.0 TarBz2 (old form)");
    check("demo-1.0.tar.xz", "demo 1.0 TarXz (old form)");
    check("demo-1.0-beta1.tar.gz", "demo 1.0b1 TarGz (old form)");
    check("demo-2-1.0.tar.gz", "demo-2 1.0 TarGz (old form)");
    check("demo-1.0+local.1.tar.gz", "demo 1.0+local.1 TarGz");
}

#[test]
fn what_is_neither() {
    check(
        "demo-1.0-py2.7.egg",
        "`demo-1.0-py2.7.egg` is neither a wheel nor a source distribution",
    );
    check(
        "demo-1.0.win32.exe",
        "`demo-1.0.win32.exe` is neither a wheel nor a source distribution",
    );
    check("", "`` is neither a wheel nor a source distribution");
    check(
        "demo-1.0.WHL",
        "`demo-1.0.WHL` is neither a wheel nor a source distribution",
    );
    check(
        "demo.tar.gz",
        "`demo.tar.gz` does not have the form NAME-VERSION",
    );
    check(
        "-1.0.tar.gz",
        "`-1.0.tar.gz` does not begin with a project name",
    );
    check(
        ".-1.0.tar.gz",
        "`.-1.0.tar.gz` does not begin with a project name",
    );
    check(
        "demo-x.tar.gz",
        "`demo-x.tar.gz` has the version `x`, which PEP 440 does not allow",
    );
    check(
        "demo-1.0.linux-x86_64.tar.gz",
        "`demo-1.0.linux-x86_64.tar.gz` has the version `x86_64`, which PEP 440 does not allow",
    );
    check(
        "demo-1.0-py3-none.whl",
        "`demo-1.0-py3-none.whl` has 4 parts separated by `-`, a wheel's name has 5 or 6",
    );
    check(
        "demo-1.0-1-py3-none-any-x.whl",
        "`demo-1.0-1-py3-none-any-x.whl` has 7 parts separated by `-`, a wheel's name has 5 or 6",
    );
    check(
        "demo-1.0-x1-py3-none-any.whl",
        "`demo-1.0-x1-py3-none-any.whl` has the build tag `x1`, which does not begin with a digit",
    );
    check(
        "demo-1.0-py3-none-.whl",
        "`demo-1.0-py3-none-.whl` has the malformed tag ``",
    );
    check(
        "demo-1.0-py3..py2-none-any.whl",
        "`demo-1.0-py3..py2-none-any.whl` has the malformed tag `py3..py2`",
    );
    check(
        "demo-1.0-py3-no+ne-any.whl",
        "`demo-1.0-py3-no+ne-any.whl` has the malformed tag `no+ne`",
    );
    check(
        "demo-x-py3-none-any.whl",
        "`demo-x-py3-none-any.whl` has the version `x`, which PEP 440 does not allow",
    );
    check(
        "_-1.0-py3-none-any.whl",
        "`_-1.0-py3-none-any.whl` does not begin with a project name",
    );
}

#[test]
fn no_name_leads_elsewhere() {
    for filename in [
        "../demo-1.0.tar.gz",
        "a/demo-1.0.tar.gz",
        "a\\demo-1.0.tar.gz",
        "demo-1.0\0.tar.gz",
        "dämo-1.0.zip",
        "demo%2e-1.0.zip",
        "demo -1.0.zip",
    ] {
        assert!(
            matches!(
                DistributionFilename::parse(filename),
                Err(FilenameError::Character { .. })
            ),
            "{filename}"
        );
    }
    let long = format!("{}-1.0.tar.gz", "a".repeat(MAX_FILENAME_LEN));
    assert!(matches!(
        DistributionFilename::parse(&long),
        Err(FilenameError::TooLong { length: 266 })
    ));
}

#[test]
fn the_project_settles_what_a_name_means() {
    let read = |project: &str, filename: &str| {
        let project: ProjectName = project.parse().unwrap();
        DistributionFilename::parse_for(&project, filename).map(|parsed| describe(&parsed))
    };
    assert_eq!(
        read("demo-1-0", "demo-1.0-1.tar.gz").as_deref(),
        Ok("demo-1-0 1 TarGz (old form)")
    );
    assert_eq!(
        read("demo", "demo-1.0-1.tar.gz").as_deref(),
        Ok("demo 1.0.post1 TarGz (old form)")
    );
    assert_eq!(
        read("demo", "Demo-1.0.zip").as_deref(),
        Ok("demo 1.0 Zip (old form)")
    );
    let other = |told| matches!(told, Err(FilenameError::OtherProject { .. }));
    assert!(other(read("demo", "demo2-1.0.tar.gz")));
    assert!(other(read("demo", "demo2-1.0-py3-none-any.whl")));
    assert!(other(read("demo", "de-mo-1.0.tar.gz")));
    let version = read("demo", "demo-extra-1.0.tar.gz");
    assert!(
        matches!(version, Err(FilenameError::Version { .. })),
        "{version:?}"
    );
    assert!(matches!(
        read("demo", "demo.tar.gz"),
        Err(FilenameError::NoVersion { .. })
    ));
}

#[test]
fn formats_of_source_distributions() {
    let format = |filename: &str| match DistributionFilename::parse(filename).unwrap() {
        DistributionFilename::Sdist(sdist) => sdist.format(),
        DistributionFilename::Wheel(_) => unreachable!("no wheel is given"),
    };
    assert_eq!(format("a-1.tgz"), SdistFormat::TarGz);
    assert_eq!(format("a-1.tbz"), SdistFormat::TarBz2);
    assert_eq!(format("a-1.tbz2"), SdistFormat::TarBz2);
    assert_eq!(format("a-1.txz"), SdistFormat::TarXz);
}

prop_compose! {
    fn version()(
        epoch in prop::option::of(0_u8..3), release in prop::collection::vec(0_u16..3000, 1..4),
        pre in prop::option::of(("(a|b|rc)", 0_u8..9)), post in prop::option::of(0_u8..9),
        dev in prop::option::of(0_u8..9), local in prop::option::of("[a-z0-9]{1,4}(\\.[a-z]{1,3})?"),
    ) -> String {
        let mut text = epoch.map_or(String::new(), |epoch| format!("{epoch}!"));
        text += &release.iter().map(u16::to_string).collect::<Vec<_>>().join(".");
        text += &pre.map_or(String::new(), |(kind, number)| format!("{kind}{number}"));
        text += &post.map_or(String::new(), |number| format!(".post{number}"));
        text += &dev.map_or(String::new(), |number| format!(".dev{number}"));
        text += &local.map_or(String::new(), |local| format!("+{local}"));
        text
    }
}

const NAME: &str = "[A-Za-z0-9]([A-Za-z0-9_.]{0,10}[A-Za-z0-9])?";

proptest! {
    #[test]
    fn wheels_parse_and_print(
        name in NAME, version in version(), build in prop::option::of("[0-9]{1,3}[a-z]{0,3}"),
        python in "(py3|py2\\.py3|cp313)", abi in "(none|abi3|cp313)", platform in "(any|win32\\.win_amd64|manylinux_2_28_x86_64)",
    ) {
        let build = build.map_or(String::new(), |build| format!("-{build}"));
        let filename = format!("{name}-{version}{build}-{python}-{abi}-{platform}.whl");
        let parsed = DistributionFilename::parse(&filename)?;
        prop_assert_eq!(parsed.as_str(), &filename);
        prop_assert_eq!(parsed.project(), &name.parse::<ProjectName>()?);
        prop_assert_eq!(parsed.version(), &version.parse().unwrap());
        prop_assert_eq!(DistributionFilename::parse_for(parsed.project(), &filename)?, parsed);
    }

    #[test]
    fn sdists_parse_and_print(name in NAME, version in version()) {
        let filename = format!("{name}-{version}.tar.gz");
        let parsed = DistributionFilename::parse(&filename)?;
        prop_assert_eq!(parsed.project(), &name.parse::<ProjectName>()?);
        prop_assert_eq!(parsed.version(), &version.parse().unwrap());
        let normalised = format!("{}-{}.tar.gz", parsed.project().escaped(), parsed.version());
        let again = DistributionFilename::parse(&normalised)?;
        prop_assert!(again.is_normalised());
        prop_assert_eq!((again.project(), again.version()), (parsed.project(), parsed.version()));
    }

    #[test]
    fn never_panics(filename in any::<String>(), ending in "(\\.whl|\\.tar\\.gz|\\.zip|)") {
        if let Ok(parsed) = DistributionFilename::parse(&(filename + &ending)) {
            prop_assert!(DistributionFilename::parse_for(parsed.project(), parsed.as_str()).is_ok());
        }
    }

    #[test]
    fn near_names_never_panic(filename in "[a-z0-9.+!_-]{0,24}(\\.whl|\\.tar\\.gz|\\.zip|)") {
        if let Ok(parsed) = DistributionFilename::parse(&filename) {
            prop_assert!(DistributionFilename::parse_for(parsed.project(), &filename).is_ok());
        }
    }
}
