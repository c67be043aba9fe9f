//! Everything in order.

use wheelmark_provenance::{Attestation, Predicate, verify};

use super::site::{AT, Now, Site, file};

#[tokio::test]
async fn what_is_made_holds_for_any_reader() {
    let site = Site::new().await;
    let certified = site.instance().certify(&site.token()).await.unwrap();
    let expected = format!("https://github.com/octo/demo/.github/workflows/release.yml@*+{AT}");
    // Enough for proofs of every shape: alone, even and odd, deep.
    for (number, before) in (1..=9).zip(0..) {
        let (name, sha256) = file(&format!("demo-1.{number}.tar.gz"));
        let made = certified
            .attest(&name, &sha256, &site.roots, &Now)
            .await
            .unwrap();
        assert_eq!(made.attested.predicate(), Predicate::Publish);
        assert_eq!(made.attested.log().index, 4000 + before);
        let identity = made.attested.identity();
        assert_eq!(identity.matches(&expected.parse().unwrap()), Ok(()));
        // As it is kept, and read by somebody else.
        let kept = Attestation::parse(&made.attestation.to_json()).unwrap();
        let now = jiff::Timestamp::now();
        verify(&name, &sha256, &kept, &site.roots, now).unwrap();
        let (other, digest) = file("other-1.0.tar.gz");
        assert!(verify(&other, &sha256, &kept, &site.roots, now).is_err());
        assert!(verify(&name, &digest, &kept, &site.roots, now).is_err());
    }
    assert_eq!(site.services.recorded(), 9);
}
