//! Source distributions: the first byte says whether the rest is the compressed file, or a tar
//! archive whose checksums are made right and which is then compressed.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::archive;
use wheelmark_packaging::inspect;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    let file = if kind % 2 == 0 {
        let mut tar = rest.to_vec();
        archive::seal(&mut tar);
        archive::gzip(&tar)
    } else {
        rest.to_vec()
    };
    let filename = "demo-1.0.tar.gz".parse().expect("the name is well-formed");
    if let Ok(inspected) = inspect(Cursor::new(&file), &filename) {
        assert_eq!(inspected.metadata.name, *filename.project());
        // Not a byte can follow.
        assert!(inspect(Cursor::new([&file[..], b"\0"].concat()), &filename).is_err());
    }
});
