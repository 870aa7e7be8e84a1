//! Any bytes as what the directory holds about a room: no panic, nothing beyond the limits, and a record that is read is written
//! again as the same record and judged by its ownership alone.
#![no_main]

use std::collections::BTreeSet;

use chatd::protocol::{Ownership, PodBoot};
use chatd::record::{MAX_EPOCH, MAX_FORMER, Record, Verdict, judge, next_epoch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lowest = Ownership { epoch: 0, boot: PodBoot(0) };
    let Some(record) = Record::parse(bytes) else {
        assert_eq!(judge(Some(bytes), lowest, &[bytes, b"x"].concat()), Verdict::Lower);
        return;
    };
    assert!(record.epoch <= MAX_EPOCH && record.former.len() <= MAX_FORMER);
    let written = record.to_bytes();
    assert_eq!(Record::parse(&written).as_ref(), Some(&record));

    let held = record.held_seats(3);
    assert!(held.len() <= 3);
    assert_eq!(
        held.iter().map(|(name, _)| name.as_str().to_ascii_lowercase()).collect::<BTreeSet<_>>().len(),
        held.len()
    );
    assert_eq!(held.iter().map(|(_, seat)| seat.seat.0).collect::<BTreeSet<_>>().len(), held.len());

    let named = record.clone().naming(record.former.clone());
    assert!(named.former.len() <= MAX_FORMER && named.former.iter().all(|former| former.boot != record.boot));
    assert_eq!(named.clone().naming(named.former.clone()), named);

    let own = record.ownership();
    let highest = Ownership { epoch: u64::MAX, boot: PodBoot(u64::MAX) };
    assert_eq!(judge(Some(bytes), own, bytes), Verdict::Mine);
    assert_eq!(judge(Some(&written), own, b"meant"), Verdict::MineOther);
    assert_eq!(judge(Some(bytes), highest, b"meant"), Verdict::Lower);
    if own > lowest {
        assert_eq!(judge(Some(bytes), lowest, b"meant"), Verdict::Higher(Box::new(record)));
    }
    assert!(next_epoch(Some(own.epoch), None, 0) > own.epoch);
});
