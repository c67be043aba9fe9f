#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn places(urls: &[&str]) -> Places {
    let place = |(index, url): (usize, &&str)| Place {
        index,
        simple: url.parse().unwrap(),
    };
    Places(urls.iter().enumerate().map(place).collect())
}

fn located(urls: &[&str], url: &str) -> Option<(usize, Route)> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    places(urls)
        .locate(scheme, &authority.parse().unwrap(), &format!("/{path}"))
        .map(|(place, route)| (place.index, route))
}

fn check(url: &str, route: Route) {
    let urls = ["https://pkg.example/team/simple/"];
    assert_eq!(located(&urls, url), Some((0, route)), "{url}");
}

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

#[test]
fn urls_that_installers_ask_for() {
    let at = "https://pkg.example/team/simple";
    check(&format!("{at}/demo/"), Route::Page(demo()));
    check(&format!("{at}/demo"), Route::Spelling(demo()));
    check(&format!("{at}/Demo/"), Route::Spelling(demo()));
    let wheel = || "demo-1.0+x-py3-none-any.whl".to_owned();
    for folder in [
        "https://pkg.example/team/packages/demo",
        "https://PKG.example:443/elsewhere/packages/demo",
        "https://pkg.example/ab/cd/0123",
        "https://pkg.example",
    ] {
        check(
            &format!("{folder}/demo-1.0%2Bx-py3-none-any.whl"),
            Route::File(demo(), wheel()),
        );
        check(
            &format!("{folder}/demo-1.0+x-py3-none-any.whl.metadata"),
            Route::CoreMetadata(demo(), wheel()),
        );
    }
    // The path's project goes before what the name can be read as: the page decides.
    check(
        "https://pkg.example/packages/demo/other-1.0.tar.gz",
        Route::File(demo(), "other-1.0.tar.gz".to_owned()),
    );
}

#[test]
fn urls_that_ask_for_nothing() {
    for path in [
        "",
        "team/",
        "team/simple/",
        "team/simple/demo/x",
        "team/simple/%2e%2e/",
        "packages/demo/",
        "packages/demo/..",
        "packages/demo/a%2f..%2fb.whl",
        "x/README.txt",
        "x/.metadata",
    ] {
        check(&format!("https://pkg.example/{path}"), Route::Nowhere);
    }
}

#[test]
fn urls_that_belong_to_no_index() {
    let urls = [
        "https://pkg.example/simple/",
        "http://127.0.0.1:8080/simple/",
    ];
    for url in [
        "http://pkg.example/simple/demo/",
        "https://pkg.example:444/simple/demo/",
        "https://me@pkg.example/simple/demo/",
        "https://pkg.example.evil.example/simple/demo/",
        "https://127.0.0.1:8080/simple/demo/",
        "http://127.0.0.1/simple/demo/",
        "http://localhost:8080/simple/demo/",
    ] {
        assert_eq!(located(&urls, url), None, "{url}");
    }
    assert_eq!(
        places(&urls).secure_hosts(),
        [Host::Domain("pkg.example".to_owned())]
    );
}

#[test]
fn several_indexes_at_one_host() {
    let urls = [
        "https://pkg.example/simple/",
        "https://pkg.example/a/simple/",
        "https://pkg.example/a/b/simple/",
    ];
    let index = |path: &str| {
        located(&urls, &format!("https://pkg.example/{path}"))
            .unwrap()
            .0
    };
    assert_eq!(index("simple/demo/"), 0);
    assert_eq!(index("a/simple/demo/"), 1);
    assert_eq!(index("a/b/simple/demo/"), 2);
    assert_eq!(index("packages/demo/demo-1.0.tar.gz"), 0);
    assert_eq!(index("a/packages/demo/demo-1.0.tar.gz"), 1);
    assert_eq!(index("a/b/packages/demo/demo-1.0.tar.gz"), 2);
    assert_eq!(index("x/demo-1.0.tar.gz"), 0);
}

#[test]
fn the_files_of_pypi_have_a_host_of_their_own() {
    let urls = ["https://pkg.example/simple/", "https://pypi.org/simple/"];
    let files = "https://files.pythonhosted.org/packages/ab/cd/0123";
    let route = || Route::File(demo(), "demo-1.0.tar.gz".to_owned());
    for port in ["", ":443"] {
        let url =
            format!("https://Files.PythonHosted.org{port}/packages/ab/cd/0123/demo-1.0.tar.gz");
        assert_eq!(located(&urls, &url), Some((1, route())), "{url}");
    }
    // No page of it is there, and nothing of another index.
    let page = located(&urls, "https://files.pythonhosted.org/simple/demo/");
    assert_eq!(page, Some((1, Route::Nowhere)));
    for url in [
        "http://files.pythonhosted.org/a/demo-1.0.tar.gz",
        "https://files.pythonhosted.org:444/a/demo-1.0.tar.gz",
        "https://me@files.pythonhosted.org/a/demo-1.0.tar.gz",
        "https://test-files.pythonhosted.org/a/demo-1.0.tar.gz",
    ] {
        assert_eq!(located(&urls, url), None, "{url}");
    }
    assert_eq!(
        located(&urls[..1], &format!("{files}/demo-1.0.tar.gz")),
        None
    );
    let names: Vec<String> = places(&urls)
        .secure_hosts()
        .iter()
        .map(Host::to_string)
        .collect();
    assert_eq!(names, ["files.pythonhosted.org", "pkg.example", "pypi.org"]);
    let authority = "files.pythonhosted.org:443".parse().unwrap();
    let host = places(&urls).host("https", &authority);
    assert_eq!(
        host.map(|host| host.to_string()).as_deref(),
        Some("files.pythonhosted.org")
    );

    let place = |simple: &str| Place::alone(simple.parse().unwrap());
    let said = format!("{files}/demo-1.0.tar.gz#sha256=00");
    let url = |simple: &str| place(simple).file_url(&demo(), "demo-1.0.tar.gz", &said);
    assert_eq!(
        url("https://pypi.org/simple/"),
        format!("{files}/demo-1.0.tar.gz")
    );
    for other in [
        "https://pkg.example",
        "https://test.pypi.org",
        "https://pypi.org:8443",
        "http://pypi.org",
    ] {
        let here = format!("{other}/packages/demo/demo-1.0.tar.gz");
        assert_eq!(url(&format!("{other}/simple/")), here);
    }
}

#[test]
fn file_urls_stay_at_the_index() {
    let place = Place {
        index: 0,
        simple: "https://pkg.example/team/simple/".parse().unwrap(),
    };
    let file = "demo-1.0+x.tar.gz";
    let usual = "https://pkg.example/team/packages/demo/demo-1.0+x.tar.gz";
    let check = |said: &str, expected: &str| {
        assert_eq!(place.file_url(&demo(), file, said), expected, "{said}");
    };
    check(
        "../../packages/demo/demo-1.0%2Bx.tar.gz",
        "https://pkg.example/team/packages/demo/demo-1.0%2Bx.tar.gz",
    );
    check(
        "https://pkg.example/f/12/demo-1.0+x.tar.gz#sha256=00",
        "https://pkg.example/f/12/demo-1.0+x.tar.gz",
    );
    for elsewhere in [
        "https://files.example/demo-1.0+x.tar.gz",
        "http://pkg.example/demo-1.0+x.tar.gz",
        "https://pkg.example:8443/demo-1.0+x.tar.gz",
        "https://me@pkg.example/demo-1.0+x.tar.gz",
        "//files.example/demo-1.0+x.tar.gz",
        "https://pkg.example/demo-1.0+x.tar.gz?x=demo-2.0.tar.gz",
        "../../packages/demo/demo-1.0+x.tar.gz?",
        "../../packages/other/demo-1.0+x.tar.gz",
        "../../packages/demo/demo-2.0.tar.gz",
        "data:,x",
        "",
    ] {
        check(elsewhere, usual);
    }
}

proptest! {
    #[test]
    fn whatever_a_page_says_its_files_come_back_to_us(said in "\\PC{0,40}") {
        let place = Place { index: 0, simple: "https://pkg.example/simple/".parse().unwrap() };
        let url: Url = place.file_url(&demo(), "demo-1.0.tar.gz", &said).parse().unwrap();
        let authority = url.authority().parse().unwrap();
        let places = Places(vec![place]);
        let (_, route) = places.locate("https", &authority, url.path()).unwrap();
        prop_assert_eq!(route, Route::File(demo(), "demo-1.0.tar.gz".to_owned()));
    }
}
