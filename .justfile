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
