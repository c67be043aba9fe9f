//! Core metadata.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::CoreMetadata;

fuzz_target!(|input: &[u8]| {
    let Ok(metadata) = CoreMetadata::parse(input) else {
        return;
    };
    assert!(
        metadata
            .get("Name")
            .is_some_and(|name| name.parse().as_ref() == Ok(&metadata.name))
    );
    assert!(
        metadata
            .fields()
            .all(|(name, _)| metadata.get(name).is_some())
    );
    if metadata.check_rules().is_ok() {
        assert!(
            metadata
                .license_files()
                .all(|path| !path.split('/').any(|segment| segment == ".."))
        );
    }
});
