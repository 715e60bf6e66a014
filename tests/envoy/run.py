"""The real Envoy in front of a small server, asking our service about limits.

    run.py ENVOY FOLDER SEAWALL    two binaries, and a folder for what they write

Counts are exact: so many requests go through and not one more, whatever order they come in. Limits
are changed while all of it runs. The service is killed, both ways of failing are looked at, and it comes back on the same address.
"""

import collections
import concurrent.futures
import http.client
import http.server
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
DEADLINE_S = 30


def until(what, probe):
    """Waits for a condition; what it gives is returned."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            sys.exit(f"envoy: not within {DEADLINE_S} s: {what}")
        time.sleep(0.05)


class Shop(http.server.BaseHTTPRequestHandler):
    """What stands behind Envoy; counts what reaches it."""

    protocol_version = "HTTP/1.1"
    reached = collections.Counter()
    lock = threading.Lock()

    def do_GET(self):
        with Shop.lock:
            Shop.reached[self.headers.get("x-case", "")] += 1
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Service:
    """The process under test: the door, which takes no request here, and its limits."""

    def __init__(self, seawall, folder):
        self.seawall, self.folder, self.process = seawall, folder, None
        self.addr, self.admin = "127.0.0.1:0", None
        self.write(lambda text: text)

    def write(self, change):
        """The gateway file, changed, in place of the one before."""
        beside = self.folder / "gateway.new"
        beside.write_text(change((HERE / "gateway.yaml").read_text()))
        beside.rename(self.folder / "gateway.yaml")

    def start(self):
        out = self.folder / "rls.out"
        command = [self.seawall, "gateway", str(self.folder / "gateway.yaml"), "--log", "warn",
                   "--data", str(self.folder / "data"), "--rls", self.addr]
        with open(out, "w") as stdout, open(self.folder / "rls.log", "a") as log:
            self.process = subprocess.Popen(command, stdout=stdout, stderr=log)

        def listening():
            if self.process.poll() is not None:
                log = (self.folder / "rls.log").read_text()
                sys.exit("envoy: the service ended: " + log[-500:])
            # The last line that is printed.
            return re.search(r"^rls +(\S+)\n.*?^admin +\S+:(\d+)$", out.read_text(), re.M | re.S)

        found = until("the service listens", listening)
        self.addr, self.admin = found[1], int(found[2])

    def operator(self, method, path):
        token = (self.folder / "data" / "operator.token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers={"authorization": "Bearer " + token})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, line):
        _, text = self.operator("GET", "/metrics")
        found = re.search("^" + re.escape(line) + r" (\d+)$", text, re.M)
        return int(found[1]) if found else None

    def end(self, how):
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_S)


def get(port, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/order", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def flood(port, count, headers):
    """So many at once; the statuses by number, and one answer's headers of each."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(port, headers), range(count)))
    return collections.Counter(status for status, _ in answers), dict(answers)


def check(what, found, expected):
    if found != expected:
        sys.exit(f"envoy: {what}: found {found}, expected {expected}")
    print(f"envoy: {what}: {found}")


def start_envoy(envoy, folder, shop_port, rls_port):
    listener = (HERE / "listener.yaml").read_text()
    listeners = [listener.replace("NAME", name).replace("DENY", deny)
                 for name, deny in (("denying", "true"), ("allowing", "false"))]
    text = (HERE / "envoy.yaml").read_text().replace("LISTENERS\n", "".join(listeners))
    text = text.replace("SHOP_PORT", str(shop_port)).replace("RLS_PORT", str(rls_port))
    config, admin = folder / "envoy.yaml", folder / "admin"
    config.write_text(text)
    log = open(folder / "envoy.log", "w")
    process = subprocess.Popen([envoy, "-c", str(config), "--admin-address-path", str(admin),
                                "--use-dynamic-base-id", "--concurrency", "2", "-l", "warning"],
                               stdout=log, stderr=log)

    def ready():
        if process.poll() is not None:
            sys.exit("envoy: Envoy ended: " + (folder / "envoy.log").read_text()[-800:])
        return admin.exists() and ":" in admin.read_text()

    until("Envoy has an admin address", ready)
    return process, int(admin.read_text().rsplit(":", 1)[1])


def ask_admin(port, path):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except OSError:
        return ""


def ports(admin):
    def found():
        text = ask_admin(admin, "/listeners?format=json")
        status = json.loads(text).get("listener_statuses", []) if text else []
        named = {s["name"]: s["local_address"]["socket_address"]["port_value"] for s in status}
        return named if len(named) == 2 and all(named.values()) else None
    return until("both listeners are there", found)


def healthy(admin, wanted):
    def found():
        text = ask_admin(admin, "/clusters?format=json")
        for cluster in json.loads(text).get("cluster_statuses", []) if text else []:
            if cluster["name"] == "rls":
                status = cluster["host_statuses"][0]["health_status"]
                is_well = not any(status.get(flag) for flag in
                                  ("failed_active_health_check", "pending_active_hc"))
                return is_well == wanted
        return False
    until(f"Envoy finds the service {'healthy' if wanted else 'gone'}", found)


def cases(denying, allowing, admin, service):
    statuses, answers = flood(denying, 60, {"x-user-id": "anna", "x-case": "anna"})
    check("60 requests of one buyer, 20 at once", dict(statuses), {200: 20, 429: 40})
    check("of which the shop saw", Shop.reached["anna"], 20)
    refused, allowed = answers[429], answers[200]
    check("policy", refused.get("ratelimit-policy"), '"buyers";q=20')
    check("left", re.sub(r"t=\d+", "t=…", refused.get("ratelimit", "")), '"buyers";r=0;t=…')
    wait = int(refused.get("retry-after", "0"))
    check("a wait of up to an hour", 3_500 <= wait <= 3_600, True)
    check("the allowed are told as well", allowed.get("ratelimit-policy"), '"buyers";q=20')
    check("Envoy's own headers", refused.get("x-ratelimit-remaining"), "0")
    statuses, _ = flood(allowing, 30, {"x-user-id": "berta"})
    check("another buyer at the other listener", dict(statuses), {200: 20, 429: 10})
    statuses, _ = flood(denying, 12, {"x-api-key": "partner"})
    check("shadow", dict(statuses), {200: 12})
    both = {"x-user-id": "carla", "x-tenant": "t1"}
    statuses, _ = flood(denying, 10, both)
    check("two descriptors, the narrower counts", dict(statuses), {200: 3, 429: 7})
    statuses, _ = flood(denying, 30, {"x-user-id": "carla"})
    check("who was refused by one paid at none", dict(statuses), {200: 17, 429: 13})
    statuses, _ = flood(denying, 10, {})
    check("nothing to limit by", dict(statuses), {200: 10})

    calls = "seawall_rls_calls_total"
    over = service.metric(calls + '{end="over_limit"}')
    check("calls that the service counts as refused", over, 40 + 10 + 7 + 13)
    check("calls of other domains", service.metric(calls + '{end="unknown_domain"}'), 0)

    service.write(lambda text: text.replace("burst: 20", "burst: 25"))
    check("a reload", service.operator("POST", "/operator/door/reload")[0], 200)
    statuses, _ = flood(denying, 30, {"x-user-id": "emil"})
    check("the new limit counts at once", dict(statuses), {200: 25, 429: 5})
    service.write(lambda text: text.replace("burst: 20", "burst: often"))
    check("a bad one", service.operator("POST", "/operator/door/reload")[0], 422)
    statuses, _ = flood(denying, 30, {"x-user-id": "fritz"})
    check("changes nothing", dict(statuses), {200: 25, 429: 5})
    service.write(lambda text: text)

    service.end(signal.SIGKILL)
    healthy(admin, False)
    status, _ = get(denying, {"x-user-id": "anna"})
    check("service killed, failure_mode_deny: true", status, 500)
    status, _ = get(allowing, {"x-user-id": "anna"})
    check("service killed, failure_mode_deny: false", status, 200)
    service.start()
    healthy(admin, True)
    statuses, _ = flood(denying, 30, {"x-user-id": "anna"})
    check("after the restart, with fresh books", dict(statuses), {200: 20, 429: 10})
    check("asked to end, it drains", service.end(signal.SIGTERM), 0)


def main():
    envoy, folder, seawall = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    service, process = Service(seawall, folder), None
    try:
        service.start()
        port = int(service.addr.rsplit(":", 1)[1])
        process, admin = start_envoy(envoy, folder, shop.server_port, port)
        found = ports(admin)
        healthy(admin, True)
        cases(found["denying"], found["allowing"], admin, service)
    finally:
        for started in (service.process, process):
            if started and started.poll() is None:
                started.kill()
                started.wait()
        shop.shutdown()


if __name__ == "__main__":
    main()
