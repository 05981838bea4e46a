# What is typed often. `just` lists it.

_default:
    @just --list

# Everything that is checked: format, lints, tests, documentation, dependencies
check: && deny
    tests/run.sh

# The tests that need no outside program; words select among them
test *words:
    cargo test --locked {{ words }}

# The licences, advisories and duplicates of what is shipped; needs cargo-deny
deny:
    cargo deny --locked --config .cargo/deny.toml check

# The demo: the gateway with two sample services (--port N)
run *words:
    ./demo.sh {{ words }}

# The benchmarks of the hot paths; words select among them
bench *words:
    cargo bench --locked {{ words }}

# The documentation of the crate
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Makes inputs up for a parser until one breaks it: host, path, prefix, registry_document, resource_uri, sigv4_date, yaml
fuzz target seconds="240":
    mkdir -p fuzz/target/corpus/{{ target }} fuzz/artifacts/{{ target }}
    cd fuzz && cargo run --locked --release --bin {{ target }} -- -max_total_time={{ seconds }} \
        -artifact_prefix=artifacts/{{ target }}/ target/corpus/{{ target }} corpus/{{ target }}
