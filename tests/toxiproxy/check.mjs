// The real Node client of Toxiproxy drives `seawall faults`, and the faults are felt.
//
//     node check.mjs http://HOST:PORT    the control listener
//
// Ends with 0 if everything was as the client's documentation says, with 1 at the first that was not.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { once } from "node:events";
import client from "toxiproxy-node-client";

const { Toxiproxy } = client;
const PATIENCE_MS = 20_000;

const echo = createServer((socket) => socket.on("error", () => {}).pipe(socket));
echo.listen(0, "127.0.0.1");
await once(echo, "listening");
const upstream = `127.0.0.1:${echo.address().port}`;

function open(proxy) {
  const [host, port] = proxy.listen.split(":");
  const socket = connect(Number(port), host).setNoDelay(true).setTimeout(PATIENCE_MS);
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

// Milliseconds there and back; the code of what went wrong.
function ping(socket) {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    socket.once("data", () => resolve(performance.now() - started));
    socket.once("error", reject);
    socket.once("timeout", () => reject(new Error("no answer")));
    socket.write("p");
  });
}

const server = new Toxiproxy(process.argv[2]);
const version = await server.getVersion();
assert.match(JSON.stringify(version), /seawall/);

const proxy = await server.createProxy({ name: "one", listen: "localhost:0", upstream });
assert.equal(proxy.enabled, true);
assert.equal(proxy.upstream, upstream);
assert.match(proxy.listen, /^127\.0\.0\.1:[1-9]\d*$/);
await assert.rejects(server.createProxy({ name: "one", listen: "localhost:0", upstream }));
await assert.rejects(server.get("none"));
assert.equal((await server.get("one")).listen, proxy.listen);

const socket = await open(proxy);
await ping(socket);
const toxic = await proxy.addToxic({
  name: "slow",
  type: "latency",
  stream: "downstream",
  toxicity: 1,
  attributes: { latency: 200, jitter: 0 },
});
assert.deepEqual(toxic.attributes, { latency: 200, jitter: 0 });
let took = await ping(socket);
assert.ok(took >= 190 && took <= 500, `${took} ms`);
const updated = await toxic.update({ ...toxic.toJson(), attributes: { latency: 50, jitter: 0 } });
assert.equal(updated.attributes.latency, 50);
took = await ping(socket);
assert.ok(took >= 45 && took < 190, `${took} ms`);
assert.equal((await proxy.getToxic("slow")).attributes.latency, 50);
await toxic.remove();
await assert.rejects(proxy.getToxic("slow"));
const unknown = { name: "x", type: "none", stream: "downstream", toxicity: 1, attributes: {} };
await assert.rejects(proxy.addToxic(unknown));

const attributes = {
  bandwidth: { rate: 1000 },
  slow_close: { delay: 1 },
  timeout: { timeout: 100 },
  reset_peer: { timeout: 0 },
  slicer: { average_size: 10, size_variation: 2, delay: 1 },
  limit_data: { bytes: 5 },
};
for (const [type, wanted] of Object.entries(attributes)) {
  const wish = { name: type, type, stream: "upstream", toxicity: 0.5, attributes: wanted };
  const made = await proxy.addToxic(wish);
  assert.deepEqual(made.toJson(), wish);
}
await server.reset();
await assert.rejects(proxy.getToxic("bandwidth"));

const reset = { name: "reset", type: "reset_peer", stream: "downstream", toxicity: 1 };
await proxy.addToxic({ ...reset, attributes: { timeout: 0 } });
await assert.rejects(ping(await open(proxy)), { code: "ECONNRESET" });
await server.reset();

const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
assert.equal(off.enabled, false);
await assert.rejects(open(proxy), { code: "ECONNREFUSED" });
const on = await proxy.update({ enabled: true, listen: proxy.listen, upstream });
assert.deepEqual([on.enabled, on.listen], [true, proxy.listen]);
await ping(await open(proxy));

const list = [
  { name: "one", listen: proxy.listen, upstream },
  { name: "two", listen: "localhost:0", upstream },
];
const populated = await server.populate(list);
assert.deepEqual(Object.keys(populated), ["one", "two"]);
await ping(await open(populated.two));
assert.deepEqual(Object.keys(await server.getAll()), ["one", "two"]);
await populated.two.remove();
await proxy.remove();
assert.deepEqual(await server.getAll(), {});
console.log("the Node client: as documented");
process.exit(0);
