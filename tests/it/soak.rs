//! Everything at once for a while: what the daemon holds does not grow with what it has served.
//!
//! Half a minute; an hour with `CHITTY_TEST_LONG=1`, or as many minutes as `CHITTY_TEST_SOAK` says.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, client};

use crate::support::daemon::{Builder, reserve_port};
use crate::support::eventually::pause;
use crate::support::store::long;
use crate::support::stream::{Stream, sse};
use crate::support::{Ask, CONNECT, Client, Daemon, MCP, Tenant, Upstream, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const SHAKY: &str = "shaky.chitty.test";
const FAILING: &str = "failing.chitty.test";
/// Samples of memory and descriptors, evenly over the whole.
const SAMPLES: usize = 90;
/// Those of them that are not looked at: pools fill, and the allocator finds its size.
const WARM_UP: usize = 30;

/// Tasks that are made at the most: the store keeps what it was told for days, and an index of it in memory, which is no leak.
const TASKS: u64 = 200;

/// How long all of it runs.
fn lasts() -> Duration {
    let minutes = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match minutes("CHITTY_TEST_SOAK") {
        Some(minutes) => Duration::from_secs(60 * minutes),
        None if long() => Duration::from_secs(3600),
        None => Duration::from_secs(30),
    }
}

/// What runs beside each other. Each turn is a whole piece of work; it says how often it asked.
struct Mixture<'a> {
    daemon: &'a Daemon,
    upstream: &'a Upstream,
    tenant: &'a Tenant,
    h2c: u16,
    tasks: AtomicU64,
}

impl Mixture<'_> {
    fn gets(&self) {
        let mut client = self.daemon.connect();
        for _ in 0..50 {
            assert_eq!(client.ask(&Ask::get(SERVICE, "/status/200")).text(), "as asked");
            assert_eq!(client.ask(&Ask::get(CONNECT, "/svc/api/big/20000")).body.len(), 20_000);
            assert_eq!(client.ask(&Ask::get(CONNECT, "/health")).status(), 200);
        }
    }

    fn bodies(&self) {
        let mut client = self.daemon.connect();
        for size in [10, 1_000, 100_000, 2_000_000] {
            let body = vec![b'x'; size];
            assert_eq!(client.ask(&Ask::new("POST", SERVICE, "/status/200").body(&body)).status(), 200);
            assert_eq!(client.ask(&Ask::new("PUT", SERVICE, "/status/200").chunked(&body)).status(), 200);
        }
    }

    fn web_sockets(&self) {
        let (mut socket, _) = client(format!("ws://{SERVICE}/ws"), self.daemon.connect().into_stream()).unwrap();
        for size in [1, 1_000, 50_000] {
            socket.send(Message::text("w".repeat(size))).unwrap();
            assert_eq!(socket.read().unwrap().into_text().unwrap().len(), size);
        }
    }

    fn streams(&self, turn: u64) {
        let gate = format!("sse{turn}");
        let mut client = self.daemon.connect();
        client.send(Ask::get(MCP, &format!("/svc/stream/{gate}?type=text/event-stream")).to_bytes());
        for n in 0..5 {
            self.upstream.push(&gate, format!("data: {n}\n\n"));
        }
        client.head("GET").unwrap();
        client.body_until("data: 4");
        self.upstream.step(&gate, "end");
        assert_eq!(client.piece(), Ok(None));
        if !turn.is_multiple_of(16) || self.tasks.fetch_add(1, Ordering::Relaxed) >= TASKS {
            return;
        }
        // A task that is made and deleted again, and somebody who follows.
        let mut followed = Stream::greeted(self.daemon, &sse(self.tenant, "")).0;
        let id = self.tenant.made(self.daemon, &json!({"title": "soak"}));
        assert_eq!(followed.event().name(), "task.created");
        assert!(self.daemon.ask(&self.tenant.delete(&id)).status() < 300);
    }

    fn leavers(&self) {
        for half in ["GET /x HT", "GET /hang HTTP/1.1\r\nHost: svc.chitty.test\r\n\r\n"] {
            self.daemon.connect().send(half);
        }
        let mut large = self.daemon.connect();
        large.send(Ask::get(SERVICE, "/big/5000000").to_bytes());
        large.head("GET").unwrap();
        drop(large);
        let upload = Ask::new("POST", SERVICE, "/status/200").header("Content-Length", "1000000");
        let mut broken = self.daemon.connect();
        broken.send(upload.to_bytes()).send(vec![b'x'; 10_000]);
    }

    fn retries(&self) {
        let mut client = self.daemon.connect();
        for _ in 0..20 {
            // One of its two endpoints refuses connections.
            assert_eq!(client.ask(&Ask::get(SHAKY, "/status/200")).status(), 200);
            assert_eq!(client.ask(&Ask::get(FAILING, "/status/503")).status(), 503);
        }
    }

    /// A preface, settings, and one request by hand: GET https://… with literal fields (RFC 7541 §6.2).
    fn multiplexed(&self) {
        let host = SERVICE.as_bytes();
        let path = b"/status/200";
        let mut block = vec![0x82, 0x86, 0x01, u8::try_from(host.len()).unwrap()];
        block.extend_from_slice(host);
        block.extend_from_slice(&[0x04, u8::try_from(path.len()).unwrap()]);
        block.extend_from_slice(path);
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for stream in [1, 3, 5] {
            let length = u8::try_from(block.len()).unwrap();
            bytes.extend_from_slice(&[0, 0, length, 1, 5, 0, 0, 0, stream]);
            bytes.extend_from_slice(&block);
        }
        let mut stream = Client::connect(self.h2c).into_stream();
        stream.write_all(&bytes).unwrap();
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        while seen.windows(8).filter(|window| window == b"as asked").count() < 3 {
            let count = std::io::Read::read(&mut stream, &mut piece).unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..count]);
        }
    }
}

fn mean(values: &[u64]) -> u64 {
    values.iter().sum::<u64>() / values.len() as u64
}

#[test]
#[allow(clippy::print_stderr, reason = "what was seen")]
fn memory_and_descriptors_do_not_grow_under_a_mixture_of_everything() {
    let lasts = lasts();
    let upstream = Upstream::start();
    let h2c = reserve_port();
    let builder = |generation: u64| {
        let shaky = format!(
            "{{id: shaky, endpoints: [\"{}\", \"http://127.0.0.1:1\"], retry: {{budget: 1.0}}, outlier: {{eject_for: 1s}}}}",
            upstream.url()
        );
        let listeners = format!("[{{bind: \"127.0.0.1:@PORT@\"}}, {{bind: \"127.0.0.1:{h2c}\", h2c: true}}]");
        let many = (0..50)
            .map(|n| format!("{{id: other{n}, subdomain: g{generation}-{n}, endpoints: [\"{}\"]}}", upstream.url()));
        let with = Daemon::builder()
            .set("listeners", &listeners)
            .service(upstream.service("svc"))
            .service(shaky)
            .service(upstream.service("failing"));
        many.fold(with, Builder::service)
    };
    let daemon = builder(0).start();
    let tenant = Tenant::new(&daemon, "alice");
    let mixture = Mixture { daemon: &daemon, upstream: &upstream, tenant: &tenant, h2c, tasks: AtomicU64::new(0) };
    let (over, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
    let works: [(&str, &(dyn Fn(u64) + Sync)); 7] = [
        ("gets", &|_| mixture.gets()),
        ("bodies", &|_| mixture.bodies()),
        ("web sockets", &|_| mixture.web_sockets()),
        ("streams", &|turn| mixture.streams(turn)),
        ("leavers", &|_| mixture.leavers()),
        ("retries", &|_| mixture.retries()),
        ("multiplexed", &|_| mixture.multiplexed()),
    ];
    thread::scope(|scope| {
        for (name, work) in works {
            let (over, turns) = (&over, &turns);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn_scoped(scope, move || {
                    // A failure ends the others, too.
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        while !over.load(Ordering::Relaxed) {
                            work(turns.fetch_add(1, Ordering::Relaxed));
                            pause();
                        }
                    }));
                    over.store(true, Ordering::Relaxed);
                    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                })
                .unwrap();
        }
        let begun = Instant::now();
        for sample in 1..=SAMPLES {
            let due = lasts / u32::try_from(SAMPLES).unwrap() * u32::try_from(sample).unwrap();
            while begun.elapsed() < due && !over.load(Ordering::Relaxed) {
                pause();
            }
            memory.push(daemon.resident_kib());
            descriptors.push(daemon.descriptors() as u64);
            daemon.reload(&builder(sample as u64));
        }
        over.store(true, Ordering::Relaxed);
    });
    let third = (SAMPLES - WARM_UP) / 3;
    let first = WARM_UP..WARM_UP + third;
    let last = SAMPLES - third..SAMPLES;
    let (before, after) = (mean(&memory[first.clone()]), mean(&memory[last.clone()]));
    eprintln!(
        "{} turns; {before} KiB, then {after} KiB; at rest {} KiB",
        turns.load(Ordering::Relaxed),
        daemon.resident_kib()
    );
    eprintln!("memory: {memory:?}\ndescriptors: {descriptors:?}");
    assert!(after * 100 <= before * 105, "{before} KiB became {after} KiB: {memory:?}");
    let most = |range: std::ops::Range<usize>| descriptors[range].iter().max().copied().unwrap();
    assert!(most(last) <= most(first) + 20, "{descriptors:?}");
    eventually_eq("no connection is left", &0.0, || daemon.connections());
    eventually("nothing is in flight", || match daemon.metric_sum("chittyconnect_http_requests_in_flight", &[]) {
        0.0 => Ok(()),
        some => Err(some),
    });
}
