use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::store::embedded::opens;
use crate::store::kv::{Batch, Direction, Kv};
use crate::store::{Durability, Engine};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A short key, so that many are met again.
fn key(rng: &mut StdRng) -> Vec<u8> {
    let length = rng.random_range(1..4);
    (0..length).map(|_| rng.random_range(b'a'..b'e')).collect()
}

fn bound(rng: &mut StdRng) -> Bound<Vec<u8>> {
    match rng.random_range(0..3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(rng)),
        _ => Bound::Excluded(key(rng)),
    }
}

/// Up to `limit` entries.
fn shown(kv: &dyn Kv, range: (&Bound<Vec<u8>>, &Bound<Vec<u8>>), direction: Direction, limit: usize) -> Entries {
    let mut entries = Vec::new();
    let range = (range.0.as_ref().map(Vec::as_slice), range.1.as_ref().map(Vec::as_slice));
    kv.range(range, direction, &mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        if entries.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    entries
}

fn all(kv: &dyn Kv) -> Entries {
    let mut entries = Vec::new();
    kv.read_all(&mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    entries
}

async fn an_engine_is_an_ordered_map_over_batches_restarts_and_compactions(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let open = |durability| opens(engine, durability)(folder.path()).unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    let mut model = BTreeMap::new();
    let mut kv = open(Durability::PowerLoss);
    for round in 0..300 {
        let mut batch = Batch::new();
        for _ in 0..rng.random_range(1..20) {
            let value = rng.random_bool(0.6).then(|| vec![rng.random(); rng.random_range(0..5000)]);
            batch.insert(key(&mut rng), value);
        }
        for (key, value) in batch.clone() {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        kv.apply(batch).and_then(|()| kv.sync()).unwrap();
        let wanted = key(&mut rng);
        assert_eq!(kv.get(&wanted).unwrap(), model.get(&wanted).cloned());
        let (from, to) = (bound(&mut rng), bound(&mut rng));
        let within = |key: &[u8]| {
            let after = match &from {
                Bound::Unbounded => true,
                Bound::Included(from) => key >= from.as_slice(),
                Bound::Excluded(from) => key > from.as_slice(),
            };
            after
                && match &to {
                    Bound::Unbounded => true,
                    Bound::Included(to) => key <= to.as_slice(),
                    Bound::Excluded(to) => key < to.as_slice(),
                }
        };
        let limit = rng.random_range(1..60);
        let entries = || model.iter().filter(|(key, _)| within(key)).map(|(key, value)| (key.clone(), value.clone()));
        let forward: Entries = entries().take(limit).collect();
        assert!(shown(&*kv, (&from, &to), Direction::Forward, limit) == forward, "{from:?} to {to:?}");
        let backward: Entries = entries().rev().take(limit).collect();
        assert!(shown(&*kv, (&from, &to), Direction::Backward, limit) == backward, "{to:?} back to {from:?}");
        if round % 60 == 30 {
            kv.compact().unwrap();
        }
        if round % 60 == 50 {
            drop(kv);
            kv = open(if round < 150 { Durability::PowerLoss } else { Durability::ProcessCrash });
        }
        assert!(all(&*kv) == model.clone().into_iter().collect::<Entries>(), "round {round}");
    }
}

async fn a_batch_is_seen_whole(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let kv = opens(engine, Durability::ProcessCrash)(folder.path()).unwrap();
    let batch =
        |number: u32| -> Batch { (b'a'..=b'y').map(|key| (vec![key], Some(number.to_be_bytes().to_vec()))).collect() };
    kv.apply(batch(0)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..2000).try_for_each(|number| kv.apply(batch(number))));
        while !writer.is_finished() {
            let entries = all(&*kv);
            assert_eq!(entries.len(), 25);
            if engine == Engine::Fjall {
                assert!(entries.iter().all(|(_, value)| *value == entries[0].1), "{entries:?}");
            }
        }
        writer.join().unwrap().unwrap();
    });
}

on_each_engine! {
    an_engine_is_an_ordered_map_over_batches_restarts_and_compactions,
    a_batch_is_seen_whole,
}
