// The browser under test, and what scenarios do in it. Each buyer has a context of its own (its
// own cookies and storage), from a profile that is thrown away.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** CHROMIUM may name or locate another one. */
export function chromiumPath() {
  const wanted = process.env.CHROMIUM || '/usr/bin/chromium';
  if (existsSync(wanted)) return wanted;
  return execFileSync('sh', ['-c', 'command -v "$0"', wanted], { encoding: 'utf8' }).trim();
}

export const launch = () => chromium.launch({ executablePath: chromiumPath(), args: FLAGS });

/** What no page may ever say: script errors and violations of its own security policy. */
const FORBIDDEN = /Content Security Policy|TrustedHTML|Uncaught/;

export class Buyer {
  static #count = 0;

  static async enter(browser, shop, options = {}) {
    const viewport = { width: 1_000, height: 800 };
    const context = await browser.newContext({ viewport, baseURL: shop.url, ...options });
    const page = await context.newPage();
    return new Buyer(shop, context, page);
  }

  constructor(shop, context, page) {
    Object.assign(this, { shop, context, page, complaints: [] });
    this.mail = `buyer-${process.pid}-${Date.now()}-${++Buyer.#count}@example.org`;
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (line) => {
      if (FORBIDDEN.test(line.text())) this.complaints.push(line.text());
    });
  }

  /** Creates an account through the form that people use, and comes out at `next`. */
  async signUp(next = '/') {
    if (!this.page.url().includes('/sign-in')) {
      await this.page.goto(`/sign-in?next=${encodeURIComponent(next)}`);
    }
    const form = this.page.locator('form[action="/accounts"]');
    await form.locator('[name=email]').fill(this.mail);
    await form.locator('[name=name]').fill('Ada Example');
    await form.locator('[name=password]').fill('a long enough password');
    await Promise.all([
      this.page.waitForURL((url) => !url.pathname.startsWith('/sign-in')),
      form.locator('button').click(),
    ]);
    return this;
  }

  buyButton() { return this.page.locator('form[data-buy] button.buy'); }
  status() { return this.page.locator('[data-status]'); }
  onOrderPage() { return this.page.waitForURL(/\/orders\/[^/?]+$/); }

  /** This buyer's orders of a product, as the shop knows them. */
  async orders(sku) {
    const answer = await this.context.request.get('/v1/orders?limit=50');
    assert.equal(answer.status(), 200);
    const { orders } = await answer.json();
    return orders.filter((order) => order.lines.some((line) => line.sku === sku));
  }

  /** Keys of the order requests that this page sends from now on. */
  keysSent(path = '/v1/orders') {
    const keys = [];
    this.page.on('request', (request) => {
      const asked = request.method() === 'POST' && new URL(request.url()).pathname === path;
      if (asked) keys.push(request.headers()['idempotency-key']);
    });
    return keys;
  }

  /** How the page looks on a phone and on a desk, for people to judge: into the folder SHOTS. */
  async shoot(name) {
    if (!process.env.SHOTS) return;
    mkdirSync(process.env.SHOTS, { recursive: true });
    const before = this.page.viewportSize();
    for (const [size, width, height] of [['phone', 390, 844], ['desk', 1_280, 800]]) {
      await this.page.setViewportSize({ width, height });
      const path = join(process.env.SHOTS, `${name}-${size}.png`);
      await this.page.screenshot({ path, fullPage: name.startsWith('page') });
    }
    await this.page.setViewportSize(before);
  }

  async leave() {
    await this.context.close();
    assert.deepEqual(this.complaints, [], 'a page complained');
  }
}
