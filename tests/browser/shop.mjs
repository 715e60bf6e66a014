// Where the shop under test is: one that runs already (SHOP_URL, ADMIN_URL, OPERATOR_TOKEN), or
// the binary SEAWALL_BIN, started here on free ports with its own data folder and the bundled
// campaign. Also the operator's hand: products with the stock and the opening a scenario needs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const START_MS_MAX = 60_000;
const CAMPAIGN = resolve(import.meta.dirname, '../../examples/double11/campaign.yaml');

/** Waits for `look` to give something; a condition with a deadline, never a guess at a duration. */
export async function until(what, ms, look) {
  const deadline = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((go) => setTimeout(go, 40));
  }
}

export async function openShop() {
  const { SHOP_URL, ADMIN_URL, OPERATOR_TOKEN, SEAWALL_BIN } = process.env;
  if (SHOP_URL) {
    assert(ADMIN_URL && OPERATOR_TOKEN, 'SHOP_URL needs ADMIN_URL and OPERATOR_TOKEN beside it');
    return new Shop(SHOP_URL, ADMIN_URL, OPERATOR_TOKEN, async () => {});
  }
  assert(SEAWALL_BIN, 'set SEAWALL_BIN to the binary, or SHOP_URL to a shop that runs');
  return start(SEAWALL_BIN);
}

/** A shop of a scenario's own: a door (the text of its file), a catalogue (CSV) in place of the
 * bundled one. Needs the binary. */
export async function ownShop({ door, catalogue }) {
  const { SEAWALL_BIN } = process.env;
  assert(SEAWALL_BIN, 'a door of its own needs SEAWALL_BIN');
  const folder = mkdtempSync(join(tmpdir(), 'seawall-door-'));
  const gone = () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  try {
    const file = join(folder, 'door.yaml');
    writeFileSync(file, door);
    let campaign = CAMPAIGN;
    if (catalogue) {
      campaign = join(folder, 'campaign.yaml');
      writeFileSync(join(folder, 'catalogue.csv'), catalogue);
      const small = ['version: 1', 'name: small', 't0: 2026-11-11T00:00:00Z', 'buyers: 10',
        'catalogue: catalogue.csv', 'demand: {curve: [[0s, 1], [1s, 1]]}',
        'journeys: {before_t0: {sign_in: 1}, after_t0: {order: 1}, lines: [1]}'];
      writeFileSync(campaign, small.join('\n') + '\n');
    }
    const shop = await start(SEAWALL_BIN, campaign, ['--door', file]);
    const close = shop.close;
    // The door looks at its file as long as it runs.
    shop.close = () => close().finally(gone);
    return shop;
  } catch (error) {
    gone();
    throw error;
  }
}

async function start(binary, campaign = CAMPAIGN, more = []) {
  const data = mkdtempSync(join(tmpdir(), 'seawall-browser-'));
  // What the caller set for itself is no setting of the shop.
  const ours = ([name]) => !name.startsWith('SEAWALL_');
  const env = Object.fromEntries(Object.entries(process.env).filter(ours));
  const what = ['--campaign', campaign, '--t0', '+1s', ...more];
  const where = ['--data', data, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn(binary, ['up', ...what, ...where], { env, stdio });
  let said = '', log = '';
  child.stdout.on('data', (chunk) => { said += chunk; });
  child.stderr.on('data', (chunk) => { log = (log + chunk).slice(-20_000); });
  const ended = new Promise((go) => child.once('exit', go));
  const close = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
    rmSync(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  try {
    const url = (name) => said.match(new RegExp(`^${name} +(http:\\S+)`, 'm'))?.[1];
    await until('the shop says where it is', START_MS_MAX, () => {
      assert(child.exitCode === null, `the shop ended with ${child.exitCode}`);
      return url('shop') && url('admin');
    });
    const ready = () => fetch(`${url('admin')}/readyz`).then((a) => a.ok, () => false);
    await until('the shop is ready', START_MS_MAX, ready);
    const token = readFileSync(join(data, 'operator.token'), 'utf8').trim();
    return new Shop(url('shop'), url('admin'), token, close);
  } catch (error) {
    await close();
    throw new Error(`${error.message}\n${log}`);
  }
}

class Shop {
  constructor(url, admin, token, close) {
    const bare = (address) => address.replace(/\/$/, '');
    Object.assign(this, { url: bare(url), admin: bare(admin), token, close });
    this.products = 0;
  }

  /** A new product; `opens_ms` and `buyer_limit` may be left out. Gives its SKU. */
  async product(stock, more = {}) {
    const sku = `BROWSER-${process.pid}-${++this.products}`;
    const terms = { sku, title: `Browser product ${this.products}`, price_minor: 1_900 };
    const body = JSON.stringify({ ...terms, currency: 'EUR', stock, hold_ms: 120_000, ...more });
    const headers = { Authorization: `Bearer ${this.token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${this.admin}/operator/skus`, { method: 'POST', headers, body });
    const said = await answer.text();
    assert(answer.ok, `the operator could not list ${sku}: ${answer.status} ${said}`);
    await until(`${sku} is on sale`, 10_000, async () => {
      const page = await fetch(`${this.url}/v1/products/${sku}`);
      return page.ok;
    });
    return sku;
  }

  /** What an operator does at the door: `switches/NAME`, `rooms/NAME/open`. */
  async operate(path, order = {}) {
    const headers = { Authorization: `Bearer ${this.token}`, 'Content-Type': 'application/json' };
    const body = JSON.stringify({ owner: 'a scenario', reason: 'to see it', ...order });
    const url = `${this.admin}/operator/door/${path}`;
    const answer = await fetch(url, { method: 'POST', headers, body });
    const said = await answer.text();
    assert(answer.ok, `${path}: ${answer.status} ${said}`);
  }

  /** What the shop says of a product to everybody. */
  async stock(sku) {
    const answer = await fetch(`${this.url}/v1/products/${sku}`);
    return answer.json();
  }
}
