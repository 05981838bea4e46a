#!/usr/bin/env bash
# Runs the demo: the gateway with two sample services on this machine. Arguments go to it (--port N).
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v make >/dev/null || missing+=(make)
command -v cc >/dev/null || missing+=(gcc)
[ "$(uname -s)" != Linux ] || [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "missing: ${missing[*]}" >&2
    echo "install them (on Debian: sudo apt-get install ${missing[*]}) and run $0 again" >&2
    exit 1
  fi
fi
if ! command -v cargo >/dev/null; then
  echo "missing: a Rust toolchain with cargo, version $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later; see https://rustup.rs" >&2
  exit 1
fi
exec cargo run --release --quiet -- demo "$@"
