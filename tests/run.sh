#!/usr/bin/env bash
# Everything that is checked, from a clean clone: format, lints, tests (those with programs from outside too), docs.
# On Debian and as root it installs what is missing; else it says what that is.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # where Debian keeps nginx

SCHEMATHESIS=4.32.5
GRPCIO=1.85.3

missing=()
need() { # package, and what it is seen by: a program or a file
    if [[ $2 == /* ]]; then [[ -e $2 ]] || missing+=("$1"); else command -v "$2" >/dev/null || missing+=("$1"); fi
}
need cmake cmake
need make make
need gcc cc
[[ $(uname -s) != Linux ]] || need libc6-dev /usr/include/stdio.h
need nginx nginx
need curl curl
need slowhttptest slowhttptest
need openssl openssl
need haproxy haproxy
need strace strace
need mount mount
need rclone rclone
need jq jq
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    else
        echo "tests/run.sh: missing: ${missing[*]} (on Debian: apt-get install ${missing[*]})" >&2
        exit 1
    fi
fi
if ! command -v cargo >/dev/null; then
    echo "tests/run.sh: missing: a Rust toolchain (https://rustup.rs)" >&2
    exit 1
fi

# schemathesis asks what /openapi.json describes; it comes from PyPI, into the build's own folder.
tools=target/tools/schemathesis-$SCHEMATHESIS
if [[ ! -x $tools/bin/schemathesis ]]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS"
fi
export CHITTY_SCHEMATHESIS="$PWD/$tools/bin/schemathesis"

# grpcio is the gRPC server and client of tests/it/upstream_grpc.rs; it comes from there, too.
tools=target/tools/grpcio-$GRPCIO
if [[ ! -x $tools/bin/python ]] || ! "$tools/bin/python" -c 'import grpc' 2>/dev/null; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "grpcio==$GRPCIO"
fi
export CHITTY_GRPC_PYTHON="$PWD/$tools/bin/python"

export CHITTY_TEST_PEERS=1 # nginx, curl, strace, rclone and jq are there: the tests with them run, and fail without them
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
cargo test --locked "$@"
