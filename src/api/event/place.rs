//! How many streams there may be.
//!
//! An open stream takes some 50 KiB and a file descriptor, whether or not anything happens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

use crate::model::id::KeyId;
use crate::problem::Problem;

/// Streams of one key at once.
const OF_ONE: usize = 10_000;
/// Streams at once.
const OF_ALL: usize = 20_000;

/// Counts streams.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_key: HashMap<KeyId, usize>,
}

/// One stream's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Places>,
    key: KeyId,
}

impl Places {
    /// All are free. What is taken also counts in `gauge`.
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { taken: Mutex::default(), gauge }
    }

    /// A place for a stream of `key`.
    ///
    /// # Errors
    /// 429 when the key has too many, 503 when all together have.
    pub(super) fn take(self: &Arc<Self>, key: &KeyId) -> Result<Place, Problem> {
        let mut taken = self.taken();
        if taken.all >= OF_ALL {
            return Err(Problem::overloaded("too many event streams are open at the moment"));
        }
        let own = taken.by_key.get(key).copied().unwrap_or(0);
        if own >= OF_ONE {
            return Err(Problem::too_many_streams(OF_ONE));
        }
        taken.by_key.insert(key.clone(), own + 1);
        taken.all += 1;
        self.gauge.inc();
        Ok(Place { of: Arc::clone(self), key: key.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_key.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                taken.by_key.remove(&self.key);
            }
        }
        self.of.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_places_and_all_together_so_many_more() {
        let places = Arc::new(Places::new(IntGauge::new("g", "g").unwrap()));
        let [a, b, c]: [KeyId; 3] = ["a", "b", "c"].map(|id| id.parse().unwrap());
        let status = |key: &KeyId| places.take(key).map_err(|problem| problem.status.as_u16()).err();
        let mut of_a: Vec<_> = (0..OF_ONE).map(|_| places.take(&a).unwrap()).collect();
        assert_eq!((status(&a), status(&b)), (Some(429), None));
        let of_b: Vec<_> = (0..OF_ALL - OF_ONE).map(|_| places.take(&b).unwrap()).collect();
        assert_eq!(status(&c), Some(503));
        of_a.pop();
        assert_eq!((status(&a), status(&c)), (None, None));
        drop((of_a, of_b));
        assert_eq!(places.gauge.get(), 0);
        assert!(places.taken().by_key.is_empty());
    }
}
