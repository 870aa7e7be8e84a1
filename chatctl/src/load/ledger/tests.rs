//! What counts as lost, doubled, out of order and cut off. No I/O.

use super::*;

/// Two players who are in.
fn room() -> Ledger {
    let mut ledger = Ledger::new(2);
    ledger.enters(0);
    ledger.enters(1);
    ledger
}

fn said(lines: &[usize]) -> Ledger {
    let mut ledger = room();
    for speaker in lines {
        ledger.says(*speaker);
    }
    ledger
}

#[test]
fn what_all_hear_in_one_order_is_well() {
    let mut ledger = said(&[0, 1, 0]);
    for listener in 0..2 {
        for line in [(0, 1), (1, 1), (0, 2)] {
            assert!(!ledger.is_settled());
            ledger.hears(listener, line);
        }
    }
    assert_eq!(ledger.total(), Count::default());
    assert!(ledger.is_settled());
}

#[test]
fn a_line_that_one_does_not_hear_is_lost() {
    for heard_by_the_other in [&[(0, 2)][..], &[]] {
        let mut ledger = said(&[0, 0]);
        ledger.hears(0, (0, 1));
        ledger.hears(0, (0, 2));
        for line in heard_by_the_other {
            ledger.hears(1, *line);
        }
        assert_eq!(ledger.total().lost, 2 - heard_by_the_other.len() as u64);
    }
}

#[test]
fn a_line_that_comes_twice_is_a_double_and_a_late_one_is_out_of_order() {
    let mut ledger = said(&[0, 0]);
    for line in [(0, 1), (0, 1), (0, 2)] {
        ledger.hears(0, line);
    }
    for line in [(0, 2), (0, 1)] {
        ledger.hears(1, line);
    }
    assert_eq!(ledger.total(), Count { doubled: 1, disordered: 1, ..Count::default() });
}

#[test]
fn two_who_hear_two_speakers_in_different_orders_are_found_out() {
    let mut ledger = said(&[0, 1]);
    for (listener, line) in [(0, (0, 1)), (0, (1, 1)), (1, (1, 1)), (1, (0, 1))] {
        ledger.hears(listener, line);
    }
    assert_eq!(ledger.total(), Count { disordered: 1, ..Count::default() });
}

#[test]
fn who_missed_a_line_first_does_not_make_others_disordered() {
    let mut ledger = said(&[0, 1, 0]);
    ledger.misses(0, Some(1));
    for (listener, line) in [(0, (0, 1)), (0, (0, 2)), (1, (0, 1)), (1, (1, 1)), (1, (0, 2))] {
        ledger.hears(listener, line);
    }
    assert_eq!(ledger.total(), Count { missed: 1, ..Count::default() });
}

#[test]
fn who_missed_a_line_and_hears_the_next_one_first_does_not_either() {
    let mut ledger = said(&[1, 0, 0]);
    ledger.misses(0, Some(1));
    for (listener, line) in [(1, (1, 1)), (0, (0, 1)), (1, (0, 1)), (0, (0, 2)), (1, (0, 2))] {
        ledger.hears(listener, line);
    }
    assert_eq!(ledger.total(), Count { missed: 1, ..Count::default() });
}

#[test]
fn a_line_that_is_put_later_is_out_of_order_for_who_hears_it_earlier() {
    let mut ledger = said(&[1, 0]);
    for (listener, line) in [(1, (1, 1)), (0, (0, 1)), (1, (0, 1)), (0, (1, 1))] {
        ledger.hears(listener, line);
    }
    assert_eq!(ledger.total(), Count { disordered: 1, ..Count::default() });
    assert_eq!(ledger.wrong(), ["p0 heard line 1 of p1 after line 1 of p0, which others heard later"]);
}

#[test]
fn what_is_told_to_be_missed_is_not_lost_and_no_more_than_that() {
    for (told, lost) in [(Some(1), 1), (Some(5), 0), (None, 0)] {
        let mut ledger = said(&[0, 0]);
        ledger.hears(0, (0, 1));
        ledger.hears(0, (0, 2));
        ledger.misses(1, told);
        assert_eq!(ledger.total(), Count { lost, missed: 2 - lost, ..Count::default() });
    }
}

#[test]
fn what_follows_a_break_is_cut_off_and_what_does_not_is_lost() {
    let mut ledger = said(&[0, 0, 0, 0, 0, 0]);
    (1..=6).for_each(|number| ledger.hears(0, (0, number)));
    ledger.hears(1, (0, 1));
    ledger.breaks(1);
    ledger.hears(1, (0, 4));
    assert_eq!(ledger.total(), Count { cut_off: 2, lost: 2, ..Count::default() }, "5 and 6 may come yet");
    ledger.breaks(1);
    ledger.hears(1, (0, 5));
    assert_eq!(ledger.total(), Count { cut_off: 2, lost: 1, ..Count::default() }, "5 came: 6 was not on the way");
    ledger.misses(1, Some(1));
    assert_eq!(ledger.total(), Count { cut_off: 2, missed: 1, ..Count::default() });
}

#[test]
fn a_doubtful_line_is_heard_by_all_or_by_nobody() {
    let mut ledger = said(&[0]);
    ledger.doubts((0, 1));
    assert_eq!(ledger.total(), Count { undelivered: 1, ..Count::default() });
    ledger.hears(1, (0, 1));
    assert_eq!(ledger.total(), Count { lost: 1, ..Count::default() });
    ledger.hears(0, (0, 1));
    assert_eq!(ledger.total(), Count::default());
}

#[test]
fn who_comes_later_does_not_have_to_hear_what_was_before() {
    let mut ledger = Ledger::new(2);
    ledger.enters(0);
    ledger.says(0);
    ledger.hears(0, (0, 1));
    ledger.enters(1);
    assert!(ledger.is_settled());
    ledger.says(0);
    assert_eq!(ledger.total().lost, 2);
}

#[test]
fn a_long_run_takes_no_more_memory() {
    let mut ledger = room();
    for number in 1..=10_000 {
        ledger.says(0);
        ledger.hears(0, (0, number));
        ledger.hears(1, (0, number));
    }
    assert!(ledger.order.len() <= 64 && ledger.is_settled());
}
