//! What installers leave behind: nothing makes reading it panic, and a script that passes for a
//! launcher imports what the entry point names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::installed::{
    DirectUrl, Place, Script, entry_points, is_launcher, recorded_paths,
};

fuzz_target!(|input: &[u8]| {
    let half = input.iter().position(|byte| *byte == 0);
    let (first, second) = input.split_at(half.unwrap_or(input.len()));
    let _paths = recorded_paths(first);
    let _url = DirectUrl::parse(first);
    let Ok(text) = std::str::from_utf8(first) else {
        return;
    };
    for point in entry_points(text) {
        assert!(!point.name.contains(['/', '\\']));
        let rest = Script::read(second).map_or(second, |script| script.rest);
        if is_launcher(rest, &point) {
            let script = String::from_utf8_lossy(rest).replace('"', "'");
            assert!(script.contains(&format!("sys.exit({}())", point.attribute)));
        }
    }
    for line in text.lines() {
        if let Place::Script(name) = Place::of(line, "demo-1.0.dist-info") {
            assert!(!name.contains('/'));
        }
    }
});
