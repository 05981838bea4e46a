#!/usr/bin/env python3
"""Files with their contents, over HTTP, side by side with programs that do the same: nginx and an S3 server.

    cargo build --release --locked && cargo build --release --locked --example s3-server
    benches/files.py [--mib 1024] [--rounds 5] [--folder DIR]   # curl, nginx and rclone on the path; Python's standard library

Everything runs on loopback addresses, and all contents are in the one folder, which should be on the disk that is to be
measured. Who is measured takes turns with who is compared, so that noise hits both; a ratio is taken inside each round,
and the median of those is shown. The daemon has every file on the disk before it answers (`fdatasync`); the S3 server
leaves that to the system. What the disk itself takes is shown as `dd`.
"""

import argparse
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from tasks import ROOT, TICK, Daemon, free_port

MIB = 1 << 20
ACCESS, SECRET, BUCKET, REGION = "bench-access", "bench-secret", "bench", "us-east-1"


class WithFiles(Daemon):
    """A daemon with a key for session `bench`."""

    def __init__(self, binary, folder):
        super().__init__(binary, folder, "sled", "power_loss")
        config = json.loads(self.config.read_text())
        config["files"] = {"store": str(self.folder / "files"), "quota": "1TiB", "max_bytes": "100GiB"}
        self.config.write_text(json.dumps(config))

    def prepare(self):
        self.start()
        made = self.command("keys", "create", "--chitty-id", "bench", "--session", BUCKET)
        self.key = made["key"]
        s3 = self.command("keys", "s3", made["id"])
        host = urllib.parse.urlsplit(s3["endpoint"]).hostname
        self.s3 = Remote(f"{host}:{self.port}", self.port, s3["access_key"], s3["secret_key"], s3["bucket"])
        self.headers = {"X-ChittyOS-API-Key": self.key}

    def command(self, *arguments):
        command = [self.binary, *arguments, "--format", "json", "--config", self.config]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def ask(self, target, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{target}", headers=self.headers,
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def kib(self, field):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1])


class Peer:
    """A process that is compared with the daemon; `cpu` is that of its children, too."""

    def __init__(self, command, **how):
        self.process = subprocess.Popen(command, **how)

    def cpu(self):
        total, pids = 0, {str(self.process.pid)}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
            except OSError:
                continue
            if entry.name in pids or fields[1] in pids:
                total += int(fields[11]) + int(fields[12])
        return total / TICK

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Nginx(Peer):
    """As Debian configures it: `sendfile` and `tcp_nopush`."""

    def __init__(self, folder, root):
        self.port = free_port()
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            "daemon off; worker_processes auto; pid nginx.pid; error_log stderr;\n"
            "events { worker_connections 768; }\n"
            "http { sendfile on; tcp_nopush on; access_log off; client_body_temp_path t; proxy_temp_path t;\n"
            "fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t; default_type application/octet-stream;\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {root}; }} }}\n")
        if os.geteuid() == 0:
            # Its workers are somebody else; they need to get at the file.
            (folder / "nginx.conf").write_text("user root;\n" + (folder / "nginx.conf").read_text())
        path = os.environ["PATH"] + ":/usr/sbin"
        super().__init__([shutil.which("nginx", path=path), "-e", "stderr", "-p", folder, "-c", "nginx.conf"])
        wait_for(self.port)


class S3Server(Peer):
    def __init__(self, program, folder):
        (folder / BUCKET).mkdir(parents=True)
        super().__init__([program, folder, ACCESS, SECRET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.s3 = Remote(f"127.0.0.1:{self.port}", self.port, ACCESS, SECRET, BUCKET)


def wait_for(port):
    deadline = time.monotonic() + 30
    while True:
        try:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"nobody listens on {port}")
            time.sleep(0.02)


class Remote:
    """A bucket, and links into it that are good for an hour (Signature Version 4 in the query)."""

    def __init__(self, host, port, access, secret, bucket):
        self.host, self.port, self.access, self.secret, self.bucket = host, port, access, secret, bucket

    def link(self, method, key):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        query = urllib.parse.urlencode(sorted({
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.access}/{scope}", "X-Amz-Date": now,
            "X-Amz-Expires": "3600", "X-Amz-SignedHeaders": "host"}.items()), quote_via=urllib.parse.quote, safe="")
        path = f"/{self.bucket}/{key}"
        canonical = f"{method}\n{path}\n{query}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        sign = lambda secret, what: hmac.new(secret, what.encode(), hashlib.sha256).digest()
        secret = ("AWS4" + self.secret).encode()
        for part in (now[:8], REGION, "s3", "aws4_request"):
            secret = sign(secret, part)
        return f"{path}?{query}&X-Amz-Signature={sign(secret, text).hex()}"


def curl(*arguments):
    """Bytes a second of one transfer."""
    command = ["curl", "-sS", "-f", "-o", "/dev/null", "-w", "%{size_upload} %{size_download} %{time_total}", *arguments]
    # No proxy of the environment comes between.
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, capture_output=True, text=True, env=clean)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr}")
    sent, received, seconds = map(float, done.stdout.split())
    return (sent + received) / seconds


class Table:
    def __init__(self):
        print(f"{'':<42}{'best':>12}{'median':>12}{'against':>9}{'CPU':>14}", flush=True)

    def pair(self, what, unit, ours, theirs, their_name, cpu=None, their_cpu=None):
        """`ours` and `theirs` are the same rounds; more is better."""
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        self.row(what, unit, ours, f"{ratio:.2f}", cpu)
        self.row(f"  {their_name}", unit, theirs, "", their_cpu)

    def row(self, what, unit, values, against="", cpu=None):
        cpu = "" if cpu is None else f"{cpu:.2f} s/GiB"
        print(f"{what:<42}{max(values):>7,.0f} {unit:<4}{statistics.median(values):>7,.0f} {unit:<4}{against:>9}{cpu:>14}",
              flush=True)


def turns(rounds, ours, theirs):
    """Both of them in each round, by turns first."""
    a, b = [], []
    for turn in range(rounds):
        if turn % 2:
            b.append(theirs(turn))
            a.append(ours(turn))
        else:
            a.append(ours(turn))
            b.append(theirs(turn))
    return a, b


def in_parallel(remote, names, body, connections=8):
    """Puts a small object of each name; objects a second."""
    links = iter([(name, remote.link("PUT", name)) for name in names])
    lock, failures = threading.Lock(), []

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", remote.port, timeout=60)
        while True:
            with lock:
                name, link = next(links, (None, None))
            if name is None:
                return
            # Others for each name: equal contents would be kept once.
            connection.putrequest("PUT", link, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", remote.host)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(name.encode().rjust(64, b".") + body[64:])
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                failures.append(f"{answer.status} {text[:300]!r}")
                return
    threads = [threading.Thread(target=work) for _ in range(connections)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(failures[0])
    return len(names) / (time.monotonic() - begun)


def rclone(remote, folder, source, name, config):
    """Seconds of `rclone copy`."""
    config.write_text(
        f"[there]\ntype = s3\nprovider = Other\nenv_auth = false\naccess_key_id = {remote.access}\n"
        f"secret_access_key = {remote.secret}\nendpoint = http://{remote.host}\nforce_path_style = true\n")
    command = ["rclone", "--config", config, "copy", "--transfers", "16", source, f"there:{remote.bucket}/{name}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "http_proxy": f"http://127.0.0.1:{remote.port}"}
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"rclone: {done.stderr}")
    return time.monotonic() - begun


def find(folder, size):
    """The file of this size below a folder."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size == size:
            return path
    raise SystemExit(f"no file of {size} bytes below {folder}")


def measure(given, folder):
    daemon = WithFiles(given.binary, folder / "daemon")
    server = nginx = None
    try:
        daemon.prepare()
        server = S3Server(given.s3_server, folder / "s3")
        table = Table()
        size, gib = given.mib * MIB, given.mib / 1024
        source, digest = folder / "source.bin", hashlib.sha256()
        with open(source, "wb") as file:
            for _ in range(given.mib):
                piece = os.urandom(MIB)
                digest.update(piece)
                file.write(piece)

        # Up, with the daemon's memory before and at its peak.
        daemon.forget_peak()
        resting = daemon.kib("VmRSS")

        def presigned(turn):
            body = {"name": f"large-{turn}", "size": size, "session_id": BUCKET}
            target = urllib.parse.urlsplit(daemon.ask("/api/files/presign", body)["upload_url"])
            return curl("-T", source, "-H", "Expect:", "-H", f"Host: {target.hostname}",
                        f"http://127.0.0.1:{daemon.port}{target.path}") / MIB

        def put(peer):
            def once(turn):
                # Equal contents are kept once: what is compared is a first arrival.
                forget(daemon)
                return curl("-T", source, "-H", "Expect:", "-H", f"Host: {peer.s3.host}",
                            f"http://127.0.0.1:{peer.s3.port}{peer.s3.link('PUT', f'large-{turn}')}") / MIB
            return once

        def dd(turn):
            begun = time.monotonic()
            subprocess.run(["dd", f"if={source}", f"of={folder / 'dd.bin'}", "bs=1M", "conv=fsync"], check=True,
                           capture_output=True)
            return size / MIB / (time.monotonic() - begun)

        cpu, their_cpu = daemon.cpu(), server.cpu()
        ours, theirs = turns(given.rounds, put(daemon), put(server))
        cpu, their_cpu = daemon.cpu() - cpu, server.cpu() - their_cpu
        table.pair(f"upload of {given.mib} MiB by S3, MiB/s", "", ours, theirs, "the S3 server",
                   cpu / given.rounds / gib, their_cpu / given.rounds / gib)
        ours = []
        for turn in range(given.rounds):
            forget(daemon)
            ours.append(presigned(turn))
        table.row("  presigned, MiB/s", "", ours)
        table.row("  dd with fsync, MiB/s", "", [dd(turn) for turn in range(given.rounds)])
        (folder / "dd.bin").unlink()
        uploaded = daemon.kib("VmHWM") - resting

        # Down. nginx has the very same file.
        kept = find(folder / "daemon" / "files", size)
        nginx = Nginx(folder / "nginx", kept.parent)
        daemon.forget_peak()
        before = daemon.kib("VmRSS")
        key = f"X-ChittyOS-API-Key: {daemon.key}"
        cpu, their_cpu = daemon.cpu(), nginx.cpu()
        ours, theirs = turns(
            given.rounds,
            lambda _: curl("-H", key, f"http://127.0.0.1:{daemon.port}/api/files/{digest.hexdigest()}") / MIB,
            lambda _: curl(f"http://127.0.0.1:{nginx.port}/{kept.name}") / MIB)
        cpu, their_cpu = daemon.cpu() - cpu, nginx.cpu() - their_cpu
        table.pair(f"download of {given.mib} MiB, MiB/s", "", ours, theirs, "nginx",
                   cpu / given.rounds / gib, their_cpu / given.rounds / gib)
        downloaded = daemon.kib("VmHWM") - before
        nginx.end()
        nginx = None

        # Small ones.
        body = os.urandom(64 * 1024)
        names = lambda turn: [f"small/{turn}/{number}" for number in range(given.small)]
        ours, theirs = turns(given.rounds, lambda turn: in_parallel(daemon.s3, names(turn), body),
                             lambda turn: in_parallel(server.s3, names(turn), body))
        table.pair(f"{given.small:,} x 64 KiB, 8 connections, files/s", "", ours, theirs, "the S3 server")
        many = folder / "many"
        for number in range(given.files):
            path = many / str(number % 50) / f"{number}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(4096))
        config = folder / "rclone.conf"

        def copied(peer):
            def once(turn):
                if turn:
                    # Others each time.
                    for path in many.rglob("*.bin"):
                        with open(path, "r+b") as file:
                            file.write(str(turn).encode())
                return given.files / rclone(peer.s3, folder, many, f"many-{turn}", config)
            return once
        ours, theirs = turns(max(1, given.rounds // 2), copied(daemon), copied(server))
        table.pair(f"rclone copy of {given.files:,} x 4 KiB, files/s", "", ours, theirs, "the S3 server")
        print(f"memory of the daemon: {resting // 1024} MiB at rest; at most {uploaded / 1024:.1f} MiB more while "
              f"{given.mib} MiB came in, {downloaded / 1024:.1f} MiB more while they went out; "
              f"{daemon.resident()} MiB at the end, {given.files:,} small files later")
    finally:
        for process in (nginx, server):
            if process:
                process.end()
        if daemon.process:
            daemon.end()


def forget(daemon):
    """Deletes every large file that the daemon has."""
    for file in daemon.ask(f"/api/files?session_id={BUCKET}&limit=1000")["files"]:
        if "large-" in file["name"]:
            target = f"/api/files/{file['sha256']}?session_id={BUCKET}&r2_key={urllib.parse.quote(file['r2_key'], safe='')}"
            request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}{target}", headers=daemon.headers,
                                             method="DELETE")
            urllib.request.urlopen(request, timeout=60).close()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/chittyconnect")
    options.add_argument("--s3-server", default=ROOT / "target/release/examples/s3-server")
    options.add_argument("--mib", type=int, default=1024, help="of the large file")
    options.add_argument("--small", type=int, default=1000, help="objects of 64 KiB")
    options.add_argument("--files", type=int, default=5000, help="of 4 KiB, for rclone")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", default=None, help="where everything is made; default: a temporary folder")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measure(given, Path(folder))


main()
