#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

#[test]
fn places_of_a_wheels_files() {
    let check = |path: &str, place: Place<'_>| {
        assert_eq!(Place::of(path, "a-1.dist-info"), place, "{path}");
    };
    check("a/b.py", Place::Library("a/b.py"));
    check(
        "a-1.dist-info/METADATA",
        Place::Library("a-1.dist-info/METADATA"),
    );
    check("a-1.data/purelib/x.py", Place::Library("x.py"));
    check("a-1.data/platlib/x.so", Place::Library("x.so"));
    check("a-1.data/scripts/run", Place::Script("run"));
    check("a-1.data/scripts/x/run", Place::Unknown);
    check("a-1.data/headers/a.h", Place::Header("a.h"));
    check("a-1.data/data/share/a", Place::Data("share/a"));
    check("a-1.data/odd/a", Place::Unknown);
    check("a-1.data", Place::Library("a-1.data"));
}

fn point() -> EntryPoint {
    let text = "[other]\nx = y:z\n[console_scripts]\n# no\nrun = pkg.mod:Class.main [extra]\n../bad = a:b\n[gui_scripts]\nshow=pkg:gui\n";
    let mut points = entry_points(text);
    let names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["run", "show"]);
    points.remove(0)
}

const PIP: &str = "# -*- coding: utf-8 -*-\nimport re\nimport sys\nfrom pkg.mod import Class\nif __name__ == '__main__':\n    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    sys.exit(Class.main())\n";
const NEW_PIP: &str = "import sys\nfrom pkg.mod import Class\nif __name__ == '__main__':\n    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit(Class.main())\n";
const UV: &str = "# -*- coding: utf-8 -*-\nimport sys\nfrom pkg.mod import Class\nif __name__ == \"__main__\":\n    if sys.argv[0].endswith(\"-script.pyw\"):\n        sys.argv[0] = sys.argv[0][:-11]\n    elif sys.argv[0].endswith(\".exe\"):\n        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit(Class.main())\n";

#[test]
fn launchers_of_the_installers_and_no_others() {
    for known in [PIP, NEW_PIP, UV] {
        assert!(is_launcher(known.as_bytes(), &point()), "{known}");
        for bad in [
            known.replace("import sys\n", "import sys, os\n"),
            known.replace("pkg.mod", "pkg.other"),
            known.replace("Class.main()", "Class.evil()"),
            format!("{known}import os\n"),
            format!("{known}# harmless\n"),
            known.replace("import sys\n", "import sys; evil()\n"),
        ] {
            assert!(!is_launcher(bad.as_bytes(), &point()), "{bad}");
        }
    }
    assert!(!is_launcher(b"", &point()));
    assert!(!is_launcher(b"\xff", &point()));
}

#[test]
fn first_lines_of_scripts() {
    use Interpreter::{At, Beside, Other};
    let check = |text: &str, expected: Option<(Interpreter<'_>, &str)>| {
        let read = Script::read(text.as_bytes());
        let read = read.map(|it| (it.interpreter, std::str::from_utf8(it.rest).unwrap()));
        assert_eq!(read, expected, "{text}");
    };
    let by_shell = |called: &str| format!("#!/bin/sh\n'''exec' {called} \"$0\" \"$@\"\n' '''\nx\n");
    check(
        "#!/env/bin/python\nx\n",
        Some((At("/env/bin/python"), "x\n")),
    );
    check(
        "#!/env/bin/python3.13 -sE\r\nx",
        Some((At("/env/bin/python3.13"), "x")),
    );
    check(
        &by_shell("\"/a b/bin/python\""),
        Some((At("/a b/bin/python"), "x\n")),
    );
    check(
        &by_shell("/a/bin/python3"),
        Some((At("/a/bin/python3"), "x\n")),
    );
    let beside = r#""$(dirname -- "$(realpath -- "$0")")"/'python3'"#;
    check(&by_shell(beside), Some((Beside("python3"), "x\n")));
    for evil in [
        "/env/bin/python -cimport os;os.system('evil')",
        "/env/bin/python -sc",
        "/env/bin/python_evil",
        "/env/bin/python3.evil",
        "/env/bin/python\u{b}evil",
        "python",
        "/usr/bin/env python",
    ] {
        let text = format!("#!{evil}\nx\n");
        let lead = Script::read(text.as_bytes()).map(|script| script.interpreter);
        assert!(matches!(lead, None | Some(Other(_))), "{evil}: {lead:?}");
    }
    for evil in [
        r#""/env/bin/python$(evil)""#,
        "'/env/bin/python' -c 'evil'",
        r#""$(dirname -- "$(realpath -- "$0")")"/python';evil;'"#,
        "/env/bin/python;evil",
        "/a b/bin/python",
    ] {
        let text = by_shell(evil);
        let script = Script::read(text.as_bytes()).unwrap();
        assert!(matches!(script.interpreter, Other(_)), "{evil}");
    }
    check("#!/bin/sh\nrm -r /\n' '''\nx\n", None);
    check("#!/bin/sh\n'''exec' \"/p\" \"$0\" \"$@\"\nevil\nx\n", None);
    check("x\n", None);
    check("#!/p", None);
    assert_eq!(Script::in_wheel(b"#!python\nx"), Some(&b"x"[..]));
    assert_eq!(Script::in_wheel(b"#!pythonw -s\nx"), Some(&b"x"[..]));
    assert_eq!(Script::in_wheel(b"#!/usr/bin/python\nx"), None);
    assert_eq!(Script::in_wheel(b"\x7fELF"), None);
}

#[test]
fn direct_urls() {
    let parse = |text: &str| DirectUrl::parse(text.as_bytes());
    let url = || "file:///x".to_owned();
    let tree = parse(r#"{"url":"file:///x","dir_info":{"editable":true}}"#);
    assert_eq!(
        tree,
        Ok(DirectUrl::Tree {
            url: url(),
            editable: true
        })
    );
    let archive = parse(r#"{"url":"file:///x","archive_info":{}}"#);
    assert_eq!(archive, Ok(DirectUrl::Archive { url: url() }));
    let commit = parse(r#"{"url":"file:///x","vcs_info":{"vcs":"git","commit_id":"abc"}}"#);
    assert_eq!(
        commit,
        Ok(DirectUrl::Repository {
            url: url(),
            commit: "abc".to_owned()
        })
    );
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"url":1,"dir_info":{}}"#,
        r#"{"url":"x"}"#,
    ] {
        assert_eq!(parse(bad), Err(DirectUrlError), "{bad}");
    }
    let long = vec![b' '; MAX_DIRECT_URL_LEN + 1];
    assert_eq!(DirectUrl::parse(&long), Err(DirectUrlError));
}

#[test]
fn recorded_paths_are_those_of_the_first_column() {
    let text = b"../../../bin/run,sha256=x,5\n\"a,b.py\",,\n\n";
    assert_eq!(
        recorded_paths(text).unwrap(),
        ["../../../bin/run", "a,b.py"]
    );
    assert!(recorded_paths(b"a,b,c,d\n").is_err());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        let _paths = recorded_paths(&bytes);
        let _url = DirectUrl::parse(&bytes);
        let _script = Script::read(&bytes);
        for point in entry_points(&text) {
            prop_assert!(!point.name.contains('/'));
            is_launcher(&bytes, &point);
        }
        Place::of(&text, "a-1.dist-info");
    }
}
