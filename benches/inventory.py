#!/usr/bin/env python3
"""Inventories 5,000 wrangler files of every form, as many services being known, and says how long that takes.

    cargo build --release --locked
    benches/inventory.py [--files N] [--rounds N]
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

BINARY = pathlib.Path(__file__).resolve().parent.parent / "target/release/chittyconnect"

TOML = """# worker {n}
name = "svc{n}"
main = "src/index.js"
compatibility_date = "2025-01-01"

[[env.production.routes]]
pattern = "svc{n}.chitty.test/*" # its own
zone_name = "chitty.test"

[[env.production.routes]]
pattern = "api.chitty.test/svc{n}/*"
zone_name = "chitty.test"

[env.staging]
route = "svc{n}-staging.chitty.test/*"

[[kv_namespaces]]
binding = "CACHE"
id = "0123456789abcdef0123456789abcdef"
"""
JSONC = """{{
  // worker {n}
  "name": "svc{n}",
  "main": "src/index.ts",
  "routes": [
    {{ "pattern": "svc{n}.chitty.test", "custom_domain": true }},
    {{ "pattern": "mcp.chitty.test/svc{n}/*", "zone_name": "chitty.test" }}, /* from before */
  ],
  "env": {{ "staging": {{ "route": "staging.svc{n}.chitty.test/*" }} }},
}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=7)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        services = ["domain: chitty.test", "services:"]
        for n in range(wanted.files):
            place = folder / "workers" / f"team{n % 50}" / f"svc{n}"
            place.mkdir(parents=True)
            name, text = ("wrangler.toml", TOML) if n % 2 else ("wrangler.jsonc", JSONC)
            (place / name).write_text(text.format(n=n))
            services.append(f'  - {{id: svc{n}, endpoints: ["http://127.0.0.1:9"]}}')
        (folder / "edge.yaml").write_text("\n".join(services) + "\n")
        for what in (["--format", "text"], ["--format", "json"], ["--format", "sarif"], ["--fix"]):
            times, used = [], []
            for _ in range(wanted.rounds):
                before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                command = [BINARY, "inventory", "workers", "--config", "edge.yaml", *what]
                done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
                times.append(time.monotonic() - began)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                assert done.returncode == 3, done
            print(f"{' '.join(what):16}  {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f}), "
                  f"CPU {statistics.median(used):.2f} s, {len(done.stdout) >> 10} KiB printed")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"at most {peak >> 10} MiB resident")


main()
