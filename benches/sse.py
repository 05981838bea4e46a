#!/usr/bin/env python3
"""Events: many subscribers of many sessions, over HTTP, while things happen at a steady rate.

    cargo build --release --locked
    benches/sse.py [--subscribers 5000] [--sessions 500] [--rate 500] [--seconds 30]   # Python's standard library

Everything runs on loopback addresses. Sessions of the same names belong to ten tenants. Every subscriber has to be told
exactly what happened in its own session, in the order of ids, and all subscribers of a session the same; anything else
ends the benchmark with a failure, as do more than --kib KiB of the daemon's memory for each. Two more runs have a loud
session beside them, whose events are 60 KB long: first with one subscriber that reads, then also with --stalled that
read nothing. The difference between these two is what those cost everybody else.
"""

import argparse
import asyncio
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TENANTS = 10
TICK = os.sysconf("SC_CLK_TCK")
# Connections besides those of subscribers: writers, logs, the store, the admin addresses.
SPARE_FILES = 300


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("admin")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, binary, folder, queue, engine):
        self.folder = folder
        self.port, self.admin = free_port(), free_port()
        config = folder / "chittyconnect.yaml"
        config.write_text(json.dumps({
            "listeners": [{"bind": f"127.0.0.1:{self.port}"}],
            "admin": {"metrics": f"127.0.0.1:{self.admin}", "socket": str(folder / "admin.sock")},
            "store": {"path": str(folder / "data"), "engine": engine},
            "events": {"queue": queue},
            "rate_limit": "off",
            "log": {"level": "warn", "format": "text", "access": str(folder / "access.log")},
        }))
        log = open(folder / "daemon.log", "a")
        self.process = subprocess.Popen([binary, "serve", "--config", config], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise SystemExit("the daemon is not ready:\n" + (folder / "daemon.log").read_text())
            time.sleep(0.02)

    def keys(self, wanted):
        """One key for each (chitty id, session)."""
        connection = UnixConnection(self.folder / "admin.sock")
        keys = []
        for chitty_id, session_id in wanted:
            body = json.dumps({"chitty_id": chitty_id, "session_id": session_id})
            connection.request("POST", "/keys", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            made = json.loads(answer.read())
            if "key" not in made:
                raise SystemExit(f"no key: {answer.status} {made}")
            keys.append(made["key"])
        connection.close()
        return keys

    def status(self, field):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1])

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def streams(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            return int(float(re.search(r"^chittyconnect_sse_connections (\S+)", answer.read().decode(), re.M)[1]))

    def end(self):
        """Seconds from SIGTERM to the end of the process."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
        return time.monotonic() - begun


class Subscriber(asyncio.Protocol):
    """Keeps the chunks as they come, with their times; they are read when all is over."""

    def __init__(self, key, stalled=False):
        self.key, self.stalled = key, stalled
        self.pieces, self.times = [], []
        self.greeted = asyncio.get_running_loop().create_future()
        self.ended = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(f"GET /sse HTTP/1.1\r\nHost: localhost\r\nX-ChittyOS-API-Key: {self.key}\r\n\r\n".encode())

    def data_received(self, data):
        self.pieces.append(data)
        self.times.append(time.monotonic())
        if not self.greeted.done() and b'"connected"' in data:
            self.greeted.set_result(None)
            if self.stalled:
                self.transport.pause_reading()

    def connection_lost(self, error):
        self.ended = True
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(f"no stream: {b''.join(self.pieces)[:300]!r} {error}"))

    def events(self):
        """(id, body, time) of every event. Chunk sizes and header are dropped; messages may span pieces."""
        text, ends = b"".join(self.pieces), []
        position = 0
        for piece, at in zip(self.pieces, self.times):
            position += len(piece)
            ends.append((position, at))
        found, ends_at = [], iter(ends)
        end, at = next(ends_at, (0, 0.0))
        for message in re.finditer(rb"(?:id: (\d+)\n)?(?:retry: \d+\n)?data: (\{.*\})\n\n", text):
            while message.end() > end:
                end, at = next(ends_at)
            body = json.loads(message[2])
            if body["type"] not in ("connected", "heartbeat"):
                found.append((int(message[1] or 0), body, at))
        return found


class Writer:
    """One connection that is kept, on which one request follows the other."""

    async def open(self, port):
        self.reader, self.stream = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def ask(self, method, path, key, body):
        body = json.dumps(body).encode()
        self.stream.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-ChittyOS-API-Key: {key}\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
        answer = await self.reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{method} {path}: {head[:40]!r} {answer[:300]!r}")
        return json.loads(answer)


async def subscribe(port, keys, small_buffer=False, stalled=False):
    """Opens a stream for each key, some at a time."""
    loop, turns = asyncio.get_running_loop(), asyncio.Semaphore(64)

    async def one(key):
        async with turns:
            connection = socket.socket()
            if small_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", port))
            _, subscriber = await loop.create_connection(lambda: Subscriber(key, stalled), sock=connection)
            await asyncio.wait_for(subscriber.greeted, 60)
            return subscriber
    return await asyncio.gather(*map(one, keys))


async def happen(port, keys, rate, seconds, writers=32):
    """Makes tasks at a steady rate, the sessions in turn. What was made in each, and when each was asked for."""
    made = [{} for _ in keys]
    turns = iter(range(int(rate * seconds)))
    begun = time.monotonic() + 0.1
    late = 0.0

    async def write():
        nonlocal late
        writer = await Writer().open(port)
        for turn in turns:
            due = begun + turn / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            late = max(late, asked - due)
            session = turn % len(keys)
            answer = await writer.ask("POST", "/api/context/tasks", keys[session], {"title": f"event {turn}"})
            made[session][answer["task_id"]] = asked
        writer.stream.close()
    await asyncio.gather(*(write() for _ in range(writers)))
    return made, sum(map(len, made)) / (time.monotonic() - begun), late


async def make_noise(port, key, rate, until):
    """Changes one task with 60 KB at a time, until `until` is set. How often."""
    writer = await Writer().open(port)
    task = (await writer.ask("POST", "/api/context/tasks", key, {"title": "noise"}))["task_id"]
    changes = 0
    while not until.is_set():
        changes += 1
        body = {"description": f"{changes} " + "x" * 60_000}
        await writer.ask("PATCH", f"/api/context/tasks/{task}", key, body)
        await asyncio.sleep(1 / rate)
    writer.stream.close()
    return changes + 1


def check(subscribers, sessions, made):
    """Every subscriber was told exactly what happened in its session. Seconds from asking for a change to its event."""
    waits, told_of = [], {}
    for number, subscriber in enumerate(subscribers):
        session = number % len(sessions)
        events = subscriber.events()
        ids = [id for id, _, _ in events]
        if subscriber.ended:
            raise SystemExit(f"subscriber {number} was cut off")
        wrong = [body for _, body, _ in events
                 if body["type"] != "task.created" or body["sessionId"] != sessions[session][1]]
        if wrong:
            raise SystemExit(f"subscriber {number} was told of something else: {wrong[0]}")
        if any(a >= b for a, b in zip(ids, ids[1:])):
            raise SystemExit(f"subscriber {number} was told out of order: {ids}")
        tasks = [body["task_id"] for _, body, _ in events]
        if len(tasks) != len(made[session]) or set(tasks) != set(made[session]):
            raise SystemExit(f"subscriber {number} was told {len(tasks)} of {len(made[session])} events of its session")
        if told_of.setdefault(session, list(zip(ids, tasks))) != list(zip(ids, tasks)):
            raise SystemExit(f"subscriber {number} was told otherwise than others of its session")
        waits += [at - made[session][body["task_id"]] for _, body, at in events]
    return waits


async def all_told(subscribers, made, patience=30):
    """Waits until as much has come as there should be, or nothing has for a while."""
    deadline = time.monotonic() + patience
    expected = [len(of) for of in made]
    count = lambda subscriber: sum(piece.count(b"task.created") for piece in subscriber.pieces)
    missing = list(enumerate(subscribers))
    while missing and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        missing = [(n, s) for n, s in missing if count(s) < expected[n % len(expected)]]


async def run(given, folder):
    daemon = Daemon(given.binary, folder, given.queue, given.engine)
    try:
        return await measure(given, daemon)
    finally:
        print(f"stopped within {daemon.end():.2f} s of SIGTERM")


async def measure(given, daemon):
    sessions = [(f"tenant-{n % TENANTS}", f"s{n // TENANTS}") for n in range(given.sessions)]
    keys = daemon.keys(sessions)
    noise = daemon.keys([("noise", "loud")])[0]
    await happen(daemon.port, keys, 200, 1)
    before = daemon.status("VmRSS")
    begun = time.monotonic()
    subscribers = list(await subscribe(daemon.port, [keys[n % len(keys)] for n in range(given.subscribers)]))
    took = time.monotonic() - begun
    await asyncio.sleep(1)
    each = (daemon.status("VmRSS") - before) / given.subscribers
    print(f"{daemon.streams():,} subscribers of {given.sessions} sessions, opened within {took:.1f} s: "
          f"{each:.1f} KiB each ({before / 1024:.0f} MiB before)", flush=True)
    worst = each
    for what, loud, stalled in [
        ("as it is", False, 0),
        ("beside a loud session", True, 0),
        (f"beside it and {given.stalled} that read nothing of it", True, given.stalled),
    ]:
        for subscriber in subscribers:
            subscriber.pieces, subscriber.times = [], []
        until, noisy = asyncio.Event(), None
        if loud:
            quiet = await subscribe(daemon.port, [noise] * stalled, small_buffer=True, stalled=True)
            [quick] = await subscribe(daemon.port, [noise])
            noisy = asyncio.create_task(make_noise(daemon.port, noise, 20, until))
        cpu = daemon.cpu()
        made, rate, late = await happen(daemon.port, keys, given.rate, given.seconds)
        cpu = (daemon.cpu() - cpu) / given.seconds
        await all_told(subscribers, made)
        until.set()
        changes = await noisy if noisy else 0
        waits = sorted(check(subscribers, sessions, made))
        now = (daemon.status("VmRSS") - before) / given.subscribers
        if not loud:
            # Later on it is the store that grows, by what the loud session changes.
            worst = max(worst, now)
        percentile = lambda share: waits[min(len(waits) - 1, int(len(waits) * share))] * 1000
        print(f"{what}: {rate:,.0f} changes/s, {len(waits):,} events told, none lost, none of others; from the request "
              f"p50 {percentile(.5):.1f} ms, p99 {percentile(.99):.1f} ms, at most {percentile(1):.0f} ms; "
              f"{cpu:.2f} s CPU a second; {now:.1f} KiB a subscriber, the store's growth included (writers at most {late * 1000:.0f} ms late)", flush=True)
        if noisy:
            deadline = time.monotonic() + 10
            told = []
            while len(told) < changes and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
                told = quick.events()
            if [body["type"] for _, body, _ in told] != ["task.created"] + ["task.updated"] * (changes - 1):
                raise SystemExit(f"the quick subscriber of the loud session was told {len(told)} of {changes} events")
            print(f"the loud session: {changes} events of 60 KB, all told to who read; {len(quiet)} read nothing")
            for subscriber in quiet + [quick]:
                subscriber.transport.abort()
    print(f"at the peak {daemon.status('VmHWM') // 1024} MiB resident")
    for subscriber in subscribers:
        subscriber.transport.abort()
    deadline = time.monotonic() + 10
    while (left := daemon.streams()) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    if left:
        raise SystemExit(f"{left} streams are left after all subscribers have gone")
    if worst > given.kib:
        raise SystemExit(f"{worst:.1f} KiB a subscriber; {given.kib} are allowed")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/chittyconnect")
    options.add_argument("--subscribers", type=int, default=5000)
    options.add_argument("--sessions", type=int, default=500)
    options.add_argument("--rate", type=float, default=500, help="changes a second")
    options.add_argument("--seconds", type=int, default=30)
    options.add_argument("--stalled", type=int, default=50)
    options.add_argument("--queue", type=int, default=256)
    options.add_argument("--kib", type=float, default=64, help="KiB that each subscriber may take")
    options.add_argument("--engine", default="sled", help="sled or fjall")
    options.add_argument("--folder", default=None, help="where the store is made; default: a temporary folder")
    given = options.parse_args()
    needed = given.subscribers + given.stalled + SPARE_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{needed} open files are needed, {hard} are allowed: ulimit -Hn {needed}")
    # The daemon inherits it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        asyncio.run(run(given, Path(folder)))


main()
