#!/usr/bin/env python3
"""Tasks on the embedded store, over HTTP: durable creations, pages, memory, and a start after SIGKILL.

    cargo build --release --locked
    benches/tasks.py [--engine sled] [--tasks 200000] [--folder DIR]    # wrk on the path; Python's standard library

Everything runs on loopback addresses. The folder should be on the disk that is to be measured. Each run of wrk that
got another answer than 200 ends the benchmark.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TITLE = "Read the discovery document and say which services answer"
BODY = {"title": TITLE, "priority": "high", "metadata": {"source": "benchmark", "attempt": 1}}
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    def __init__(self, binary, folder, engine, durability):
        self.binary, self.folder = binary, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.admin = free_port(), free_port()
        self.config = self.folder / "chittyconnect.yaml"
        self.config.write_text(json.dumps({
            "listeners": [{"bind": f"127.0.0.1:{self.port}"}],
            "admin": {"metrics": f"127.0.0.1:{self.admin}", "socket": str(self.folder / "admin.sock")},
            "store": {"path": str(self.folder / "data"), "engine": engine, "durability": durability},
            "rate_limit": "off",
            "log": {"level": "warn", "format": "text", "access": str(self.folder / "access.log")},
        }))
        self.process = None

    def start(self):
        """Seconds from the start of the process to its first ready answer."""
        begun = time.monotonic()
        log = open(self.folder / "daemon.log", "a")
        self.process = subprocess.Popen([self.binary, "serve", "--config", self.config], stdout=log, stderr=log)
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return time.monotonic() - begun
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit((self.folder / "daemon.log").read_text())
            time.sleep(0.005)

    def key(self):
        command = [self.binary, "keys", "create", "--chitty-id", "bench", "--config", self.config]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def cpu(self):
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident(self, field="VmRSS"):
        """MiB of memory; `VmHWM` is the most since its start."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1]) // 1024

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(timeout=60)


def wrk(daemon, key, target, clients, seconds, body=None, threads=1):
    """requests, requests a second, p50 and p99 in ms, CPU of the daemon in µs a request"""
    script = daemon.folder / "request.lua"
    lines = [f'wrk.headers["X-ChittyOS-API-Key"] = "{key}"']
    if body is not None:
        lines += ['wrk.method = "POST"', f"wrk.body = [==[{json.dumps(body)}]==]"]
    script.write_text("\n".join(lines))
    before = daemon.cpu()
    command = ["wrk", f"-t{threads}", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s", script,
               f"http://127.0.0.1:{daemon.port}{target}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"not every request was answered:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}
    percentile = {
        int(share): float(value) * unit[suffix]
        for share, value, suffix in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s) *$", text, re.M)
    }
    cpu = (daemon.cpu() - before) * 1e6 / requests
    return {"requests": requests, "rate": rate, "p50": percentile[50], "p99": percentile[99], "cpu": cpu}


def show(what, run):
    print(f"{what:<44} {run['rate']:>9,.0f}/s   p50 {run['p50']:6.2f} ms   p99 {run['p99']:7.2f} ms   "
          f"{run['cpu']:6.1f} µs CPU each", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/chittyconnect")
    options.add_argument("--engine", default="sled", choices=["sled", "fjall"])
    options.add_argument("--tasks", type=int, default=200_000)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--durability", default="power_loss")
    options.add_argument("--folder", default=None, help="where the stores are made; default: a temporary folder")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measure(given, Path(folder))


def measure(given, folder):
    create = "/api/context/tasks"
    page = "/api/context/tasks?limit=50"
    small = Daemon(given.binary, folder / "small", given.engine, given.durability)
    small.start()
    small_key = small.key()
    for _ in range(1000):
        request = urllib.request.Request(f"http://127.0.0.1:{small.port}{create}", json.dumps(BODY).encode(),
                                         {"X-ChittyOS-API-Key": small_key}, method="POST")
        urllib.request.urlopen(request, timeout=10).read()

    large = Daemon(given.binary, folder / "large", given.engine, given.durability)
    large.start()
    key = large.key()
    show("create, 1 client", wrk(large, key, create, 1, given.seconds, BODY))
    run = wrk(large, key, create, 32, given.seconds, BODY)
    show("create, 32 clients", run)
    tasks = 0
    count = lambda: int(float(re.search(r'chittyconnect_tasks_total\{operation="create",outcome="ok"\} (\S+)',
        urllib.request.urlopen(f"http://127.0.0.1:{large.admin}/metrics").read().decode())[1]))
    while (tasks := count()) < given.tasks:
        run = wrk(large, key, create, 32, max(1, min(30, int((given.tasks - tasks) / run["rate"] / 2))), BODY)
    show("create, 32 clients, at the end", run)
    print(f"{tasks:,} tasks: {large.resident()} MiB resident, {large.resident('VmHWM')} MiB at most", flush=True)

    runs = {"small": [], "large": []}
    for _ in range(given.rounds):
        runs["small"].append(wrk(small, small_key, page, 32, given.seconds))
        runs["large"].append(wrk(large, key, page, 32, given.seconds))
    median = lambda name, figure: statistics.median(run[figure] for run in runs[name])
    for name, what in [("small", "page of 50, 32 clients, 1,000 tasks"), ("large", f"page of 50, 32 clients, {tasks:,} tasks")]:
        show(what, {figure: median(name, figure) for figure in ("rate", "p50", "p99", "cpu")})
    ratios = [b["cpu"] / a["cpu"] for a, b in zip(runs["small"], runs["large"])]
    rates = [a["rate"] / b["rate"] for a, b in zip(runs["small"], runs["large"])]
    print(f"a page there / here: CPU {statistics.median(ratios):.2f}, time {statistics.median(rates):.2f} (paired medians)")
    for status in ("pending", "completed"):
        show(f"page of 50, status={status}", wrk(large, key, f"{page}&status={status}", 32, given.seconds))
    show("page of 50, status and priority", wrk(large, key, f"{page}&status=pending&priority=high", 32, given.seconds))
    print(f"after all pages: {large.resident()} MiB resident", flush=True)
    print(f"1,000 tasks: {small.resident()} MiB resident", flush=True)

    starts = []
    for _ in range(3):
        large.end(signal.SIGKILL)
        starts.append(large.start())
    print("start after SIGKILL: " + ", ".join(f"{start:.2f} s" for start in starts))
    print(f"after an unclean start: {large.resident()} MiB resident, {large.resident('VmHWM')} MiB at most", flush=True)
    large.end()
    print(f"start after a clean stop: {large.start():.2f} s", flush=True)
    # What is taken, not how long the files are: a journal is as long as it may become from the start.
    size = sum(file.stat().st_blocks * 512 for file in (large.folder / "data").rglob("*") if file.is_file())
    print(f"on the disk: {size >> 20} MiB, {size / tasks:,.0f} bytes a task")
    large.end()
    small.end()


if __name__ == "__main__":
    main()
