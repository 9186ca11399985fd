//! What one link asks for, and in which order.

#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn what_is_lowest_is_fetched_first_and_no_content_before_the_session_has_ended() {
    let mut link = Link::new(0, 1, true, None);
    let key = |class: u8, n: u8| SetKey(std::array::from_fn(|i| if i == 0 { class } else { n }));
    let fetched = |link: &mut Link| match link.next_request(0, |_, _| true) {
        Some(Request::Fetch { want, span, .. }) => Some((want, span)),
        _ => None,
    };
    let (audience, active_at) = (Audience::Public, 0);
    link.session = Some(Session {
        id: 1,
        audience,
        outstanding: 1,
        requests: 1,
        found_difference: true,
        head: 0,
        left: 0,
        active_at,
    });
    link.fetch(audience, [(key(1, 5), None)]);
    assert_eq!(fetched(&mut link), None, "cards may still turn out to be lacking");
    link.fetch(audience, [(key(0, 3), Some(key(0, 4))), (key(0, 1), Some(key(0, 2)))]);
    let (want, span) = fetched(&mut link).unwrap();
    assert_eq!(span.0, key(0, 1));
    link.on_versions(0, want, &[key(0, 1)], true, false);
    link.session = None;
    let (want, span) = fetched(&mut link).unwrap();
    assert_eq!(span.0, key(0, 3));
    link.on_versions(0, want, &[key(0, 3)], true, false);
    let (want, _) = fetched(&mut link).unwrap();
    // A cut answer goes on where it ended, unless something lower was found meanwhile.
    link.fetch(audience, [(key(0, 7), Some(key(0, 8)))]);
    link.on_versions(0, want, &[key(1, 6)], true, true);
    let (want, span) = fetched(&mut link).unwrap();
    assert_eq!(span.0, key(0, 7));
    link.on_versions(0, want, &[], true, false);
    assert!(fetched(&mut link).unwrap().1.0 > key(1, 6));
}

fn key(number: usize) -> SetKey {
    SetKey(std::array::from_fn(|i| if i < 8 { (number as u64).to_be_bytes()[i] } else { 0 }))
}

#[test]
fn pairs_wait_to_be_asked_for_up_to_their_limit_and_it_is_told_that_one_more_did_not_fit() {
    let mut link = Link::new(0, 1, true, None);
    let pairs = |numbers: std::ops::Range<usize>| numbers.map(|n| (key(n), Lacking::OtherThan(None)));
    assert!(link.want(Audience::Public, pairs(0..WANT_QUEUE_PAIRS_MAX)));
    assert!(!link.want(Audience::Public, pairs(WANT_QUEUE_PAIRS_MAX..WANT_QUEUE_PAIRS_MAX + 1)));
    assert_eq!((link.wanted.len(), link.wanted_set.len()), (WANT_QUEUE_PAIRS_MAX, WANT_QUEUE_PAIRS_MAX));
    // What was asked for makes room.
    assert!(link.next_request(0, |_, _| true).is_some());
    assert!(link.want(Audience::Public, pairs(WANT_QUEUE_PAIRS_MAX..WANT_QUEUE_PAIRS_MAX + 1)));
}

#[test]
fn spans_wait_to_be_fetched_up_to_their_limit_and_a_neighbour_needs_no_room() {
    let mut link = Link::new(0, 1, true, None);
    let span = |n: usize| (key(3 * n), Some(key(3 * n + 1)));
    link.fetch(Audience::Public, (0..FETCH_QUEUE_SPANS_MAX).map(span));
    assert_eq!(link.fetches.len(), FETCH_QUEUE_SPANS_MAX);
    link.fetch(Audience::Public, [span(FETCH_QUEUE_SPANS_MAX)]);
    let last = span(FETCH_QUEUE_SPANS_MAX - 1);
    assert_eq!((link.fetches.len(), link.fetches.back()), (FETCH_QUEUE_SPANS_MAX, Some(&(Audience::Public, last))));
    let end = key(3 * FETCH_QUEUE_SPANS_MAX);
    link.fetch(Audience::Public, [(last.1.unwrap(), Some(end))]);
    assert_eq!(link.fetches.back(), Some(&(Audience::Public, (last.0, Some(end)))));
}

#[test]
fn wants_are_open_up_to_four_and_the_next_is_sent_when_one_is_answered() {
    let mut link = Link::new(0, 1, true, None);
    let wanted = (0..(WANTS_OPEN_MAX + 1) * WANT_KEYS_MAX).map(|n| (key(n), Lacking::OtherThan(None)));
    assert!(link.want(Audience::Public, wanted));
    let next = |link: &mut Link| match link.next_request(0, |_, _| true) {
        Some(Request::Want { want, keys, .. }) => Some((want, keys.len())),
        _ => None,
    };
    let open: Vec<(u64, usize)> = std::iter::from_fn(|| next(&mut link)).collect();
    assert_eq!(open.len(), WANTS_OPEN_MAX);
    assert!(open.iter().all(|(_, keys)| *keys == WANT_KEYS_MAX));
    link.on_versions(0, open[0].0, &[], true, false);
    assert!(next(&mut link).is_some());
    assert_eq!(next(&mut link), None);
}

#[test]
fn the_budget_of_comparisons_is_used_up_at_once_and_fills_each_second() {
    let (burst, second) = (COMPARED_RANGES_BURST as usize, COMPARED_RANGES_PER_SECOND as usize);
    let mut link = Link::new(0, 1, true, None);
    assert!(link.may_compare(0, burst));
    assert!(!link.may_compare(0, 1));
    assert!(link.may_compare(1_000, second));
    assert!(!link.may_compare(1_000, 1));
    // However long nothing is asked, there is no more than at first.
    let later = 1_000 * (COMPARED_RANGES_BURST / COMPARED_RANGES_PER_SECOND + 100);
    assert!(link.may_compare(later, burst));
    assert!(!link.may_compare(later, 1));
    assert!(!Link::new(0, 1, true, None).may_compare(0, burst + 1));
}

#[test]
fn spans_in_which_nothing_is_are_given_up_after_so_many_in_a_row_and_not_before() {
    let audience = Audience::Public;
    let key = |n: u32| SetKey(std::array::from_fn(|i| if i < 4 { n.to_be_bytes()[i] } else { 0 }));
    let span = |n: u32| (key(2 * n), Some(key(2 * n + 1)));
    let answer = |link: &mut Link, keys: &[SetKey]| {
        let Some(Request::Fetch { want, .. }) = link.next_request(0, |_, _| true) else { panic!("a fetch is due") };
        link.on_versions(0, want, keys, true, false);
    };
    let mut link = Link::new(0, 1, true, None);
    link.fetch(audience, (0..3 * EMPTY_FETCHES_MAX).map(span));
    (1..EMPTY_FETCHES_MAX).for_each(|_| answer(&mut link, &[]));
    answer(&mut link, &[key(2 * (EMPTY_FETCHES_MAX - 1))]);
    (1..EMPTY_FETCHES_MAX).for_each(|_| answer(&mut link, &[]));
    assert_eq!(link.fetches.len() as u32, EMPTY_FETCHES_MAX + 1, "one that brought something counts from the start");
    answer(&mut link, &[]);
    assert!(!link.is_asking(), "the rest is given up");
    link.fetch(audience, [span(0), span(1)]);
    answer(&mut link, &[]);
    assert_eq!(link.fetches.len(), 1, "what is found later is asked for");
}

#[test]
fn where_cards_had_to_be_forgotten_no_content_is_fetched_until_sets_are_compared_again_but_for_the_fourth_time() {
    let mut link = Link::new(0, 1, true, None);
    let place = |class: u8, n: u8| SetKey(std::array::from_fn(|i| if i == 0 { class } else { n }));
    let session = || {
        let (audience, active_at) = (Audience::Public, 0);
        Session { id: 1, audience, outstanding: 1, requests: 1, found_difference: true, head: 0, left: 0, active_at }
    };
    // A fetch of everything whose first answer ends amid content.
    let goes_on = |link: &mut Link| {
        link.begin_session(session());
        link.fetch(Audience::Public, [(place(0, 0), None)]);
        let Some(Request::Fetch { want, .. }) = link.next_request(0, |_, _| true) else { panic!("cards are fetched") };
        link.note_cards_lacking();
        link.on_versions(0, want, &[place(2, 1)], true, true);
        link.session = None;
        let next = link.next_request(0, |_, _| true);
        if let Some(Request::Fetch { want, .. }) = next {
            link.on_versions(0, want, &[], true, false);
        }
        next.is_some()
    };
    let rounds: Vec<bool> = (0..=CARD_ROUNDS_MAX).map(|_| goes_on(&mut link)).collect();
    assert_eq!(rounds, [false, false, false, true]);
}
