//! Files with what they give: `tests/golden/config/*.yaml` beside `*.errors` or `*.warnings`. A file with neither loads
//! in silence. `UPDATE_GOLDEN=1` writes what is given now, to be read before it is committed.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::blob;
use crate::model::name::Hostname;

fn surroundings() -> Surroundings {
    Surroundings { cores: NonZeroUsize::MIN, runtime_directory: None, state_directory: None }
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension() == Some(OsStr::new(ending))).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{ending} in {}", folder.display());
    files
}

/// The lines that a file gives, and the ending of the file that should hold them.
fn findings(path: &Path) -> (&'static str, String) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let bytes = std::fs::read(path).unwrap();
    let lines = |list: Vec<Mistake>| list.iter().flat_map(|mistake| [mistake.to_string(), "\n".to_owned()]).collect();
    match Config::read(Document::parse_bytes(&bytes, &name), &surroundings()) {
        Ok(config) => ("warnings", lines(config.warnings)),
        Err(ConfigError::Mistakes(mistakes)) => ("errors", lines(mistakes)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_golden_file_gives_what_stands_beside_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in files("tests/golden/config", "yaml") {
        let (ending, found) = findings(&path);
        for other in ["errors", "warnings"] {
            let beside = path.with_extension(other);
            let found = if other == ending { &*found } else { "" };
            if update {
                if found.is_empty() {
                    let _ = std::fs::remove_file(&beside);
                } else {
                    std::fs::write(&beside, found).unwrap();
                }
            }
            let expected = std::fs::read_to_string(&beside).unwrap_or_default();
            if expected != found {
                wrong.push(format!("{}\n--- expected\n{expected}--- found\n{found}", beside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn every_file_in_conf_loads_in_silence() {
    for path in files("conf", "yaml") {
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings, [], "{}", path.display());
    }
    for path in files("conf/services", "yaml") {
        let bytes = std::fs::read(&path).unwrap();
        let file = crate::registry::declared::parse_file(&bytes, &path.display().to_string()).unwrap();
        assert!(!file.declarations.is_empty() && file.rejected.is_empty() && file.warnings.is_empty(), "{file:?}");
    }
}

fn parse(text: &str) -> Config {
    Config::parse_in(text, "c.yaml", &surroundings()).unwrap_or_else(|error| panic!("{error}"))
}

fn host(name: &str) -> Hostname {
    Hostname::parse(name).unwrap()
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = parse("");
    let expected = daemon::Config {
        threads: 1,
        grace_period: Duration::from_secs(30),
        metrics: Some("127.0.0.1:9464".parse().unwrap()),
        socket: "./data/admin.sock".into(),
    };
    assert_eq!(config.daemon, expected);
    let expected = store::Config {
        path: "./data".into(),
        durability: store::Durability::PowerLoss,
        engine: store::Engine::Sled,
        retention: store::Retention::default(),
    };
    assert_eq!(config.store, expected);
    assert_eq!(config.listeners, [listener::Config { bind: "127.0.0.1:8080".parse().unwrap(), h2c: false }]);
    let expected = route::Config {
        domain: host("localhost"),
        connect: vec![host("connect.localhost")],
        api: vec![host("api.localhost")],
        mcp: vec![host("mcp.localhost")],
        files: vec![host("files.localhost")],
        register: vec![],
        public_scheme: "http",
        public_port: Some(8080),
    };
    assert_eq!(config.route, expected);
    assert_eq!(config.upstream.idle_connections, None);
    let expected = registry::Config {
        refresh: Duration::from_secs(30),
        snapshot: Some("./data/registry.json".into()),
        stale_after: Duration::from_secs(600),
        sources: vec![],
        services: vec![],
    };
    assert_eq!(config.registry, expected);
    let limits = proxy::Limits {
        header_bytes: 65_536,
        headers: 100,
        uri_bytes: 8_192,
        body_bytes: 104_857_600,
        idle_timeout: Duration::from_secs(75),
        file_bytes: 5 << 30,
        header_timeout: Duration::from_secs(10),
        body_min_rate: 1024,
        connections: 10_000,
        connections_per_client: 256,
    };
    assert_eq!(config.proxy.limits, limits);
    let limits = blob::Limits { max_bytes: 5 << 30, quota: 1 << 30, token_ttl: Duration::from_secs(3600) };
    let (location, durability) = (blob::Location::Folder("./data/files".into()), store::Durability::PowerLoss);
    assert_eq!(config.files, blob::Config { location, durability, limits });
    assert_eq!(config.proxy.trusted_proxies.len(), 0);
    let header = http::HeaderName::from_static("x-chittyos-api-key");
    assert_eq!(
        config.auth,
        crate::auth::Config { header, jwt: None, cf_access: None, secret_file: "./data/secret".into() }
    );
    let origins = [
        "https://*.localhost",
        "https://*.chittyconnect-ui.pages.dev",
        "https://chittyconnect-ui.pages.dev",
        "https://chatgpt.com",
        "https://chat.openai.com",
        "http://localhost:5173",
        "http://localhost:3000",
    ];
    assert_eq!(config.proxy.cors.origins, origins);
    assert_eq!(config.proxy.cors.max_age, Duration::from_secs(86_400));
    assert_eq!(config.api.ecosystem, "ChittyOS");
    assert_eq!((config.api.auth, config.api.landing_page), (None, None));
    assert_eq!(config.telemetry.level, tracing::Level::INFO);
    assert_eq!(config.telemetry.format, telemetry::Format::Json);
    assert_eq!(config.telemetry.access, telemetry::AccessLog::Stdout);
    assert_eq!(config.warnings, []);
}

#[test]
fn files_go_to_a_folder_or_a_bucket() {
    let location =
        |store: &str| Config::parse(&format!("files: {{store: \"{store}\"}}"), "c").map(|config| config.files.location);
    assert_eq!(location("/srv/files").unwrap(), blob::Location::Folder("/srv/files".into()));
    assert_eq!(location("s3://b/p/q").unwrap(), blob::Location::Bucket("s3://b/p/q".parse().unwrap()));
    for wrong in ["", "ftp://x", "s3://", "s3://u:p@b/", "s3://b/?x", "gs://b:80/x"] {
        let error = location(wrong).unwrap_err().to_string();
        assert!(error.contains("files.store") && !error.contains("u:p"), "{error}");
    }
}

#[test]
fn nothing_is_as_good_as_absent() {
    assert_eq!(parse(include_str!("../../tests/golden/config/null-everywhere.yaml")), parse(""));
}

#[test]
fn what_is_written_is_what_the_components_get() {
    let config = parse(include_str!("../../tests/golden/config/every-key.yaml"));
    assert_eq!((config.daemon.threads, config.daemon.metrics), (2, None));
    assert_eq!(config.daemon.socket, Path::new("/run/cc/admin.sock"));
    let expected = store::Config {
        path: "/var/lib/cc".into(),
        durability: store::Durability::ProcessCrash,
        engine: store::Engine::Fjall,
        retention: store::Retention::default(),
    };
    assert_eq!(config.store, expected);
    assert_eq!(config.upstream.idle_connections, NonZeroUsize::new(1000));
    assert_eq!(config.route.connect, [host("connect.chitty.cc"), host("ch1tty.com")]);
    assert_eq!((config.route.public_scheme, config.route.public_port), ("https", Some(8443)));
    assert_eq!(config.registry.snapshot, None);
    let [
        registry::SourceConfig::File(file),
        registry::SourceConfig::Http(http),
        registry::SourceConfig::Embedded(embedded),
    ] = &config.registry.sources[..]
    else {
        panic!("{:?}", config.registry.sources)
    };
    assert_eq!((embedded.ttl, embedded.allowed_networks.len()), (Duration::from_secs(45), 1));
    assert_eq!((file.as_path(), http.max_bytes), (Path::new("/etc/cc/services.yaml"), 4 << 20));
    assert_eq!((http.url.as_str(), &*http.paths), ("https://registry.chitty.cc/", &["/api/services".to_owned()][..]));
    let [service] = &config.registry.services[..] else { panic!("{:?}", config.registry.services) };
    let endpoints: Vec<_> = service.endpoints.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["http://10.0.0.11:9001", "http://10.0.0.12:9001", "https://id.internal"]);
    assert_eq!(service.timeouts.total, Some(None));
    assert_eq!(service.timeouts.read, Some(Some(Duration::from_secs(60))));
    assert_eq!(
        (service.body_bytes, service.enabled, service.forward_credentials),
        (Some(10 << 20), Some(false), Some(false))
    );
    assert_eq!(service.health_path.as_deref(), Some("/health"));
    let asked = (service.health_interval, service.health_timeout);
    assert_eq!(asked, (Some(Duration::from_secs(10)), Some(Duration::from_secs(2))));
    assert_eq!(config.proxy.limits.uri_bytes, 4096);
    assert_eq!(config.auth.header.as_str(), "x-key");
    let jwt = config.auth.jwt.unwrap();
    assert_eq!((&*jwt.issuer, jwt.jwks_url.as_str()), ("https://auth.chitty.cc", "https://auth.chitty.cc/jwks"));
    let pair = config.auth.cf_access.unwrap();
    assert_eq!((&*pair.client_id, pair.client_secret_file.as_path()), ("abc.access", Path::new("/etc/cc/cf")));
    assert_eq!(config.telemetry.access, telemetry::AccessLog::File("/var/log/cc/access.log".into()));
}

#[test]
fn events_have_a_pace_and_a_length() {
    let event = |text: &str| {
        let event = parse(text).event;
        (event.heartbeat.as_secs(), event.queue)
    };
    assert_eq!(event(""), (15, 256));
    assert_eq!(event("events: {heartbeat: 1s, queue: 1}"), (1, 1));
    assert_eq!(event("events: {heartbeat: 1h, queue: 16384}"), (3600, 16_384));
    for wrong in ["heartbeat: 999ms", "heartbeat: 2h", "queue: 0", "queue: 16385"] {
        assert!(Config::parse(&format!("events: {{{wrong}}}"), "c.yaml").is_err(), "{wrong}");
    }
}

#[test]
fn links_take_their_port_from_what_serves_them() {
    let link = |text: &str| {
        let route = parse(text).route;
        (route.public_scheme, route.public_port)
    };
    assert_eq!(link("listeners: [{bind: 0.0.0.0:9000}, {bind: 0.0.0.0:9001}]"), ("http", Some(9000)));
    assert_eq!(link("listeners: [{bind: 0.0.0.0:80}]"), ("http", None));
    assert_eq!(link("gateway: {public_scheme: https}"), ("https", None));
    assert_eq!(link("gateway: {public_scheme: http}"), ("http", None));
    assert_eq!(link("gateway: {public_scheme: https, public_port: 443}"), ("https", None));
    assert_eq!(link("gateway: {public_port: 8443}"), ("http", Some(8443)));
}

#[test]
fn defaults_follow_the_keys_they_are_made_of() {
    let surroundings = Surroundings {
        cores: NonZeroUsize::new(7).unwrap(),
        runtime_directory: Some("/run/chittyconnect".into()),
        state_directory: None,
    };
    let text = "domain: Chitty.CC\nstore: {path: /var/lib/cc}\nserver: {threads: 0}\n";
    let config = Config::parse_in(text, "c.yaml", &surroundings).unwrap();
    assert_eq!(config.daemon.threads, 7);
    assert_eq!(config.daemon.socket, Path::new("/run/chittyconnect/admin.sock"));
    assert_eq!(config.registry.snapshot.as_deref(), Some(Path::new("/var/lib/cc/registry.json")));
    assert_eq!(config.route.mcp, [host("mcp.chitty.cc")]);
    assert_eq!(config.proxy.cors.origins[0], "https://*.chitty.cc");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/c.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration `/nowhere/c.yaml`");
    let error = find_in(&["a/b.yaml".into(), "/c/d.yaml".into()]).unwrap_err().to_string();
    assert!(error.contains("`a/b.yaml` and `/c/d.yaml`") && error.contains("chittyconnect demo"), "{error}");
}

#[test]
fn the_first_place_that_has_a_file_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let places = ["one.yaml", "two.yaml", "three.yaml"].map(|name| folder.path().join(name));
    std::fs::write(&places[2], "").unwrap();
    std::fs::write(&places[1], "").unwrap();
    assert_eq!(find_in(&places).unwrap(), places[1]);
}

/// A file that is right, with some of its characters replaced.
fn damaged() -> impl Strategy<Value = String> {
    let right: Vec<char> = include_str!("../../tests/golden/config/every-key.yaml").chars().collect();
    let any_char =
        prop_oneof![any::<char>(), prop::sample::select("[]{}:,-?&*!|>'\"%@` \n\t#~0a/".chars().collect::<Vec<_>>())];
    prop::collection::vec((0..right.len(), any_char), 1..12).prop_map(move |damage| {
        let mut text = right.clone();
        for (index, c) in damage {
            text[index] = c;
        }
        text.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in prop_oneof![damaged(), any::<String>()]) {
        if let Err(error) = Config::parse_in(&text, "c.yaml", &surroundings()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// `cargo test --release --lib ten_thousand -- --nocapture` says how long it takes.
#[test]
fn ten_thousand_services_load() {
    let service = |i: usize| {
        format!(
            "  - id: service-{i}\n    subdomain: sub{i}\n    aliases: [a{i}, b{i}]\n    hosts: [h{i}.example.com]\n    \
             endpoints: [http://10.0.0.1:9001, {{url: http://10.0.0.2:9001}}]\n    timeouts: {{read: 5m}}\n"
        )
    };
    let text = format!("services:\n{}", (0..10_000).map(service).collect::<Vec<_>>().concat());
    let start = std::time::Instant::now();
    let config = parse(&text);
    eprintln!("{} bytes in {:?}", text.len(), start.elapsed());
    assert_eq!(config.registry.services.len(), 10_000);
    let wrong = text.replace("aliases: [a", "aliases: [a_");
    let start = std::time::Instant::now();
    let error = Config::parse_in(&wrong, "c.yaml", &surroundings()).unwrap_err();
    eprintln!("10,000 mistakes in {:?}", start.elapsed());
    assert_eq!(error.to_string().lines().count(), 10_000);
}
