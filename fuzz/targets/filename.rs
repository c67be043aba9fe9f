//! File names and project names: what is accepted is a safe segment of a path, and reads the same
//! for its own project.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::{DistributionFilename, ProjectName};

fuzz_target!(|input: &str| {
    if let Ok(name) = input.parse::<ProjectName>() {
        assert!(ProjectName::is_normalised(name.as_str()));
        assert_eq!(name.escaped().parse().as_ref(), Ok(&name));
    }
    let Ok(filename) = DistributionFilename::parse(input) else {
        return;
    };
    assert_eq!(filename.as_str(), input);
    assert!(input.is_ascii() && !input.contains(['/', '\\', '%', '\0']) && input.len() <= 255);
    let again = DistributionFilename::parse_for(filename.project(), input)
        .expect("it is a file of its own project");
    assert_eq!(
        (again.project(), again.version()),
        (filename.project(), filename.version())
    );
    let version = filename.version().to_string();
    assert_eq!(
        version.parse().as_ref(),
        Ok(filename.version()),
        "a version is read as it is written"
    );
});
