//! The hub and its followers: what is told is complete and in order, however the log, the ring and the reader meet.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::FutureExt as _;
use proptest::prelude::*;

use super::follow::{Follower, Item};
use super::*;
use crate::model::json::Json;
use crate::model::time::Time;
use crate::store::{EventPage, EventStore, StoreError, StoredEvent};

fn channel(owner: &str, session: &str) -> Channel {
    Channel { owner: owner.parse().unwrap(), session: session.parse().unwrap() }
}

/// A log in memory. An event is durable once it is here; when it is handed over is up to the test.
#[derive(Default)]
struct Log(Mutex<(Vec<(Channel, StoredEvent)>, u64)>);

impl Log {
    fn add(&self, channel: &Channel) -> (u64, Event) {
        let mut log = self.0.lock().unwrap();
        let number = log.0.len() as u64 + 1;
        let (name, body) = ("task.created".to_owned(), format!(r#"{{"type":"task.created","number":{number}}}"#));
        let at = Time::from_millis(number);
        let event = Event {
            chitty_id: channel.owner.clone(),
            session_id: channel.session.clone(),
            at,
            name: name.clone(),
            body: Json::parse(body.clone()).unwrap(),
        };
        log.0.push((channel.clone(), StoredEvent { number, name, at, body }));
        (number, event)
    }

    fn trim(&self, through: u64) {
        let mut log = self.0.lock().unwrap();
        log.1 = log.1.max(through.min(log.0.len() as u64));
    }
}

#[async_trait]
impl EventStore for Log {
    async fn events_after(
        &self,
        owner: &ChittyId,
        session: &SessionId,
        after: u64,
        limit: usize,
    ) -> Result<EventPage, StoreError> {
        let log = self.0.lock().unwrap();
        let (own, trimmed) = (Channel { owner: owner.clone(), session: session.clone() }, log.1);
        let all = log.0.iter().filter(|(channel, event)| *channel == own && event.number > after.max(trimmed));
        let mut events: Vec<_> = all.map(|(_, event)| event.clone()).collect();
        // Short pages, so that there are several.
        let more = events.len() > limit.min(3);
        events.truncate(limit.min(3));
        let through = if more { events.last().unwrap().number } else { after.max(log.0.len() as u64) };
        Ok(EventPage { events, through, more, trimmed })
    }

    async fn trimmed(&self) -> Result<u64, StoreError> {
        Ok(self.0.lock().unwrap().1)
    }

    async fn last_event(&self) -> Result<u64, StoreError> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }
}

fn follow(hub: &Arc<Hub>, log: &Arc<Log>, channel: &Channel, after: Option<u64>) -> Follower<Log> {
    Follower::begin(hub, Arc::clone(log), channel.clone(), after).now_or_never().unwrap().unwrap()
}

/// Everything that a follower has at the moment: numbers, and the ends of gaps.
fn told(follower: &mut Follower<Log>) -> Vec<Told> {
    std::iter::from_fn(|| follower.next().now_or_never()).map(|item| Told::from(&item.unwrap())).take(1000).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Event(u64),
    Gap(u64, u64, bool),
    Closed,
}

impl From<&Item> for Told {
    fn from(item: &Item) -> Self {
        match item {
            Item::Event(message) => Self::Event(message.number),
            Item::Gap { from, to, lost } => Self::Gap(*from, *to, *lost),
            Item::Closed => Self::Closed,
        }
    }
}

#[test]
fn all_followers_of_a_session_are_told_and_nobody_else() {
    let (hub, log) = (Arc::new(Hub::new(16)), Arc::new(Log::default()));
    let (own, others) = (channel("alice", "s"), [channel("alice", "t"), channel("bob", "s")]);
    let mut followers = [follow(&hub, &log, &own, None), follow(&hub, &log, &own, None)];
    let mut strangers = others.each_ref().map(|other| follow(&hub, &log, other, None));
    for _ in 0..3 {
        let (number, event) = log.add(&own);
        hub.publish(number, event);
    }
    let mut same = Vec::new();
    for follower in &mut followers {
        let item = follower.next().now_or_never().unwrap().unwrap();
        let Item::Event(message) = item else { panic!("{item:?}") };
        assert_eq!(message.bytes, "id: 1\ndata: {\"type\":\"task.created\",\"number\":1}\n\n");
        same.push(message.bytes.as_ptr());
        assert_eq!(told(follower), [Told::Event(2), Told::Event(3)]);
        assert_eq!(follower.position(), Some(3));
    }
    assert_eq!(same[0], same[1], "it is made once");
    assert!(strangers.iter_mut().all(|stranger| told(stranger).is_empty() && stranger.position() == Some(3)));
}

#[test]
fn a_ring_is_there_for_as_long_as_somebody_follows() {
    let (hub, log) = (Arc::new(Hub::new(4)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    let first = follow(&hub, &log, &own, None);
    let second = follow(&hub, &log, &own, None);
    assert_eq!(hub.read().len(), 1);
    drop(first);
    let (number, event) = log.add(&own);
    hub.publish(number, event);
    assert!(hub.held.load(Ordering::Relaxed) > 0);
    drop(second);
    assert!(hub.read().is_empty());
    assert_eq!(hub.held.load(Ordering::Relaxed), 0, "nothing is held for nobody");
}

#[test]
fn who_is_too_slow_is_told_what_it_missed_and_costs_the_quick_nothing() {
    let (hub, log) = (Arc::new(Hub::new(4)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    let [mut slow, mut quick] = [follow(&hub, &log, &own, None), follow(&hub, &log, &own, None)];
    assert!(told(&mut slow).is_empty());
    for number in 1..=10 {
        let (number_of, event) = log.add(&own);
        hub.publish(number_of, event);
        assert_eq!(told(&mut quick), [Told::Event(number)]);
    }
    let told_slow = told(&mut slow);
    assert_eq!(told_slow[0], Told::Gap(1, 6, false));
    assert_eq!(told_slow[1..], [7, 8, 9, 10].map(Told::Event));
    // Whoever comes back with the last number that it was told before has all of it.
    assert_eq!(told(&mut follow(&hub, &log, &own, Some(0))), (1..=10).map(Told::Event).collect::<Vec<_>>());
}

#[test]
fn a_ring_that_ran_over_while_the_log_was_read_is_no_gap() {
    let (hub, log) = (Arc::new(Hub::new(2)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    for _ in 0..5 {
        log.add(&own);
    }
    let mut follower = follow(&hub, &log, &own, Some(0));
    for _ in 0..20 {
        let (number, event) = log.add(&own);
        hub.publish(number, event);
    }
    assert_eq!(told(&mut follower), (1..=25).map(Told::Event).collect::<Vec<_>>());
}

#[test]
fn positions_that_the_log_does_not_have_are_told_as_gaps() {
    let (hub, log) = (Arc::new(Hub::new(4)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    for _ in 0..8 {
        log.add(&own);
    }
    log.trim(5);
    assert_eq!(
        told(&mut follow(&hub, &log, &own, Some(2))),
        [Told::Gap(3, 5, true), Told::Event(6), Told::Event(7), Told::Event(8)]
    );
    assert_eq!(told(&mut follow(&hub, &log, &own, Some(5))), [6, 7, 8].map(Told::Event));
    assert_eq!(told(&mut follow(&hub, &log, &own, Some(9))), [Told::Gap(0, 8, true)]);
    assert_eq!(told(&mut follow(&hub, &log, &own, None)), []);
}

#[test]
fn what_the_writer_could_not_hand_over_is_read_from_the_log() {
    let (hub, log) = (Arc::new(Hub::new(4)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    let mut follower = follow(&hub, &log, &own, None);
    for _ in 0..9 {
        log.add(&own);
    }
    assert!(told(&mut follower).is_empty());
    hub.reread(9);
    assert_eq!(told(&mut follower), (1..=9).map(Told::Event).collect::<Vec<_>>());
}

#[test]
fn what_a_ring_has_no_memory_for_is_read_from_the_log() {
    let (hub, log) = (Arc::new(Hub::new(64)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    let mut follower = follow(&hub, &log, &own, None);
    let quarter = Json::parse(format!("\"{}\"", "x".repeat(HELD_BY_ONE / 4))).unwrap();
    for _ in 0..20 {
        let (number, event) = log.add(&own);
        hub.publish(number, Event { body: quarter.clone(), ..event });
    }
    assert!(hub.held.load(Ordering::Relaxed) <= HELD_BY_ONE);
    assert_eq!(told(&mut follower), (1..=20).map(Told::Event).collect::<Vec<_>>());
    assert_eq!(hub.held.load(Ordering::Relaxed), 0);
}

#[test]
fn a_closed_hub_ends_all_who_follow_and_those_who_come() {
    let (hub, log) = (Arc::new(Hub::new(4)), Arc::new(Log::default()));
    let own = channel("alice", "s");
    let mut waiting = follow(&hub, &log, &own, None);
    let mut next = Box::pin(waiting.next());
    assert!(next.as_mut().now_or_never().is_none());
    hub.close();
    assert!(matches!(next.now_or_never(), Some(Ok(Item::Closed))));
    assert!(matches!(follow(&hub, &log, &own, Some(0)).next().now_or_never(), Some(Ok(Item::Closed))));
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An event of the session (or of another one) gets durable.
    Add(bool),
    /// The writer hands over the next event that it has not.
    HandOver,
    /// The writer's engine is opened anew: what it had not handed over stays in the log.
    Reopen,
    /// The follower takes what comes next, if there is anything.
    Take,
    /// The log is cut here.
    Trim(u64),
    /// The follower leaves and comes back with the last number that it has.
    Return,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Add),
        4 => Just(Step::HandOver),
        1 => Just(Step::Reopen),
        6 => Just(Step::Take),
        1 => (0..40_u64).prop_map(Step::Trim),
        1 => Just(Step::Return),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_event_is_told_once_and_in_order_or_is_in_a_gap(
        steps in prop::collection::vec(step(), 1..80), queue in 1_usize..5, before in 0..6_u64, from in prop::option::of(0..8_u64),
    ) {
        let (hub, log) = (Arc::new(Hub::new(queue)), Arc::new(Log::default()));
        let (own, other) = (channel("alice", "s"), channel("bob", "s"));
        let mut waiting = VecDeque::new();
        for _ in 0..before {
            let (number, event) = log.add(&own);
            hub.publish(number, event);
        }
        let mut follower = follow(&hub, &log, &own, from);
        // Everything up to here is accounted for: told, in a gap, another's, or before the beginning.
        let mut known = from.filter(|from| *from <= before).unwrap_or(before);
        let mut items = Vec::new();
        let index = |number: u64| usize::try_from(number).unwrap();
        let take = |item: Told, known: &mut u64| {
            let log = log.0.lock().unwrap();
            if let Told::Event(first) | Told::Gap(first @ 1.., ..) = item {
                prop_assert!(first > *known, "{item:?} after {known}");
                let skipped = &log.0[index(*known)..index(first) - 1];
                prop_assert!(skipped.iter().all(|(channel, _)| *channel == other), "{skipped:?} before {item:?}");
            }
            match item {
                Told::Event(number) => {
                    prop_assert!(log.0[index(number) - 1].0 == own);
                    *known = number;
                }
                Told::Gap(0, to, true) => prop_assert!(from.is_some_and(|from| from > before) && to == before),
                Told::Gap(first, to, _) => {
                    prop_assert!(first <= to);
                    *known = to;
                }
                Told::Closed => prop_assert!(false, "nobody closed it"),
            }
            Ok(())
        };
        for step in steps {
            match step {
                Step::Add(of_us) => waiting.push_back(log.add(if of_us { &own } else { &other })),
                Step::HandOver => {
                    if let Some((number, event)) = waiting.pop_front() {
                        hub.publish(number, event);
                    }
                }
                Step::Reopen => {
                    waiting.clear();
                    hub.reread(log.last_event().now_or_never().unwrap().unwrap());
                }
                Step::Take => {
                    if let Some(item) = follower.next().now_or_never() {
                        let item = Told::from(&item.unwrap());
                        items.push(item);
                        take(item, &mut known)?;
                    } else if let Some(position) = follower.position() {
                        prop_assert!(position >= known);
                        let log = log.0.lock().unwrap();
                        let told = &log.0[index(known)..index(position)];
                        prop_assert!(told.iter().all(|(channel, _)| *channel == other), "{position} after {known}");
                    }
                }
                Step::Trim(through) => log.trim(through),
                Step::Return => {
                    drop(follower);
                    follower = follow(&hub, &log, &own, Some(known));
                }
            }
        }
        while let Some((number, event)) = waiting.pop_front() {
            hub.publish(number, event);
        }
        while let Some(item) = follower.next().now_or_never() {
            take(Told::from(&item.unwrap()), &mut known)?;
        }
        let log = log.0.lock().unwrap();
        let rest = &log.0[index(known)..];
        prop_assert!(rest.iter().all(|(channel, _)| *channel == other), "{rest:?} was never told; told: {items:?}");
        drop(log);
        let told_all = follower.position();
        prop_assert_eq!(told_all, Some(hub.published()));
    }
}
