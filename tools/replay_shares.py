"""Replays a real access log through the binary at x10,000 and compares what a server saw, hour by
hour, with the log: all requests, and the share of every hour within 5 percent.

usage: replay_shares.py SEAWALL LOG
"""

import collections
import datetime
import http.server
import json
import re
import subprocess
import sys
import tempfile
import threading
import time

SPEED = 10_000
SHARE = 0.05

seawall, log = sys.argv[1:]
seen = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        seen.append(time.monotonic())
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Listener(http.server.ThreadingHTTPServer):
    # A short queue would refuse connections, which then come a second late.
    request_queue_size = 1024


server = Listener(("127.0.0.1", 0), Server)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()

wanted = []
for line in open(log, encoding="utf-8", errors="replace"):
    stamp = re.search(r"\[([^\]]+)\]", line).group(1)
    wanted.append(datetime.datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z").timestamp())
wanted.sort()

with tempfile.TemporaryDirectory() as out:
    url = f"http://127.0.0.1:{server.server_port}"
    command = [seawall, "load", "replay", log, "--url", url, "--speed", str(SPEED), "--quiet", "--json"]
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True, timeout=300)
if done.returncode != 0:
    sys.exit(f"the replay ended with {done.returncode}: {done.stderr}{done.stdout[:2000]}")
verdict = json.loads(done.stdout)["verdict"]
if len(seen) != len(wanted):
    sys.exit(f"{len(wanted)} requests are in the log and {len(seen)} came")


def hours(instants):
    return collections.Counter(int(at // 3600) for at in instants)


# The instant at which the plan began, by whoever was least late.
first = wanted[0]
began = min(came - (at - first) / SPEED for came, at in zip(sorted(seen), wanted))
was, now = hours(wanted), hours(first + (at - began) * SPEED for at in seen)
worst = max((abs(now[hour] - count) / count, hour) for hour, count in was.items())
print(f"{len(seen)} requests in {max(seen) - began:.1f} s, verdict {verdict}; the share of the worst "
      f"of {len(was)} hours is off by {worst[0]:.1%}")
if worst[0] > SHARE:
    sys.exit(f"an hour's share is off by {worst[0]:.1%}; {SHARE:.0%} is allowed")
