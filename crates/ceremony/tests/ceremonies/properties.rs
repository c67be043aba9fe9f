//! What holds whoever comes and goes, in whatever order.

use proptest::prelude::*;
use wheelmark_ceremony::{HolderChange, SignatureFile, Tally};
use wheelmark_signing::Seat;

use crate::world::{World, day, signatures, tally};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A ceremony is complete exactly when a threshold of those before and a threshold of those
    /// after have signed, in whatever order the files come; and then the next one stands on it.
    #[test]
    fn both_thresholds_decide(
        holders in 2_usize..5,
        threshold in 2_u32..4,
        next_threshold in 2_u32..4,
        replaced in proptest::collection::btree_set(1_usize..5, 0..3),
        added in 0_usize..3,
        who in proptest::collection::vec(any::<bool>(), 12),
        order in any::<u64>(),
    ) {
        prop_assume!(threshold as usize <= holders);
        let mut world = World::new(holders, threshold);
        let replaced: Vec<usize> = replaced.into_iter().filter(|seat| *seat <= holders).collect();
        let mut plan = world.plan(day(30));
        let mut newcomers: Vec<Seat> = Vec::new();
        for seat in &replaced {
            let (keys, by) = world.newcomer(&format!("newcomer {seat}"));
            newcomers.push(keys);
            plan.holders.push(HolderChange::Replace { seat: *seat, by });
        }
        for number in 0..added {
            let (keys, by) = world.newcomer(&format!("added {number}"));
            newcomers.push(keys);
            plan.holders.push(HolderChange::Add(by));
        }
        plan.threshold = Some(next_threshold);
        prop_assume!(next_threshold as usize <= holders + added);
        let ceremony = world.try_ceremony(plan, day(30)).unwrap();

        let (before, after) = who.split_at(6);
        let old = |seat: &usize| before[*seat];
        let signing_before = (0..holders).filter(old).count();
        let staying = (0..holders).filter(|seat| old(seat) && !replaced.contains(&(seat + 1))).count();
        let coming = (0..newcomers.len()).filter(|at| after[*at]).count();
        let mut files: Vec<SignatureFile> = Vec::new();
        for seat in (0..holders).filter(old) {
            files.extend(signatures(&ceremony, &world.seats[seat]));
        }
        for at in (0..newcomers.len()).filter(|at| after[*at]) {
            files.extend(signatures(&ceremony, &newcomers[at]));
        }
        let count = files.len().max(1);
        files.rotate_left(order as usize % count);
        let mut tally = Tally::new(&ceremony);
        for file in files {
            tally.admit(file).unwrap();
        }
        let expected = signing_before >= threshold as usize
            && staying + coming >= next_threshold as usize;
        prop_assert_eq!(tally.is_complete(), expected, "{:?}", tally.needs());
        let finished = tally.finish(day(30));
        prop_assert_eq!(finished.is_ok(), expected);
        if let Ok(finished) = finished {
            world.publish(finished.files);
            let standing = world.standing();
            prop_assert_eq!(standing.seats().len(), holders + added);
            prop_assert_eq!(standing.root().roles.root.threshold, next_threshold);
            let next = world.ceremony(day(90));
            let all = newcomers.iter().chain(
                (0..holders).filter(|seat| !replaced.contains(&(seat + 1))).map(|seat| &world.seats[seat]),
            );
            prop_assert!(tally_of(&next, all));
        }
    }
}

fn tally_of<'a>(
    ceremony: &'a wheelmark_ceremony::Ceremony,
    seats: impl IntoIterator<Item = &'a Seat>,
) -> bool {
    tally(ceremony, seats).is_complete()
}
