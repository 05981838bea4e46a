//! SIGKILL in mid-upload: what was acknowledged is there and right, what was not is there whole or not at all, and nothing
//! of it is left lying about.
//!
//! `CHITTY_TEST_LONG=1` makes it 50 rounds instead of a few, `CHITTY_TEST_SEED` repeats one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::support::eventually::DEADLINE;
use crate::support::files::{KIB, Link, MIB, Shelf, contents, encoded, ends_whole, md5, sha256};
use crate::support::sigv4::{Signer, completion, element, elements};
use crate::support::store::long;
use crate::support::{Answer, Ask, Client, Ending, Rows, Tenant, eventually};

const CLIENTS: u64 = 4;

/// What is known of one name. `None` stands for: it is not there.
#[derive(Clone, Debug)]
struct Known {
    /// The SHA-256 that it had when somebody was told so last.
    told: Option<String>,
    /// What it may have instead, because it was asked for and not answered.
    asked: Vec<Option<String>>,
}

/// What was asked for and answered, by `r2_key`. A name has one client only.
type Ledger = BTreeMap<String, Known>;

/// One client with names of its own.
struct Writer<'a> {
    number: u64,
    tenant: &'a Tenant,
    s3: &'a Signer,
    ledger: &'a Mutex<Ledger>,
    rng: StdRng,
    client: Client,
}

impl Writer<'_> {
    /// Sends it in pieces, so that there is a middle; `None` when the end has come.
    fn ask(&mut self, ask: &Ask, method: &str) -> Option<Answer> {
        for piece in ask.to_bytes().chunks(256 * KIB) {
            self.client.send(piece);
        }
        match self.client.try_answer(method) {
            Ok(answer) if answer.ending == Ending::Whole => Some(answer),
            _ => None,
        }
    }

    /// Notes that this name may get these contents, or none.
    fn asks(&self, key: &str, hash: Option<String>) {
        let mut ledger = self.ledger.lock().unwrap();
        let known = ledger.entry(key.to_owned()).or_insert(Known { told: None, asked: Vec::new() });
        known.asked.push(hash);
    }

    /// Notes that it has them.
    fn is_told(&self, key: &str, hash: Option<String>) {
        self.ledger.lock().unwrap().insert(key.to_owned(), Known { told: hash, asked: Vec::new() });
    }

    /// One file or the end of one. `None` when the end of the daemon has come.
    fn step(&mut self, turn: u64) -> Option<()> {
        let size = match self.rng.random_range(0..10) {
            0..6 => self.rng.random_range(1..64 * KIB),
            6..9 => self.rng.random_range(1..3 * MIB),
            _ => self.rng.random_range(5 * MIB..7 * MIB),
        };
        // Some contents come again and again.
        let body = contents(self.rng.random_range(0..4) + 1000 * u64::from(self.rng.random_bool(0.7)) * turn, size);
        let hash = sha256(&body);
        let name = format!("{}-{}", self.number, self.rng.random_range(0..6));
        let by_s3 = format!("files/{}/{name}", self.tenant.session_id);
        match self.rng.random_range(0..10) {
            0..3 => {
                let intent = json!({"name": name, "size": size, "session_id": self.tenant.session_id});
                let answer = self.ask(&self.tenant.presign(&intent), "POST")?;
                let link = Link::of(&answer, "upload_url");
                self.asks(&link.r2_key, Some(hash.clone()));
                let answer = self.ask(&link.ask("PUT").body(&body), "PUT")?;
                assert_eq!(answer.status(), 200, "{}", answer.text());
                self.is_told(&link.r2_key, Some(hash));
            }
            3..6 => {
                self.asks(&by_s3, Some(hash.clone()));
                let ask = self.s3.signed(&self.s3.object("PUT", &name).body(&body));
                let answer = self.ask(&ask, "PUT")?;
                assert_eq!(answer.status(), 200, "{}", answer.text());
                self.is_told(&by_s3, Some(hash));
            }
            6..8 => {
                self.asks(&by_s3, Some(hash.clone()));
                let begin = self.s3.signed(&self.s3.object("POST", &name).query("uploads", ""));
                let upload = element(&self.ask(&begin, "POST")?.text(), "UploadId");
                let mut parts = Vec::new();
                for (number, part) in (1..).zip(body.chunks(5 * MIB)) {
                    let unsigned = self.s3.object("PUT", &name).query("partNumber", &format!("{number}"));
                    let ask = self.s3.signed(&unsigned.query("uploadId", &upload).body(part));
                    let answer = self.ask(&ask, "PUT")?;
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                    parts.push((number, md5(part)));
                }
                let complete = self.s3.object("POST", &name).query("uploadId", &upload).body(completion(&parts));
                let answer = self.ask(&self.s3.signed(&complete), "POST")?;
                assert!(answer.status() == 200 && !answer.text().contains("<Error>"), "{}", answer.text());
                self.is_told(&by_s3, Some(hash));
            }
            _ => {
                let ask = if self.rng.random_bool(0.5) {
                    self.asks(&by_s3, None);
                    self.s3.signed(&self.s3.object("DELETE", &name))
                } else {
                    let ledger = self.ledger.lock().unwrap();
                    let told = ledger.get(&by_s3).and_then(|known| known.told.clone());
                    drop(ledger);
                    let Some(hash) = told else { return Some(()) };
                    self.asks(&by_s3, None);
                    let query = format!("session_id={}&r2_key={}", self.tenant.session_id, encoded(&by_s3));
                    self.tenant.files("DELETE", &format!("/{hash}?{query}"))
                };
                let answer = self.ask(&ask, "DELETE")?;
                assert!(answer.status() < 300, "{}", answer.text());
                self.is_told(&by_s3, None);
            }
        }
        Some(())
    }
}

#[allow(clippy::print_stderr, reason = "shown with the failed test")]
fn a_kill_in_mid_upload_leaves_what_was_acknowledged_and_nothing_else(shelf: &Shelf) {
    let seed = std::env::var("CHITTY_TEST_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    eprintln!("CHITTY_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut daemon = shelf.builder("quota: 100GiB").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let mut ledger = Ledger::new();
    for round in 0..if long() { 50 } else { 4 } {
        let shared = Mutex::new(std::mem::take(&mut ledger));
        let (answered, answers) = mpsc::channel();
        let port = daemon.port;
        let place = thread::scope(|scope| {
            for number in 0..CLIENTS {
                let answered: Sender<()> = answered.clone();
                let rng = StdRng::seed_from_u64(rng.random());
                let (tenant, s3, ledger) = (&alice, &s3, &shared);
                scope.spawn(move || {
                    let client = Client::connect(port);
                    let mut writer = Writer { number, tenant, s3, ledger, rng, client };
                    for turn in 1.. {
                        if writer.step(10_000 * round + 100 * turn + number).is_none() {
                            return;
                        }
                        // Nobody counts any more once the end has come.
                        let _ = answered.send(());
                    }
                });
            }
            drop(answered);
            for _ in 0..rng.random_range(4..40) {
                answers.recv_timeout(DEADLINE).expect("answers");
            }
            // Anywhere within what follows the last answer.
            for _ in 0..rng.random_range(0..2_000_000_u32) {
                std::hint::spin_loop();
            }
            daemon.killed()
        });
        ledger = shared.into_inner().unwrap();
        daemon = place.start();

        // Uploads in parts that nobody will end are given up; then nothing may be on its way.
        let uploads = s3.ask(&daemon, &s3.bucket("GET").query("uploads", "")).text();
        for upload in elements(&uploads, "Upload") {
            let abort = s3.object("DELETE", &element(&upload, "Key")).query("uploadId", &element(&upload, "UploadId"));
            assert_eq!(s3.ask(&daemon, &abort).status(), 204);
        }
        let mut rows = Rows::new();
        let found: BTreeMap<String, String> = alice
            .all_stored(&daemon)
            .iter()
            .map(|file| (file["r2_key"].as_str().unwrap().to_owned(), file["sha256"].as_str().unwrap().to_owned()))
            .collect();
        for (key, known) in &ledger {
            let now = found.get(key).cloned();
            let fits = now == known.told || known.asked.contains(&now);
            rows.holds(format!("round {round}: {key}"), fits, (known, &now));
        }
        for key in found.keys() {
            rows.holds(format!("round {round}: {key} was asked for"), ledger.contains_key(key), ());
        }
        let mut client = daemon.connect();
        for (key, hash) in &found {
            let answer = client.ask(&alice.contents(hash));
            rows.eq(format!("round {round}: contents of {key}"), hash, &sha256(&answer.body));
        }
        let in_context: Vec<String> = {
            let rows = alice.all_rows(&daemon);
            let mut uris: Vec<String> = rows.iter().map(|row| row["uri"].as_str().unwrap().to_owned()).collect();
            uris.sort();
            uris
        };
        rows.eq("rows", &found.keys().map(|key| format!("r2://{key}")).collect(), &in_context);
        rows.finish();
        let mut different: Vec<&String> = found.values().collect();
        different.sort();
        different.dedup();
        eprintln!("round {round}: {} files, {} contents", found.len(), different.len());
        shelf.end_what_nobody_ends();
        eventually("nothing is left lying about", || {
            let (whole, parts) = (shelf.in_place(daemon.folder()), shelf.on_their_way(daemon.folder()));
            if parts.is_empty() && whole.len() == different.len() { Ok(()) } else { Err((whole.len(), parts)) }
        });
        ledger = found.into_iter().map(|(key, hash)| (key, Known { told: Some(hash), asked: Vec::new() })).collect();
        daemon = ends_whole(daemon).start();
    }
}

/// The same at the moment that matters most, each time: something of it is on its way.
fn a_kill_in_the_middle_of_a_large_upload_leaves_nothing(shelf: &Shelf) {
    let mut daemon = shelf.builder("").start();
    let alice = Tenant::with(&daemon, "alice", &["--session", "desk"]);
    let s3 = Signer::of(&daemon, &alice);
    let body = contents(1, 24 * MIB);
    let link = alice.presigned(&daemon, "large", body.len());
    let begin = s3.ask(&daemon, &s3.object("POST", "parts").query("uploads", "")).text();
    let upload = element(&begin, "UploadId");
    let part = s3.object("PUT", "parts").query("partNumber", "1").query("uploadId", &upload).body(&body);
    for ask in [link.ask("PUT").body(&body), s3.signed(&s3.object("PUT", "by-s3").body(&body)), s3.signed(&part)] {
        let bytes = ask.to_bytes();
        let mut client = daemon.connect();
        client.send(&bytes[..bytes.len() - MIB]);
        eventually("it is in the middle", || {
            if shelf.on_their_way(daemon.folder()).is_empty() { Err("nothing is on its way") } else { Ok(()) }
        });
        daemon = daemon.killed().start();
        shelf.end_what_nobody_ends();
        shelf.holds_only(daemon.folder(), 0);
        assert_eq!((alice.r2_keys(&daemon).len(), alice.all_rows(&daemon).len()), (0, 0));
    }
    assert_eq!(link.put(&daemon, &body).status(), 200, "the token is good");
    assert_eq!(s3.ask(&daemon, &part).status(), 200, "the upload in parts goes on");
    daemon = daemon.killed().start();
    shelf.end_what_nobody_ends();
    let complete = s3.object("POST", "parts").query("uploadId", &upload).body(completion(&[(1, md5(&body))]));
    assert_eq!(s3.ask(&daemon, &complete).status(), 200);
    assert_eq!(alice.r2_keys(&daemon).len(), 2);
    shelf.holds_only(daemon.folder(), 1);
    ends_whole(daemon);
}

crate::support::files::on_each_shelf! {
    a_kill_in_mid_upload_leaves_what_was_acknowledged_and_nothing_else,
    a_kill_in_the_middle_of_a_large_upload_leaves_nothing,
}
