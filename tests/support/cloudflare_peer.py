"""Cloudflare's API as far as an inventory asks it, on a free port of 127.0.0.1, which is the first line that is printed.

Every further line is a request: its path, and whether it had the token. The one argument says how it behaves:
  well       120 zones in three pages; routes in the first two; custom domains
  limited    as `well`; the first request of each path is 429 with Retry-After: 0
  pausing    429 with Retry-After: 86400
  no-end     429 without a Retry-After, for ever
  unauthorized, garbled, moved
  forbidden  as `well`; the routes of the second zone are 403
  failing    as `well`; custom domains are 500, with the token in the message
  endless    zones: a page after every page, each with something new
  again      zones: says that there are more, and gives the first page each time
  huge       zones: an answer without an end
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

TOKEN = "cf-token-of-the-tests"
MODE = sys.argv[1]
ACCOUNT = "0123456789abcdef0123456789abcdef"
ZONES = [{"id": f"zone{n}", "name": "chitty.test" if n == 0 else f"z{n}.test"} for n in range(120)]
ROUTES = {
    "zone0": [
        {"id": "r1", "pattern": "api.chitty.test/alpha/*", "script": "alpha-production"},
        {"id": "r2", "pattern": "alpha.chitty.test/*", "script": "alpha-production"},
        {"id": "r3", "pattern": "alpha.chitty.test/health"},
        {"id": "r4", "pattern": "mcp.chitty.test/*", "script": "chittyconnect"},
    ],
    "zone1": [{"id": "r5", "pattern": "shop.z1.test/*", "script": "shop"}],
}
DOMAINS = [
    {"id": "d1", "zone_id": "zone0", "zone_name": "chitty.test", "hostname": "beta.chitty.test", "service": "beta",
     "environment": "production"},
]
seen = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code, message, **headers):
        errors = [{"code": code, "message": message}]
        self.answer(status, {"success": False, "errors": errors, "result": None}, **headers)

    def listed(self, entries, page=None, per_page=50):
        body = {"success": True, "errors": [], "messages": [], "result": entries}
        if page is not None:
            body["result"] = entries[(page - 1) * per_page : page * per_page]
            pages = -(-len(entries) // per_page)
            body["result_info"] = {"page": page, "per_page": per_page, "total_pages": pages, "total_count": len(entries),
                                   "count": len(body["result"])}
        self.answer(200, body)

    def do_GET(self):
        url = urlparse(self.path)
        query = parse_qs(url.query)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        print(self.path, "with" if known else "without", flush=True)
        page = int(query.get("page", ["1"])[0])
        path = url.path.removeprefix("/client/v4")
        if MODE == "unauthorized" or not known:
            return self.refuse(401, 10000, "Authentication error")
        if MODE == "pausing":
            return self.refuse(429, 10429, "slow down", Retry_After="86400")
        if MODE == "no-end":
            return self.refuse(429, 10429, "slow down")
        if MODE == "limited" and self.path not in seen:
            seen.add(self.path)
            return self.refuse(429, 10429, "slow down", Retry_After="0")
        if MODE == "garbled":
            return self.answer(200, b"<html>a proxy's own page</html>")
        if MODE == "moved":
            return self.answer(302, b"", Location=f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        if path == "/zones":
            if query.get("account.id") != [ACCOUNT]:
                return self.refuse(400, 1001, "no such account")
            if MODE == "endless":
                zones = [{"id": f"zone{page}", "name": f"z{page}.test"}]
                return self.answer(200, {"success": True, "result": zones, "result_info": {"total_pages": page + 1}})
            if MODE == "again":
                return self.answer(200, {"success": True, "result": ZONES[:50], "result_info": {"total_pages": 99}})
            if MODE == "huge":
                return self.answer(200, b'{"result": [' + b" " * (9 << 20) + b"]}")
            return self.listed(ZONES, page, int(query.get("per_page", ["20"])[0]))
        if path == f"/accounts/{ACCOUNT}/workers/domains":
            if MODE == "failing":
                return self.refuse(500, 10013, f"cannot read for {TOKEN}")
            return self.listed(DOMAINS)
        parts = path.split("/")
        if len(parts) == 5 and parts[1] == "zones" and parts[3:] == ["workers", "routes"]:
            if MODE == "forbidden" and parts[2] == "zone1":
                return self.refuse(403, 9109, "Unauthorized to access requested resource")
            return self.listed(ROUTES.get(parts[2], []))
        return self.refuse(404, 7003, "no route for that URI")


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
