use super::*;

#[test]
fn bytecode_belongs_to_its_source() {
    let check = |path: &str, source: Option<&str>| {
        assert_eq!(
            is_bytecode_of(Path::new(path)),
            source.map(PathBuf::from),
            "{path}"
        );
    };
    check("a/__pycache__/b.cpython-311.pyc", Some("a/b.py"));
    check("a/__pycache__/b.cpython-311.opt-2.pyc", Some("a/b.py"));
    check("a/__pycache__/b.c.cpython-311.pyc", Some("a/b.c.py"));
    check("a/__pycache__/b.pyc", None);
    check("a/__pycache__/b.cpython-311.py", None);
    check("a/b.cpython-311.pyc", None);
}
