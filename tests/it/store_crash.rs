//! SIGKILL at random moments: what was acknowledged is there, what was not is there whole or not at all.
//!
//! `CHITTY_TEST_LONG=1` makes it 100 rounds for each engine instead of a few, `CHITTY_TEST_SEED` repeats one.

use std::collections::{BTreeMap, BTreeSet};
use std::hint;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;

use chittyconnect::model::task::Task;
use chittyconnect::store::Engine;
use rand::distr::{Alphanumeric, SampleString as _};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::support::eventually::DEADLINE;
use crate::support::store::{self, Inside, has_copies, on_each_engine};
use crate::support::task::at;
use crate::support::{Answer, Ask, Client, Daemon, Ending, Signal, TASKS, Tenant};

/// Clients at once, each with a connection of its own that is kept open.
const CLIENTS: u64 = 6;

/// A number for each write, from which everything that it writes follows.
type Stamp = u64;
/// From here on a write is a long one, and cannot be compressed.
const HEAVY: Stamp = 1 << 32;

/// What a write with this stamp leaves in a task: `PATCH` can change these, and every index entry moves with them.
fn written(stamp: Stamp) -> Value {
    let pick = |of: usize| usize::try_from(stamp).unwrap() % of;
    let description = if stamp >= HEAVY {
        let mut rng = StdRng::seed_from_u64(stamp);
        Alphanumeric.sample_string(&mut rng, 60_000)
    } else {
        let length = 1 + usize::try_from(stamp.wrapping_mul(7919) % 9000).unwrap();
        "0123456789".repeat(length / 10 + 1)[..length].to_owned()
    };
    let status = ["pending", "in_progress"][pick(2)];
    let priority = ["low", "normal", "high", "urgent"][pick(4)];
    let service = [None, Some("svc-a"), Some("svc-b")][pick(3)];
    json!({
        "title": stamp.to_string(),
        "description": description,
        "status": status,
        "priority": priority,
        "assigned_service": service,
        "result": {"stamp": stamp},
    })
}

/// A task begins with less than a change can write.
fn begun(stamp: Stamp) -> Value {
    let mut body = written(stamp);
    let fields = body.as_object_mut().unwrap();
    fields.retain(|name, _| name != "status" && name != "result");
    fields.insert("metadata".to_owned(), json!({ "stamp": stamp }));
    body
}

/// The same of what is stored.
fn stored(task: &Task) -> Value {
    let result: Option<Value> = task.result.as_ref().map(|json| serde_json::from_str(json.text()).unwrap());
    json!({
        "title": task.title,
        "description": task.description,
        "status": task.status,
        "priority": task.priority,
        "assigned_service": task.assigned_service,
        "result": result,
    })
}

/// What a task looks like if its last write had this stamp.
fn expected(stamp: Stamp, version: u64) -> Value {
    let mut fields = written(stamp);
    if version == 1 {
        fields["status"] = json!("pending");
        fields["result"] = Value::Null;
    }
    fields
}

/// What is known of a task from answers.
#[derive(Clone, Debug, Default)]
struct Known {
    tenant: usize,
    /// By version.
    acknowledged: BTreeMap<u64, Stamp>,
    /// Asked for, but not answered before the end.
    unknown: BTreeSet<Stamp>,
}

/// What was asked for and what was answered.
#[derive(Debug, Default)]
struct Ledger {
    last_stamp: Stamp,
    tasks: BTreeMap<String, Known>,
    /// Tasks that were asked for without an answer, with their tenant.
    creations: BTreeMap<Stamp, usize>,
}

/// One request.
#[derive(Debug)]
enum Asked {
    Creation(usize, Stamp),
    Change(String, Stamp),
}

impl Ledger {
    /// Decides about the next request and notes that its outcome is unknown.
    fn next(&mut self, rng: &mut StdRng, tenants: usize) -> (Asked, usize) {
        self.last_stamp += 1;
        let stamp = self.last_stamp;
        let ids: Vec<&String> = self.tasks.keys().collect();
        // A few that everybody changes, and all the others.
        let hot = &ids[..ids.len().min(3)];
        let chosen = if rng.random_bool(0.3) { hot } else { &ids[..] }.choose(rng);
        match chosen.filter(|_| rng.random_bool(0.7)).map(|id| (*id).clone()) {
            Some(id) => {
                let known = self.tasks.get_mut(&id).unwrap();
                known.unknown.insert(stamp);
                (Asked::Change(id, stamp), known.tenant)
            }
            None => {
                let tenant = rng.random_range(0..tenants);
                self.creations.insert(stamp, tenant);
                (Asked::Creation(tenant, stamp), tenant)
            }
        }
    }

    /// Notes an answer that came whole.
    fn acknowledge(&mut self, asked: &Asked, answer: &Answer) {
        assert_eq!(answer.status(), 200, "{asked:?}: {}", answer.text());
        let version: u64 = answer.header("etag").unwrap().trim_matches('"').parse().unwrap();
        match asked {
            Asked::Creation(tenant, stamp) => {
                assert_eq!(version, 1, "a new task");
                let id = answer.json()["task_id"].as_str().unwrap().to_owned();
                self.creations.remove(stamp);
                self.begin(&id, *tenant, *stamp);
            }
            Asked::Change(id, stamp) => {
                let known = self.tasks.get_mut(id).unwrap();
                known.unknown.remove(stamp);
                let before = known.acknowledged.insert(version, *stamp);
                assert_eq!(before, None, "{id} became version {version} twice");
            }
        }
    }

    fn begin(&mut self, id: &str, tenant: usize, stamp: Stamp) {
        let known = Known { tenant, acknowledged: BTreeMap::from([(1, stamp)]), unknown: BTreeSet::new() };
        assert!(self.tasks.insert(id.to_owned(), known).is_none(), "{id} was given twice");
    }

    /// Compares what is in the store with what was answered; what was found is what is known from then on.
    fn compare(&mut self, inside: &Inside) {
        assert_eq!(inside.report.findings, Vec::<String>::new());
        let mut missing: BTreeSet<String> = self.tasks.keys().cloned().collect();
        let mut changes = 0;
        for task in &inside.tasks {
            let id = task.task_id.to_string();
            let stamp: Stamp = task.title.parse().unwrap();
            let version = task.version;
            changes += version;
            assert_eq!(stored(task), expected(stamp, version), "{id}, version {version}, is not whole");
            if !missing.remove(&id) {
                let tenant = self.creations.remove(&stamp);
                let tenant = tenant.unwrap_or_else(|| panic!("nobody asked for {id}, by {stamp}, or twice there"));
                assert_eq!(version, 1, "nobody could change {id}");
                self.begin(&id, tenant, stamp);
                continue;
            }
            let known = self.tasks.get_mut(&id).unwrap();
            let (last, by) = known.acknowledged.last_key_value().map(|(version, stamp)| (*version, *stamp)).unwrap();
            assert!(version >= last, "{id}: version {last}, by {by}, was acknowledged, and it is version {version}");
            if version == last {
                assert_eq!(stamp, by, "{id}, version {version}");
            } else {
                let ahead = usize::try_from(version - last).unwrap();
                assert!(ahead <= known.unknown.len(), "{id}: version {version} is too far ahead of {known:?}");
                assert!(known.unknown.contains(&stamp), "{id}: {stamp} was not the last to be asked for: {known:?}");
            }
            known.acknowledged = BTreeMap::from([(version, stamp)]);
            known.unknown.clear();
        }
        assert!(missing.is_empty(), "acknowledged, and not there: {missing:?}");
        let events = inside.report.entries.get(&'e').copied().unwrap_or(0);
        assert_eq!(events, changes, "every version of a task has its event");
    }
}

/// What every client needs.
struct Round<'a> {
    port: u16,
    tenants: &'a [Tenant],
    ledger: &'a Mutex<Ledger>,
}

impl Round<'_> {
    /// Asks until the daemon is gone, and tells of every answer.
    fn ask_until_the_end(&self, mut rng: StdRng, answered: &Sender<()>) {
        let mut client = Client::connect(self.port);
        loop {
            let (asked, tenant) = self.ledger.lock().unwrap().next(&mut rng, self.tenants.len());
            let tenant = &self.tenants[tenant];
            let request = match &asked {
                Asked::Creation(_, stamp) => once(tenant, *stamp),
                Asked::Change(id, stamp) => tenant.patch(id, &written(*stamp)),
            };
            client.send(request.to_bytes());
            match client.try_answer("POST") {
                Ok(answer) if answer.ending == Ending::Whole => {
                    self.ledger.lock().unwrap().acknowledge(&asked, &answer);
                }
                _ => return,
            }
            // Nobody counts any more once the end has come.
            let _ = answered.send(());
        }
    }
}

/// Asks for a task that is made once, however often this is sent.
fn once(tenant: &Tenant, stamp: Stamp) -> Ask {
    let body = begun(stamp).to_string();
    tenant.ask("POST", TASKS).header("Idempotency-Key", &stamp.to_string()).body(body)
}

/// Asks again for what was asked for when the end came: a request that is repeated is done once.
fn repeat_unanswered(daemon: &Daemon, tenants: &[Tenant], ledger: &mut Ledger, unanswered: &BTreeMap<Stamp, usize>) {
    let by_stamp = |ledger: &Ledger| -> BTreeMap<Stamp, String> {
        let tasks = ledger.tasks.iter();
        tasks.map(|(id, known)| (*known.acknowledged.values().next().unwrap(), id.clone())).collect()
    };
    let there = by_stamp(ledger);
    let mut client = daemon.connect();
    for (stamp, tenant) in unanswered {
        let answer = client.ask(&once(&tenants[*tenant], *stamp));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let id = answer.json()["task_id"].as_str().unwrap().to_owned();
        match there.get(stamp) {
            Some(first) => assert_eq!(*first, id, "the answer that did not come"),
            None => {
                ledger.creations.remove(stamp);
                ledger.begin(&id, *tenant, *stamp);
            }
        }
        assert_eq!(client.ask(&tenants[*tenant].ask("GET", &at(&id))).status(), 200);
    }
}

/// A store that is used, left and used again.
struct Trial {
    engine: Engine,
    daemon: Daemon,
    tenants: [Tenant; 3],
    ledger: Ledger,
    rng: StdRng,
}

impl Trial {
    #[allow(clippy::print_stderr, reason = "shown with the failed test")]
    fn new(engine: Engine, first_stamp: Stamp) -> Self {
        let seed = std::env::var("CHITTY_TEST_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
        eprintln!("CHITTY_TEST_SEED={seed}");
        let daemon = Daemon::builder().engine(engine).start();
        let sessions = [("alice", "desk"), ("alice", "garden"), ("bob", "desk")];
        let tenants = sessions.map(|(chitty_id, session)| Tenant::with(&daemon, chitty_id, &["--session", session]));
        let ledger = Ledger { last_stamp: first_stamp, ..Ledger::default() };
        Self { engine, daemon, tenants, ledger, rng: StdRng::seed_from_u64(seed) }
    }

    /// Has clients ask until the daemon gets this signal and is gone, and compares what it left with what it answered.
    /// Then another daemon is started there.
    #[allow(clippy::print_stderr, reason = "shown with the failed test")]
    fn round(self, signal: Signal) -> Self {
        let Self { engine, mut daemon, tenants, ledger, mut rng } = self;
        let ledger_is_heavy = ledger.last_stamp >= HEAVY;
        let shared = Mutex::new(ledger);
        let (answered, answers) = mpsc::channel();
        let port = daemon.port;
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (answered, client_rng) = (answered.clone(), StdRng::seed_from_u64(rng.random()));
                let round = Round { port, tenants: &tenants, ledger: &shared };
                scope.spawn(move || round.ask_until_the_end(client_rng, &answered));
            }
            drop(answered);
            let answers_wanted = if ledger_is_heavy { 100..400 } else { 1..80 };
            for _ in 0..rng.random_range(answers_wanted) {
                answers.recv_timeout(DEADLINE).expect("an answer");
            }
            // Not always right behind an answer.
            for _ in 0..rng.random_range(0..100_000) {
                hint::spin_loop();
            }
            daemon.signal(signal);
        });
        let mut ledger = shared.into_inner().unwrap();

        daemon.wait_for_exit();
        let place = daemon.into_place();
        let (data, looked_at) = (place.path().join("data"), place.path().join("looked-at"));
        store::copy(&data, &looked_at);
        let inside = store::read(engine, &looked_at, &tenants).unwrap_or_else(|error| panic!("{error}"));
        std::fs::remove_dir_all(&looked_at).unwrap();
        let unanswered = ledger.creations.clone();
        ledger.compare(&inside);
        let done = unanswered.len() - ledger.creations.len();
        eprintln!("{} tasks; of {} unanswered creations {done} were done", ledger.tasks.len(), unanswered.len());
        ledger.creations.clear();

        // The daemon meets what was left, not what the look at it left.
        let daemon = place.start();
        let checked = daemon.log().contains("the store is checked before it is used");
        assert_eq!(checked, signal == Signal::SIGKILL, "an unclean store is checked, and no other");
        assert!(!has_copies(&data));
        let there: BTreeMap<String, Value> = tenants.iter().flat_map(|tenant| tenant.listed(&daemon)).collect();
        let tasks = inside.tasks.iter();
        let wanted: BTreeMap<String, Value> = tasks.map(|task| (task.task_id.to_string(), json!(task.title))).collect();
        assert_eq!(there, wanted, "the daemon and the library read the same");
        repeat_unanswered(&daemon, &tenants, &mut ledger, &unanswered);
        Self { engine, daemon, tenants, ledger, rng }
    }
}

fn a_kill_at_any_moment_loses_nothing_and_leaves_no_halves(engine: Engine) {
    let rounds = if store::long() { 100 } else { 6 };
    (0..rounds).fold(Trial::new(engine, 0), |trial, _| trial.round(Signal::SIGKILL));
}

/// So much is written that the engine brings it into other files, and merges those, meanwhile.
fn a_kill_while_much_is_written_loses_nothing_and_leaves_no_halves(engine: Engine) {
    // Each store only so large that a start, which reads all of it, takes seconds.
    let (stores, rounds) = if store::long() { (3, 5) } else { (1, 2) };
    for _ in 0..stores {
        (0..rounds).fold(Trial::new(engine, HEAVY), |trial, _| trial.round(Signal::SIGKILL));
    }
}

fn a_stop_at_any_moment_loses_nothing_and_is_clean(engine: Engine) {
    let rounds = if store::long() { 50 } else { 3 };
    (0..rounds).fold(Trial::new(engine, 0), |trial, _| trial.round(Signal::SIGTERM));
}

on_each_engine! {
    a_kill_at_any_moment_loses_nothing_and_leaves_no_halves,
    a_kill_while_much_is_written_loses_nothing_and_leaves_no_halves,
    a_stop_at_any_moment_loses_nothing_and_is_clean,
}
