"""The real Python client of Toxiproxy drives `seawall faults`, and the faults are felt.

    check.py HOST PORT    the control listener

Ends with 0 if everything was as the client's documentation says, with 1 at the first that was not.
"""

import contextlib
import socket
import sys
import threading
import time

import toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

PATIENCE_S = 20


def echo():
    """Says what it hears; where it listens."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        # A reset, or bytes for one who has gone, are what is tested.
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


def connect(proxy):
    host, port = proxy.listen.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def ping(connection):
    started = time.monotonic()
    connection.sendall(b"p")
    data = connection.recv(1)
    return data, time.monotonic() - started


def refused(proxy):
    try:
        connect(proxy).close()
    except ConnectionRefusedError:
        return True
    return False


def raises(what, call):
    try:
        call()
    except what:
        return
    sys.exit(f"{what.__name__} was expected")


server = toxiproxy.Toxiproxy()
server.update_api_consumer(sys.argv[1], int(sys.argv[2]))
assert server.running()
assert b"seawall" in server.version()

upstream = echo()
proxy = server.create(upstream=upstream, name="one", listen="127.0.0.1:0")
assert proxy.enabled and proxy.upstream == upstream
assert not proxy.listen.endswith(":0"), proxy.listen
raises(ProxyExists, lambda: server.create(upstream=upstream, name="one"))
assert list(server.proxies()) == ["one"]
assert server.get_proxy("none") is None

connection = connect(proxy)
assert ping(connection)[0] == b"p"
proxy.add_toxic(type="latency", attributes={"latency": 200, "jitter": 0})
took = ping(connection)[1]
assert 0.19 <= took <= 0.5, took
toxic = proxy.get_toxic("latency_downstream")
assert (toxic.type, toxic.stream, toxic.toxicity) == ("latency", "downstream", 1.0)
assert toxic.attributes == {"latency": 200, "jitter": 0}
raises(ProxyExists, lambda: proxy.add_toxic(type="latency"))
raises(InvalidToxic, lambda: proxy.add_toxic(type="none"))
raises(InvalidToxic, lambda: proxy.add_toxic(type="latency", name="x", stream="sideways"))
proxy.destroy_toxic("latency_downstream")
raises(NotFound, lambda: proxy.destroy_toxic("latency_downstream"))
assert min(ping(connection)[1] for _ in range(5)) < 0.1

attributes = {
    "bandwidth": {"rate": 1000},
    "slow_close": {"delay": 1},
    "timeout": {"timeout": 100},
    "reset_peer": {"timeout": 0},
    "slicer": {"average_size": 10, "size_variation": 2, "delay": 1},
    "limit_data": {"bytes": 5},
}
for kind, wanted in attributes.items():
    proxy.add_toxic(name=kind, type=kind, stream="upstream", toxicity=0.5, attributes=wanted)
shown = proxy.toxics()
assert {name: toxic.attributes for name, toxic in shown.items()} == attributes
assert all((toxic.stream, toxic.toxicity) == ("upstream", 0.5) for toxic in shown.values())
assert server.reset()
assert proxy.toxics() == {}

proxy.add_toxic(type="reset_peer", attributes={"timeout": 0})
raises(ConnectionResetError, lambda: ping(connect(proxy)))
server.reset()

with proxy.down():
    assert refused(proxy)
    assert not server.get_proxy("one").enabled
assert ping(connect(proxy))[0] == b"p"
proxy.disable()
server.reset()
assert server.get_proxy("one").enabled, "a reset enables"

made = server.populate([
    {"name": "one", "upstream": echo(), "listen": "127.0.0.1:0"},
    {"name": "two", "upstream": upstream, "listen": "127.0.0.1:0"},
])
assert [one.name for one in made] == ["one", "two"]
assert ping(connect(made[0]))[0] == b"p"
server.destroy_all()
assert server.proxies() == {} and refused(made[0])
print("the Python client: as documented")
