//! Which of a service's endpoints a request is sent to.
//!
//! While everything is well a choice costs the same whatever their number, but under consistent hashing, which looks at
//! each. Where something is left out, all are looked at, and what would have gone there is spread over the others.

use super::member::Member;
use crate::model::service::Balance;

/// The fraction of the golden ratio, in 64 bits: turns multiplied by it fall evenly everywhere.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Chooses among the members of one service.
#[derive(Debug)]
pub(super) struct Balancer {
    how: Balance,
    /// Sums of the weights up to each member; empty where all are equal.
    sums: Box<[u64]>,
}

impl Balancer {
    pub(super) fn new(how: Balance, members: &[Member]) -> Self {
        let equal = members.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let mut sum = 0;
        let sums = members.iter().map(|member| {
            sum += u64::from(member.weight);
            sum
        });
        Self { how, sums: if equal { Box::default() } else { sums.collect() } }
    }

    /// The member for a request: one that `fits`, or `None`. `seed` is its turn, or the hash that decides.
    pub(super) fn choose(&self, members: &[Member], seed: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let wanted = match self.how {
            _ if members.len() < 2 => (!members.is_empty()).then_some(0),
            Balance::RoundRobin => Some(self.by_turn(members.len(), seed)),
            Balance::LeastRequests => fewer_requests(members, seed, &fits),
            Balance::ConsistentHash => return closest(members, seed, fits),
        };
        wanted.filter(|&index| fits(index)).or_else(|| spread(members, seed, fits))
    }

    fn by_turn(&self, count: usize, turn: u64) -> usize {
        let Some(&total) = self.sums.last() else { return below(turn, count) };
        let at = scaled(turn.wrapping_mul(GOLDEN), total);
        self.sums.partition_point(|&sum| sum <= at)
    }
}

/// `turn` modulo `count`.
fn below(turn: u64, count: usize) -> usize {
    usize::try_from(turn % count as u64).unwrap_or_default()
}

/// A number of 64 bits as one below `total`.
fn scaled(bits: u64, total: u64) -> u64 {
    u64::try_from((u128::from(bits) * u128::from(total)) >> 64).unwrap_or_default()
}

/// Of two random members that fit the one with fewer requests for its weight (Mitzenmacher, "The Power of Two Choices in
/// Randomized Load Balancing", 2001).
fn fewer_requests(members: &[Member], seed: u64, fits: &impl Fn(usize) -> bool) -> Option<usize> {
    let bits = mix(seed);
    let first = below(bits >> 32, members.len());
    // Another one than the first.
    let second = (first + 1 + below(bits & 0xffff_ffff, members.len() - 1)) % members.len();
    match (fits(first), fits(second)) {
        (true, true) => {
            let load = |index: usize| u64::from(members[index].state.in_flight()) + 1;
            let weight = |index: usize| u64::from(members[index].weight);
            Some(if load(first) * weight(second) <= load(second) * weight(first) { first } else { second })
        }
        (true, false) => Some(first),
        (false, true) => Some(second),
        (false, false) => None,
    }
}

/// The member with the highest score for `hash` (rendezvous hashing; Thaler and Ravishankar, 1998): one that leaves takes
/// along only what it had.
fn closest(members: &[Member], hash: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let score = |index: usize| {
        let member = &members[index];
        let drawn = mix(hash ^ member.hash);
        #[allow(clippy::cast_precision_loss, reason = "53 bits of a random number are enough")]
        let unit = ((drawn >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        // Weighted: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005.
        -f64::from(member.weight) / unit.ln()
    };
    (0..members.len()).filter(|&index| fits(index)).max_by(|&a, &b| score(a).total_cmp(&score(b)))
}

/// One of all that fit, by weight.
fn spread(members: &[Member], seed: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let fitting = || members.iter().enumerate().filter(|(index, _)| fits(*index));
    let total: u64 = fitting().map(|(_, member)| u64::from(member.weight)).sum();
    // What fits can change while it is looked at: then whatever comes last is as good.
    let mut left = scaled(mix(seed), total);
    let mut last = None;
    for (index, member) in fitting() {
        last = Some(index);
        match left.checked_sub(u64::from(member.weight)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    last
}

/// A number that shares nothing with `seed` but being the same each time (`SplitMix64`; Steele, Lea and Flood, 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
