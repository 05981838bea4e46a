#!/usr/bin/env python3
"""What limits on clients cost a request, and what honest clients notice of others that send slowly, read slowly or idle.

    cargo build --release --locked
    benches/clients.py --before BINARY      # CPU of a proxied request against another build, by turns
    benches/clients.py                      # latency of honest requests, alone and beside others
    # wrk, nginx, taskset and slowhttptest on the path; Python's standard library

Everything runs on loopback addresses. nginx answers with 1 KiB. Who is measured takes turns with who is compared, so
that noise hits both; a ratio is taken inside each round, and the median of those is shown.

CPU: both daemons run with one thread on the first core, load and nginx on the second; utime and stime of the process
over the requests that were answered. Latency: one client with four connections, each of which waits for two
milliseconds after an answer, while slowhttptest holds 400 connections or 10,000 connections are held that do nothing.
"""

import argparse
import http.client
import json
import re
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from tasks import ROOT, Daemon, free_port

HOST = "svc.bench.test"
IDLE = 10_000
ATTACKS = {
    "slow headers": ["/svc/api/x", "-H", "-i", "1"],
    "slow bodies": ["/svc/api/x", "-B", "-i", "1", "-s", "100000", "-x", "8"],
    "slow readers": ["/svc/api/large", "-X", "-w", "16", "-y", "64", "-n", "2", "-z", "16", "-k", "3"],
}


class Proxy(Daemon):
    """A daemon with one service."""

    def __init__(self, binary, folder, origin, threads, limits=None):
        super().__init__(binary, folder, "sled", "power_loss")
        config = json.loads(self.config.read_text())
        config |= {"domain": "bench.test", "server": {"threads": threads},
                   "services": [{"id": "svc", "endpoints": [f"http://127.0.0.1:{origin}"]}]}
        if limits:
            config["limits"] = limits
        self.config.write_text(json.dumps(config))

    def pin(self, core):
        subprocess.run(["taskset", "-a", "-c", "-p", str(core), str(self.process.pid)], check=True, capture_output=True)

    def metric(self, sample):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            found = re.search(rf"^{re.escape(sample)} (\S+)$", answer.read().decode(), re.M)
        return float(found[1]) if found else 0.0


class Nginx:
    """nginx with a configuration of its own."""

    def __init__(self, folder, workers, served, core=None):
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes {workers}; pid nginx.pid; error_log stderr crit; user root;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;\n"
            "uwsgi_temp_path t; scgi_temp_path t; keepalive_requests 100000000; default_type text/plain;\n"
            f"{served} }}\n")
        pin = [] if core is None else ["taskset", "-c", str(core)]
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([*pin, program, "-e", "stderr", "-p", folder, "-c", "nginx.conf"])
        while True:
            try:
                return http.client.HTTPConnection("127.0.0.1", self.port, timeout=1).connect()
            except OSError:
                time.sleep(0.02)

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Origin(Nginx):
    """nginx with an answer of 1 KiB, and one of 1 MiB."""

    def __init__(self, folder, core=None):
        folder.mkdir()
        self.port = free_port()
        (folder / "small").write_bytes(b"x" * 1024)
        (folder / "large").write_bytes(b"x" * (1 << 20))
        super().__init__(
            folder, 1, f"server {{ listen 127.0.0.1:{self.port}; root {folder};\n"
            "location / { try_files /small =404; } location ~ /large$ { try_files /large =404; } }", core)


class Peer(Nginx):
    """nginx as the proxy, with as many workers as the daemon has threads."""

    def __init__(self, folder, origin):
        folder.mkdir()
        self.port = free_port()
        super().__init__(
            folder, 2, f"upstream o {{ server 127.0.0.1:{origin}; keepalive 64; }}\n"
            f"server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://o; proxy_http_version 1.1;\n"
            'proxy_set_header Connection ""; } }')


def load(daemon, core, seconds, connections=64):
    """CPU of the daemon in µs a request, and requests a second."""
    before = daemon.cpu()
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s",
               "-H", f"Host: {HOST}", f"http://127.0.0.1:{daemon.port}/small"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"not every request was answered:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    return (daemon.cpu() - before) * 1e6 / requests, float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def cost(given, folder):
    """CPU of a request, before and now."""
    origin = Origin(folder / "origin", core=1)
    daemons = [Proxy(given.before, folder / "before", origin.port, 1), Proxy(given.binary, folder / "now", origin.port, 1)]
    try:
        for daemon in daemons:
            daemon.start()
            daemon.pin(0)
            load(daemon, 1, 1)
        rounds = []
        for turn in range(given.rounds):
            order = [0, 1] if turn % 2 == 0 else [1, 0]
            measured = {which: load(daemons[which], 1, given.seconds) for which in order}
            rounds.append((measured[0], measured[1]))
        print(f"{'CPU of a proxied request of 1 KiB':<36}{'median':>10}{'from':>8}{'to':>8}{'a second':>11}")
        for which, name in enumerate(["before", "now"]):
            cpu = [measured[which][0] for measured in rounds]
            rate = statistics.median(measured[which][1] for measured in rounds)
            print(f"{name:<36}{statistics.median(cpu):>7.1f} µs{min(cpu):>8.1f}{max(cpu):>8.1f}{rate:>11,.0f}")
        ratios = [now[0] / before[0] for before, now in rounds]
        print(f"now / before, median of {len(ratios)} paired rounds: {statistics.median(ratios):.3f} "
              f"({min(ratios):.3f} to {max(ratios):.3f})", flush=True)
    finally:
        for daemon in daemons:
            if daemon.process:
                daemon.end()
        origin.end()


def honest(port, seconds, connections=4, pause=0.002):
    """Latencies in ms of every request of one client. An answer that is not whole, or none, ends the benchmark."""
    ask = f"GET /small HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    until, latencies, failures = time.monotonic() + seconds, [], []

    def work():
        with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.9", 0)) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < until:
                begun, got = time.perf_counter(), b""
                stream.sendall(ask)
                while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + 1024:
                    piece = stream.recv(8192)
                    if not piece:
                        return failures.append("closed")
                    got += piece
                latencies.append((time.perf_counter() - begun) * 1e3)
                if not got.startswith(b"HTTP/1.1 200 "):
                    return failures.append(got[:200])
                time.sleep(pause)
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"an honest request failed: {failures[0]}")
    return latencies


class Idle:
    """Connections that do nothing, from several addresses."""

    def __init__(self, port, count):
        self.sockets = []
        for number in range(count):
            source = (f"127.0.1.{number % 8 + 1}", 0)
            self.sockets.append(socket.create_connection(("127.0.0.1", port), timeout=10, source_address=source))

    def end(self):
        for one in self.sockets:
            one.close()


class Attack:
    def __init__(self, port, seconds, path, *mode):
        command = ["slowhttptest", "-c", "400", "-r", "200", "-l", str(seconds), "-p", "3", "-v", "0",
                   "-u", f"http://127.0.0.1:{port}{path}", *mode]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def end(self):
        self.process.wait(timeout=60)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def latency(given, folder):
    """What honest requests take, alone and beside others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limits = {"connections": 20000, "connections_per_client": 20000}
    origin = Origin(folder / "origin")
    daemon = Proxy(given.binary, folder / "now", origin.port, 2, limits)
    peer = Peer(folder / "peer", origin.port)
    beside = {"10,000 idle connections": (daemon, lambda: Idle(daemon.port, IDLE))}
    for name, attack in ATTACKS.items():
        beside[name] = daemon, lambda attack=attack: Attack(daemon.port, given.seconds + 1, *attack)
    beside["nginx, slow readers"] = peer, lambda: Attack(peer.port, given.seconds + 1, *ATTACKS["slow readers"])
    seen = {name: [] for name in beside}
    most, memory = dict.fromkeys(beside, 0), dict.fromkeys(beside, 0)
    try:
        daemon.start()
        honest(daemon.port, 1)
        resting = daemon.resident()
        for _ in range(given.rounds):
            for name, (proxy, begin) in beside.items():
                alone = honest(proxy.port, given.seconds)
                other = begin()
                during = honest(proxy.port, given.seconds)
                if proxy is peer:
                    other.end()
                    seen[name].append((alone, during))
                    continue
                most[name] = max(most[name], int(daemon.metric("chittyconnect_connections")))
                memory[name] = max(memory[name], daemon.resident())
                other.end()
                seen[name].append((alone, during))
        print(f"{'honest requests':<28}{'p50':>10}{'p99':>10}{'x p50':>8}{'x p99':>8}{'connections':>13}{'memory':>10}")
        own = (rounds for name, rounds in seen.items() if beside[name][0] is daemon)
        alone = [value for rounds in own for before, _ in rounds for value in before]
        print(f"{'alone':<28}{percentile(alone, .5):>7.2f} ms{percentile(alone, .99):>7.2f} ms{'':>29}{resting:>6} MiB")
        for name, rounds in seen.items():
            during = [value for _, run in rounds for value in run]
            ratio = lambda share: statistics.median(percentile(b, share) / percentile(a, share) for a, b in rounds)
            print(f"{name:<28}{percentile(during, .5):>7.2f} ms{percentile(during, .99):>7.2f} ms{ratio(.5):>8.2f}"
                  f"{ratio(.99):>8.2f}{most[name]:>13,}{memory[name]:>6} MiB", flush=True)
    finally:
        if daemon.process:
            daemon.end()
        peer.end()
        origin.end()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/chittyconnect")
    options.add_argument("--before", help="another build, to compare the CPU of a request with")
    options.add_argument("--rounds", type=int, default=None, help="default: 9 for CPU, 3 for latency")
    options.add_argument("--seconds", type=int, default=None, help="of each run; default: 3 for CPU, 6 for latency")
    options.add_argument("--folder", default=None, help="where everything is made; default: a temporary folder")
    given = options.parse_args()
    given.rounds = given.rounds or (9 if given.before else 3)
    given.seconds = given.seconds or (3 if given.before else 6)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        (cost if given.before else latency)(given, Path(folder))


main()
