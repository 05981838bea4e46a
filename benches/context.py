#!/usr/bin/env python3
"""The context of a session on the embedded store, over HTTP: whoami, sets of 100 files, reports of 1,000 items.

    cargo build --release --locked
    benches/context.py [--engine fjall] [--folder DIR]      # wrk on the path; Python's standard library

Everything runs on loopback addresses. The folder should be on the disk that is to be measured. Each run of wrk that
got another answer than 200 ends the benchmark.
"""

import argparse
import json
import tempfile
import urllib.request
from pathlib import Path

from tasks import BODY, ROOT, Daemon, show, wrk

CLIENTS = [1, 32]
WHOAMI = "/api/registry/whoami"
SET_ACTIVE = "/api/context/files/set-active"
SYNC_REPORT = "/api/context/files/sync-report"
SHA256 = "3f" * 32


def files(count, prefix):
    return [
        {"uri": f"r2://files/{prefix}/2026/01/02/{number:04}-report.md", "name": f"report {number}.md",
         "size": 1024 + number, "sha256": SHA256, "mime": "text/markdown", "metadata": {"source": "benchmark"}}
        for number in range(count)
    ]


def items(count):
    return [
        {"r2_key": f"files/synced/2026/01/02/{number:04}-report.md", "name": f"report {number}.md",
         "size": 1024 + number, "sha256": SHA256, "modified": "2026-01-02T03:04:05Z"}
        for number in range(count)
    ]


def post(daemon, key, target, body):
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}{target}", json.dumps(body).encode(),
                                     {"X-ChittyOS-API-Key": key}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/chittyconnect")
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--durability", default="power_loss")
    options.add_argument("--engine", default="sled", help="sled or fjall")
    options.add_argument("--folder", default=None, help="where the store is made; default: a temporary folder")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        daemon = Daemon(given.binary, Path(folder), given.engine, given.durability)
        daemon.start()
        try:
            measure(given, daemon)
        finally:
            daemon.end()


def measure(given, daemon):
    key = daemon.key()
    session = json.load(urllib.request.urlopen(urllib.request.Request(
        f"http://127.0.0.1:{daemon.port}{WHOAMI}", headers={"X-ChittyOS-API-Key": key})))
    session = session["data"]["session"]["session_id"]
    # A session that is in use: a report's files in its context, twenty of them in the active set, and some tasks.
    post(daemon, key, SYNC_REPORT, {"items": items(1000)})
    post(daemon, key, SET_ACTIVE, {"session_id": session, "files": files(20, "active")})
    for _ in range(20):
        post(daemon, key, "/api/context/tasks", BODY)
    for clients in CLIENTS:
        show(f"whoami, {clients} clients", wrk(daemon, key, WHOAMI, clients, given.seconds))
    sets = {"session_id": session, "files": files(100, "set")}
    for clients in CLIENTS:
        show(f"set-active of 100 files, {clients} clients",
             wrk(daemon, key, SET_ACTIVE, clients, given.seconds, sets))
    report = {"items": items(1000), "path_prefix": "files/synced/"}
    for clients in CLIENTS:
        show(f"sync-report of 1,000 items, {clients} clients",
             wrk(daemon, key, SYNC_REPORT, clients, given.seconds, report))
    print(f"{daemon.resident()} MiB resident", flush=True)


main()
