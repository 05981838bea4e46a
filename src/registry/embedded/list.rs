//! What is listed of the registrations: those that were heard of within their time. A timer ends the others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::EmbeddedConfig;
use crate::model::name::ServiceKey;
use crate::model::registration::Registration;
use crate::model::service::{Declaration, Rejected};
use crate::model::time::Time;
use crate::registry::document::{Context, Document, read_entry};
use crate::registry::source::{Caller, Outcome, Report, describe};
use crate::store::RegistrationStore;
use crate::upstream::guard::Guard;

/// A store that cannot be read is read again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// What the task that lists registrations needs.
pub(in crate::registry) struct EmbeddedTask {
    pub(in crate::registry) task: u64,
    pub(in crate::registry) config: EmbeddedConfig,
    pub(in crate::registry) context: Context,
    /// `None` where no daemon runs that services could register with.
    pub(in crate::registry) store: Option<Arc<dyn RegistrationStore>>,
    /// How often it says that its list still holds, if nothing changes.
    pub(in crate::registry) interval: Duration,
    pub(in crate::registry) reports: mpsc::Sender<Report>,
    pub(in crate::registry) calls: mpsc::Receiver<Caller>,
}

impl EmbeddedTask {
    /// Lists until `cancel`, or until nobody listens.
    pub(in crate::registry) async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut reader = Reader::new(&self.config, self.context.clone());
        let mut callers = Vec::new();
        loop {
            while let Ok(caller) = self.calls.try_recv() {
                callers.push(caller);
            }
            let (outcome, wait) = self.list(&mut reader).await;
            let report = Report { task: self.task, outcome, callers: std::mem::take(&mut callers) };
            if self.reports.send(report).await.is_err() {
                return;
            }
            tokio::select! {
                () = sleep(wait.min(self.interval)) => {}
                Some(caller) = self.calls.recv() => callers.push(caller),
            }
        }
    }

    async fn list(&self, reader: &mut Reader) -> (Outcome, Duration) {
        let Some(store) = &self.store else {
            let why = "services register themselves with a daemon that runs, and are known to it alone";
            return (Outcome::Failed(why.to_owned()), self.interval);
        };
        match store.registrations().await {
            Ok(all) => {
                let (document, wait) = reader.read(&all, Time::now());
                (Outcome::List(document), wait)
            }
            Err(error) => (Outcome::Failed(describe(&error)), RETRY),
        }
    }
}

/// What an entry says, or why it cannot be used.
type Read = Result<Declaration, Rejected>;

/// Registrations → a list. Entries that did not change are not read again.
#[derive(Debug)]
struct Reader {
    ttl: Duration,
    context: Context,
    guard: Guard,
    read: HashMap<ServiceKey, (Arc<str>, Read)>,
    /// Those that were listed when the daemon ended, and until when they may be heard of again.
    awaited: Option<(HashSet<ServiceKey>, Time)>,
}

impl Reader {
    fn new(config: &EmbeddedConfig, context: Context) -> Self {
        let guard = Guard::new(config.allowed_networks.as_slice().into(), Arc::clone(&context.own_addresses));
        Self { ttl: config.ttl, context, guard, read: HashMap::new(), awaited: None }
    }

    /// The list at `now`, and how long it holds if nobody is heard of.
    fn read(&mut self, all: &[Arc<Registration>], now: Time) -> (Document, Duration) {
        let ttl = self.ttl;
        let (awaited, awaited_until) = self.awaited.get_or_insert_with(|| {
            // The last thing that happened is as near to the end of the daemon before as is known: whoever's time was
            // over by then was not listed.
            let last = all.iter().map(|one| one.updated_at).max().unwrap_or(now);
            let listed = all.iter().filter(|one| one.expires_at > last).map(|one| one.name.clone());
            (listed.collect(), now.after(ttl))
        });
        if *awaited_until <= now {
            awaited.clear();
        }
        let mut document = Document { entries: all.len(), ..Document::default() };
        let mut holds = Duration::MAX;
        let mut read = HashMap::with_capacity(all.len());
        for (index, one) in all.iter().enumerate() {
            let until = if awaited.contains(&one.name) { one.expires_at.max(*awaited_until) } else { one.expires_at };
            let left = until.as_millis().saturating_sub(now.as_millis());
            if left == 0 {
                continue;
            }
            holds = holds.min(Duration::from_millis(left));
            let known = self.read.remove(&one.name).filter(|(entry, _)| Arc::ptr_eq(entry, &one.entry));
            let (entry, result) =
                known.unwrap_or_else(|| (Arc::clone(&one.entry), declaration(one, &self.context, &self.guard)));
            match &result {
                Ok(declaration) => document.declarations.push(declaration.clone()),
                Err(rejected) => document.rejected.push(Rejected { index, ..rejected.clone() }),
            }
            read.insert(one.name.clone(), (entry, result));
        }
        self.read = read;
        (document, holds)
    }
}

/// What the entry of a registration says. Its name is the one that it is registered under, whatever the entry says.
fn declaration(one: &Registration, context: &Context, guard: &Guard) -> Read {
    let rejected = |reason| Rejected { index: 0, id: Some(one.name.to_string()), base_url: None, reason };
    let entry = serde_json::from_str(&one.entry).map_err(|_| rejected("its record is damaged".to_owned()))?;
    let read = read_entry(&entry, context, Some(guard)).map_err(|flaw| rejected(flaw.reason))?;
    Ok(Declaration { id: Some(one.name.clone()), ..read })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::document::tests::context;

    const TTL: u64 = 1000;

    fn registration(name: &str, heard: u64, url: &str) -> Arc<Registration> {
        Arc::new(Registration {
            name: ServiceKey::parse(name).unwrap(),
            owner: "alice".parse().unwrap(),
            entry: format!("{{\"name\":\"{name}\",\"url\":\"{url}\"}}").into(),
            registered_at: Time::from_millis(1),
            updated_at: Time::from_millis(heard),
            expires_at: Time::from_millis(heard + TTL),
        })
    }

    fn reader(allowed: &[&str]) -> Reader {
        let allowed_networks = allowed.iter().map(|net| net.parse().unwrap()).collect();
        let config = EmbeddedConfig { ttl: Duration::from_millis(TTL), allowed_networks };
        Reader::new(&config, context())
    }

    fn listed(reader: &mut Reader, all: &[Arc<Registration>], now: u64) -> (Vec<String>, u128) {
        let (document, holds) = reader.read(all, Time::from_millis(now));
        let ids = document.declarations.into_iter().map(|one| one.id.unwrap().to_string()).collect();
        (ids, holds.as_millis())
    }

    #[test]
    fn a_service_is_listed_for_its_time_and_again_when_it_is_heard_of() {
        let mut reader = reader(&[]);
        let none: [Arc<Registration>; 0] = [];
        assert_eq!(listed(&mut reader, &none, 5).0, [""; 0]);
        let (a, b) = (registration("a", 100, "https://a.example"), registration("b", 300, "https://b.example"));
        let both = [a, b.clone()];
        assert_eq!(listed(&mut reader, &both, 400), (vec!["a".to_owned(), "b".to_owned()], 700));
        assert_eq!(listed(&mut reader, &both, 1100), (vec!["b".to_owned()], 200));
        let again = [registration("a", 1200, "https://a.example"), b];
        assert_eq!(listed(&mut reader, &again, 1250).0, ["a", "b"]);
        assert_eq!(listed(&mut reader, &again, 9999), (vec![], Duration::MAX.as_millis()));
    }

    #[test]
    fn after_a_restart_whoever_was_listed_has_a_whole_ttl_to_be_heard_of() {
        let long_gone = registration("gone", 100, "https://a.example");
        let (one, two) =
            (registration("one", 5000, "https://b.example"), registration("two", 5900, "https://c.example"));
        let all = [long_gone, one, two];
        let mut reader = reader(&[]);
        let day = 24 * 3600 * 1000;
        assert_eq!(listed(&mut reader, &all, day), (vec!["one".to_owned(), "two".to_owned()], u128::from(TTL)));
        assert_eq!(listed(&mut reader, &all, day + TTL - 1).0, ["one", "two"]);
        assert_eq!(listed(&mut reader, &all, day + TTL).0, [""; 0]);
    }

    #[test]
    fn what_may_no_longer_be_pointed_at_is_set_aside_with_its_reason() {
        let all = [registration("a", 100, "http://10.0.0.1:80"), registration("b", 100, "https://b.example")];
        assert_eq!(listed(&mut reader(&["10.0.0.0/8"]), &all, 200).0, ["a", "b"]);
        let (document, _) = reader(&[]).read(&all, Time::from_millis(200));
        let [rejected] = &document.rejected[..] else { panic!("{document:?}") };
        assert_eq!((rejected.index, rejected.id.as_deref()), (0, Some("a")));
        assert!(rejected.reason.contains("a private address"), "{}", rejected.reason);
    }
}
