//! Looking a request up, and building the table it is looked up in.
//!
//! `cargo bench --bench resolve`. Before measuring, every look-up is run once under an allocator that counts: one
//! allocation in any of them ends the run.

#![allow(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]
#![allow(missing_docs, reason = "criterion's macro makes functions without them")]

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use chittyconnect::model::name::{Hostname, ServiceKey};
use chittyconnect::model::service::{Declaration, EndpointUrl, Service};
use chittyconnect::registry::merge::merge;
use chittyconnect::route::Config;
use chittyconnect::route::hostname::RequestHost;
use chittyconnect::route::table::Table;
use chittyconnect::telemetry::metrics::Metrics;
use chittyconnect::upstream::endpoint::Endpoints;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SIZES: [usize; 3] = [10, 1_000, 100_000];

fn config() -> Arc<Config> {
    let hosts = |name: &str| vec![Hostname::parse(name).unwrap()];
    Arc::new(Config {
        domain: Hostname::parse("bench.test").unwrap(),
        connect: hosts("connect.bench.test"),
        api: hosts("api.bench.test"),
        mcp: hosts("mcp.bench.test"),
        files: Vec::new(),
        register: Vec::new(),
        public_scheme: "http",
        public_port: None,
    })
}

fn services(count: usize) -> Vec<Service> {
    let declared = |n: usize| Declaration {
        id: Some(ServiceKey::parse(&format!("service-{n}")).unwrap()),
        subdomain: Some(ServiceKey::parse(&format!("s{n}")).unwrap()),
        endpoints: Some(vec![
            EndpointUrl::parse(&format!("http://10.0.{}.{}:9001", n / 256 % 256, n % 256)).unwrap().into(),
        ]),
        ..Declaration::default()
    };
    let declared: Vec<_> = (0..count).map(declared).collect();
    merge(&declared, &[], Vec::new()).services
}

fn table(services: Vec<Service>) -> Table {
    let metrics = Metrics::new().unwrap();
    Table::build(config(), services, &|_| 0, false, &Endpoints::default(), &metrics, None)
}

/// One request: half by host, half by prefix.
struct Asked {
    host: String,
    path: String,
}

impl Asked {
    fn new(n: usize) -> Self {
        if n.is_multiple_of(2) {
            Self { host: format!("s{n}.bench.test"), path: "/x".to_owned() }
        } else {
            Self { host: "api.bench.test".to_owned(), path: format!("/s{n}/api/x") }
        }
    }

    fn resolve(&self, table: &Table) {
        let host = RequestHost::parse(black_box(self.host.as_bytes())).unwrap();
        black_box(table.resolve(&host, black_box(self.path.as_bytes())).unwrap());
    }
}

/// A fixed permutation of `0..count`, far from any order: steps by a prime that does not divide it.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| (i * 7_919 + 104_729) % count)
}

fn resolve(c: &mut Criterion) {
    for count in SIZES {
        let table = table(services(count));
        let all: Vec<Asked> = scattered(count).map(Asked::new).collect();
        let counted = Region::new(ALLOCATOR);
        for asked in &all {
            asked.resolve(&table);
        }
        assert_eq!(counted.change().allocations, 0, "a look-up allocates");

        let (by_host, by_prefix) = (Asked::new(4), Asked::new(5));
        c.bench_function(&format!("hot host, {count} services"), |b| b.iter(|| by_host.resolve(&table)));
        c.bench_function(&format!("hot prefix, {count} services"), |b| b.iter(|| by_prefix.resolve(&table)));
        let mut next = all.iter().cycle();
        c.bench_function(&format!("random key, {count} services"), |b| {
            b.iter(|| next.next().unwrap().resolve(&table));
        });
    }
}

fn build(c: &mut Criterion) {
    let services = services(100_000);
    let mut group = c.benchmark_group("table");
    group.sample_size(10);
    group.bench_function("build, 100000 services", |b| {
        b.iter_batched(|| services.clone(), table, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, resolve, build);
criterion_main!(benches);
