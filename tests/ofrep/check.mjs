// Starts `seawall gateway` on gateway.yaml and asks it with the real OpenFeature client.
//
//     SEAWALL_BIN=… npm test
//
// Ends with 0 if every answer was as expected, with 1 at the first that was not.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OFREPApi } from "@openfeature/ofrep-core";

const { SEAWALL_BIN: binary, ...env } = process.env;
if (!binary) {
  console.error("expected SEAWALL_BIN: the path of the seawall binary");
  process.exit(64);
}

const data = mkdtempSync(join(tmpdir(), "seawall-ofrep-"));
const file = new URL("gateway.yaml", import.meta.url).pathname;
const server = spawn(binary, ["gateway", file, "--data", data, "--log", "warn"], {
  env,
  stdio: ["ignore", "pipe", "inherit"],
});
const lines = createInterface({ input: server.stdout });

let baseUrl;
let headers;

async function started() {
  for await (const line of lines) {
    const found = /^admin +(\S+)$/.exec(line);
    if (found) return `http://${found[1]}`;
  }
  throw new Error("the gateway ended before it said where its admin listener is");
}

async function turn(name, order) {
  const wish = { on: order === "on", owner: "tests/ofrep", reason: "a check" };
  const answer = await fetch(`${baseUrl}/operator/door/switches/${name}`, {
    method: "POST",
    headers,
    body: JSON.stringify(wish),
  });
  assert.equal(answer.status, 200, await answer.text());
}

async function single() {
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: Object.entries(headers) }));
  const client = OpenFeature.getClient();
  const ask = (context) => client.getBooleanDetails("reviews", true, context);

  let flag = await ask({});
  assert.deepEqual(
    [flag.value, flag.reason, flag.variant, flag.flagMetadata],
    [true, "STATIC", "on", { kind: "feature" }],
  );

  await turn("search-light", "on");
  flag = await ask({ targetingKey: "buyer-1", route: "search" });
  assert.deepEqual([flag.value, flag.reason, flag.variant], [false, "TARGETING_MATCH", "off"]);
  assert.deepEqual(flag.flagMetadata, { kind: "feature", switch: "search-light", off_on: "search" });
  flag = await ask({ targetingKey: "buyer-1", route: "product" });
  assert.deepEqual([flag.value, flag.reason], [true, "TARGETING_MATCH"]);
  flag = await ask({});
  assert.deepEqual([flag.value, flag.reason], [true, "DEFAULT"]);

  await turn("no-reviews", "on");
  flag = await ask({});
  assert.deepEqual([flag.value, flag.reason, flag.errorCode], [false, "DISABLED", undefined]);
  await turn("no-reviews", "off");
  await turn("search-light", "off");
  flag = await client.getBooleanDetails("reviews", false, {});
  assert.deepEqual([flag.value, flag.reason], [true, "STATIC"]);

  flag = await client.getBooleanDetails("no-reviews", true, {});
  assert.deepEqual([flag.value, flag.flagMetadata.kind], [false, "switch"]);

  flag = await client.getBooleanDetails("none", true, {});
  assert.deepEqual([flag.value, flag.reason, flag.errorCode], [true, "ERROR", "FLAG_NOT_FOUND"]);
  flag = await ask({ route: "none" });
  assert.deepEqual([flag.value, flag.errorCode], [true, "INVALID_CONTEXT"]);
  flag = await client.getStringDetails("reviews", "x", {});
  assert.deepEqual([flag.value, flag.errorCode], ["x", "TYPE_MISMATCH"]);
}

async function bulk() {
  const api = new OFREPApi(baseUrl);
  const all = await api.postBulkEvaluateFlags({ context: { targetingKey: "buyer-1" } }, { headers });
  assert.equal(all.httpStatus, 200);
  assert.deepEqual(
    all.value.flags.map((flag) => [flag.key, flag.value]),
    [["reviews", true], ["no-reviews", false], ["search-light", false]],
  );
  const tag = all.httpResponse.headers.get("etag");
  const again = () =>
    api.postBulkEvaluateFlags({ context: {} }, { headers: { ...headers, "If-None-Match": tag } });
  assert.equal((await again()).httpStatus, 304);
  await turn("no-reviews", "on");
  const changed = await again();
  assert.equal(changed.httpStatus, 200);
  assert.deepEqual(
    changed.value.flags.map((flag) => flag.value),
    [false, true, false],
  );
  const wrong = await api.postBulkEvaluateFlags({ context: { route: "none" } }, { headers });
  assert.deepEqual([wrong.httpStatus, wrong.value.errorCode], [400, "INVALID_CONTEXT"]);
}

let code = 1;
try {
  baseUrl = await started();
  const token = readFileSync(join(data, "operator.token"), "utf8").trim();
  headers = { authorization: `Bearer ${token}` };
  await single();
  await bulk();
  console.log("OFREP: the OpenFeature client and the door agree");
  code = 0;
} catch (error) {
  console.error(error);
} finally {
  await OpenFeature.close();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  if (server.exitCode === null && server.kill()) await ended;
  rmSync(data, { recursive: true, force: true });
}
process.exit(code);
