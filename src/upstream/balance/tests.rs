use std::sync::Arc;

use http::HeaderValue;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::model::service::EndpointUrl;
use crate::upstream::endpoint::Endpoints;
use crate::upstream::member::MemberState;

fn members(weights: &[u16]) -> Vec<Member> {
    let endpoints = Endpoints::default();
    let member = |(index, &weight): (usize, &u16)| {
        let url = EndpointUrl::parse(&format!("http://10.0.0.{index}:80")).unwrap();
        Member {
            hash: xxh3_64(url.to_string().as_bytes()),
            endpoint: endpoints.intern(&url, None),
            host: HeaderValue::from_static("x"),
            sni: "".into(),
            weight,
            state: Arc::new(MemberState::new()),
        }
    };
    weights.iter().enumerate().map(member).collect()
}

fn counts(how: Balance, weights: &[u16], requests: u64, fits: impl Fn(usize) -> bool) -> Vec<u64> {
    let members = members(weights);
    let balancer = Balancer::new(how, &members);
    let mut counts = vec![0; weights.len()];
    for turn in 0..requests {
        let seed = if how == Balance::ConsistentHash { mix(turn) } else { turn };
        counts[balancer.choose(&members, seed, &fits).unwrap()] += 1;
    }
    counts
}

#[test]
fn equal_members_take_strict_turns() {
    assert_eq!(counts(Balance::RoundRobin, &[1, 1, 1], 300, |_| true), [100, 100, 100]);
    let members = members(&[7, 7]);
    let balancer = Balancer::new(Balance::RoundRobin, &members);
    let order: Vec<_> = (0..4).map(|turn| balancer.choose(&members, turn, |_| true)).collect();
    assert_eq!(order, [Some(0), Some(1), Some(0), Some(1)]);
}

#[test]
fn weights_are_kept_to_within_a_few_requests_of_any_run() {
    let counted = counts(Balance::RoundRobin, &[1, 2, 7], 1000, |_| true);
    for (count, wanted) in counted.iter().zip([100_u64, 200, 700]) {
        assert!(count.abs_diff(wanted) <= 10, "{counted:?}");
    }
}

#[test]
fn what_is_left_out_is_spread_over_all_others() {
    for how in [Balance::RoundRobin, Balance::LeastRequests, Balance::ConsistentHash] {
        let counted = counts(how, &[1, 1, 1, 1], 4000, |index| index != 2);
        assert_eq!(counted[2], 0, "{how:?}");
        assert!([0, 1, 3].iter().all(|&index| counted[index] > 1000), "{how:?}: {counted:?}");
    }
}

#[test]
fn a_weighted_hash_gives_by_weight() {
    let counted = counts(Balance::ConsistentHash, &[1, 3], 8000, |_| true);
    assert!((1800..2200).contains(&counted[0]), "{counted:?}");
}

#[test]
fn the_less_busy_of_two_is_taken() {
    let members = members(&[1, 1]);
    let balancer = Balancer::new(Balance::LeastRequests, &members);
    let _busy = members[0].state.enter();
    assert!((0..100).all(|seed| balancer.choose(&members, seed, |_| true) == Some(1)));
    let heavy = super::tests::members(&[10, 1]);
    let balancer = Balancer::new(Balance::LeastRequests, &heavy);
    let _some = (heavy[0].state.enter(), heavy[0].state.enter());
    assert!(
        (0..100).all(|seed| balancer.choose(&heavy, seed, |_| true) == Some(0)),
        "two of ten are fewer than none of one"
    );
}

proptest! {
    #[test]
    fn one_that_leaves_moves_only_what_it_had(hashes in prop::collection::vec(any::<u64>(), 1..200), gone in 0_usize..5) {
        let members = members(&[1, 1, 2, 1, 3]);
        let balancer = Balancer::new(Balance::ConsistentHash, &members);
        for hash in hashes {
            let before = balancer.choose(&members, hash, |_| true).unwrap();
            let after = balancer.choose(&members, hash, |index| index != gone).unwrap();
            prop_assert!(before == after || before == gone);
        }
    }

    #[test]
    fn only_what_fits_is_chosen_and_something_always_is(
        weights in prop::collection::vec(1_u16..1000, 1..9),
        fit in any::<u16>(),
        seed in any::<u64>(),
    ) {
        let members = members(&weights);
        let fits = |index: usize| fit & (1 << index) != 0;
        let any = (0..members.len()).any(fits);
        for how in [Balance::RoundRobin, Balance::LeastRequests, Balance::ConsistentHash] {
            let chosen = Balancer::new(how, &members).choose(&members, seed, fits);
            prop_assert_eq!(chosen.is_some(), any);
            prop_assert!(chosen.is_none_or(fits));
        }
    }
}
