// What buyers go through, each in real browsers against a real shop. A scenario gets
// `enter(options)` for one more buyer and the shop; it fails by throwing.

import assert from 'node:assert/strict';
import { until } from './shop.mjs';

/** A promise with its key: requests wait behind it until the scenario lets them go. */
function gate() {
  let open;
  const passed = new Promise((go) => { open = go; });
  return { passed, open };
}

async function lastUnit({ shop, enter }) {
  const sku = await shop.product(1);
  const buyers = [await enter(), await enter()];
  for (const buyer of buyers) {
    await buyer.signUp(`/p/${sku}`);
    await buyer.page.waitForSelector('button.buy:enabled');
  }
  // Neither order leaves before both have clicked: the live stock would close the button of the
  // slower one, and nobody would have raced.
  const both = gate();
  let clicked = 0;
  for (const buyer of buyers) {
    await buyer.page.route('**/v1/orders', async (route) => {
      clicked += 1;
      if (clicked === buyers.length) both.open();
      await both.passed;
      await route.continue();
    });
  }
  await Promise.all(buyers.map((buyer) => buyer.buyButton().click()));
  const ends = await Promise.all(buyers.map((buyer) => Promise.race([
    buyer.onOrderPage().then(() => 'won'),
    buyer.status().getByText(/left|sold|taken/i).waitFor().then(() => 'lost'),
  ])));
  assert.deepEqual(ends.toSorted(), ['lost', 'won']);
  const loser = buyers[ends.indexOf('lost')], winner = buyers[ends.indexOf('won')];
  assert.equal((await winner.orders(sku)).length, 1);
  assert.equal((await loser.orders(sku)).length, 0);
  await loser.page.getByText('Sold out').first().waitFor();
  assert(await loser.buyButton().isDisabled(), 'nothing is left to click for');
  const { free, state } = await shop.stock(sku);
  assert.deepEqual({ free, state }, { free: 0, state: 'sold_out' });
}

async function countdown({ shop, enter }) {
  const buyer = await enter();
  await buyer.signUp();
  // The device's clock is an hour fast: it must not matter.
  await buyer.context.addInitScript(() => {
    const real = Date.now;
    Date.now = () => real() + 3_600_000;
  });
  const { server_ms: before } = await shop.stock(await shop.product(1));
  const opens = before + 7_000;
  const sku = await shop.product(5, { opens_ms: opens });
  await buyer.page.goto(`/p/${sku}`);
  await buyer.page.evaluate(() => { window.sameDocument = true; });
  assert(await buyer.buyButton().isDisabled(), 'closed before its time');
  assert.match(await buyer.buyButton().textContent(), /not open/i);
  const cells = buyer.page.locator('[data-count]');
  await until('the countdown counts', 5_000, async () => /\d/.test(await cells.textContent()));
  const first = await cells.textContent();
  await until('the countdown moves', 3_000, async () => (await cells.textContent()) !== first);
  await buyer.page.waitForSelector('button.buy:enabled', { timeout: 15_000 });
  const late = (await shop.stock(sku)).server_ms - opens;
  assert(late > -100 && late < 2_000, `opened ${late} ms after its time`);
  assert(await buyer.page.evaluate(() => window.sameDocument), 'it was reloaded');
  await buyer.buyButton().click();
  await buyer.onOrderPage();
}

async function doubleClick({ shop, enter }) {
  const sku = await shop.product(10);
  const buyer = await enter();
  await buyer.signUp(`/p/${sku}`);
  const keys = buyer.keysSent(), held = gate();
  await buyer.page.route('**/v1/orders', async (route) => {
    await held.passed;
    await route.continue();
  });
  await buyer.buyButton().dblclick();
  await buyer.buyButton().press('Enter');
  await buyer.buyButton().click({ force: true });
  held.open();
  await buyer.onOrderPage();
  assert.equal(new Set(keys).size, 1, `${keys.length} requests under ${keys}`);
  assert.equal((await buyer.orders(sku)).length, 1);
  assert.equal((await shop.stock(sku)).free, 9);
}

async function lostConnection({ shop, enter }) {
  const sku = await shop.product(10);
  const buyer = await enter();
  await buyer.signUp(`/p/${sku}`);
  const keys = buyer.keysSent();
  let tries = 0;
  await buyer.page.route('**/v1/orders', async (route) => {
    tries += 1;
    if (tries === 1) {
      // The shop takes the order, and nobody hears of it.
      await route.fetch();
      await route.abort('connectionreset');
    } else if (tries === 2) {
      await route.abort('internetdisconnected');
    } else {
      await route.continue();
    }
  });
  await buyer.buyButton().click();
  await buyer.status().getByText(/connection lost .* not lost/i).waitFor();
  await buyer.onOrderPage();
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1, 'always under the same key');
  assert.equal((await buyer.orders(sku)).length, 1);
  await buyer.page.goBack();
  await buyer.page.waitForSelector('button.buy:enabled');
  assert.equal((await buyer.orders(sku)).length, 1, 'coming back orders nothing');
}

async function reloadInTheMiddle({ shop, enter }) {
  const sku = await shop.product(10);
  const buyer = await enter();
  await buyer.signUp(`/p/${sku}`);
  const keys = buyer.keysSent(), reached = gate();
  let tries = 0;
  await buyer.page.route('**/v1/orders', async (route) => {
    tries += 1;
    if (tries > 1) return route.continue();
    await route.fetch();
    reached.open();
    // Never answered: the page is gone by then.
  });
  await buyer.buyButton().click();
  await reached.passed;
  await buyer.page.reload();
  await buyer.onOrderPage();
  assert.equal(new Set(keys).size, 1);
  assert.equal((await buyer.orders(sku)).length, 1);
}

async function busyShop({ shop, enter }) {
  const sku = await shop.product(10);
  const buyer = await enter();
  await buyer.signUp(`/p/${sku}`);
  const keys = buyer.keysSent();
  let tries = 0;
  await buyer.page.route('**/v1/orders', async (route) => {
    tries += 1;
    if (tries > 2) return route.continue();
    const problem = { code: 'overloaded', happened: 'no', detail: 'Busy.', retry_after_ms: 600 };
    await route.fulfill({
      status: 503, json: problem, contentType: 'application/problem+json',
      headers: { 'Retry-After': '1' },
    });
  });
  await buyer.buyButton().click();
  await buyer.status().getByText(/nothing has happened yet/i).waitFor();
  await buyer.onOrderPage();
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
}

async function signInInTheMiddle({ shop, enter }) {
  const sku = await shop.product(10);
  const buyer = await enter();
  const keys = buyer.keysSent();
  await buyer.page.goto(`/p/${sku}`);
  await buyer.buyButton().click();
  await buyer.page.waitForURL(/\/sign-in\?next=/);
  await buyer.signUp();
  await buyer.onOrderPage();
  assert.equal(new Set(keys).size, 1, 'the wish kept its key');
  assert.equal((await buyer.orders(sku)).length, 1);
}

async function buyerLimit({ shop, enter }) {
  const sku = await shop.product(10, { buyer_limit: 2 });
  const buyer = await enter();
  await buyer.signUp(`/p/${sku}`);
  await buyer.page.locator('[name=quantity]').selectOption('2');
  await buyer.buyButton().click();
  await buyer.onOrderPage();
  await buyer.page.goto(`/p/${sku}`);
  await buyer.buyButton().click();
  await buyer.status().locator('.bad').waitFor();
  assert.equal((await shop.stock(sku)).free, 8);
  assert(await buyer.buyButton().isEnabled(), 'the button is free again');
}

async function paying({ shop, enter }) {
  const sku = await shop.product(10);
  const buyer = await enter();
  await buyer.signUp(`/p/${sku}`);
  await buyer.buyButton().click();
  await buyer.onOrderPage();
  const order = new URL(buyer.page.url()).pathname.split('/').at(-1);
  const keys = buyer.keysSent(`/v1/orders/${order}/payment`);
  let tries = 0;
  await buyer.page.route('**/payment', async (route) => {
    tries += 1;
    if (tries > 1) return route.continue();
    await route.fetch();
    await route.abort('connectionreset');
  });
  await buyer.page.locator('form[data-pay] button').click();
  await buyer.page.locator('[data-status-code=paid]').waitFor({ timeout: 30_000 });
  assert(keys.length >= 2, 'asked again');
  assert.equal(new Set(keys).size, 1, 'one payment, one key');
  const orders = await buyer.orders(sku);
  assert.deepEqual(orders.map(({ status }) => status), ['paid']);
}

/** Presses Tab until the element has the focus; on the way each stop must be seen. */
async function tabTo(page, what) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate((wanted) => {
      const element = document.activeElement, style = getComputedStyle(element);
      const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
      return { there: element.matches(wanted), seen, name: element.outerHTML.slice(0, 80) };
    }, what);
    assert(stop.seen, `no visible focus on ${stop.name}`);
    if (stop.there) return;
  }
  throw new Error(`${what} cannot be reached with Tab`);
}

async function keyboardOnly({ shop, enter }) {
  const sku = await shop.product(10);
  const { page, ...buyer } = await enter();
  await page.goto(`/sign-in?next=/p/${sku}`);
  await tabTo(page, 'form[action="/accounts"] [name=email]');
  await page.keyboard.type(buyer.mail);
  await page.keyboard.press('Tab');
  await page.keyboard.type('Ada Example');
  await page.keyboard.press('Tab');
  await page.keyboard.type('a long enough password');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/p/${sku}`);
  await page.waitForSelector('button.buy:enabled');
  await tabTo(page, 'button.buy');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/orders\/[^/?]+$/);
  await tabTo(page, 'form[data-pay] button');
  await page.keyboard.press('Space');
  await page.locator('[data-status-code=paid]').waitFor({ timeout: 30_000 });
}

async function withoutScript({ shop, enter }) {
  const sku = await shop.product(3, { buyer_limit: 2 });
  const buyer = await enter({ javaScriptEnabled: false });
  const { page } = buyer;
  await page.goto(`/p/${sku}`);
  await buyer.buyButton().click();
  await page.waitForURL(/\/sign-in\?next=/);
  await buyer.signUp();
  await page.waitForURL(/\/checkout\?/);
  const form = {};
  for (const field of await page.locator('form[action="/checkout"] [name]').all()) {
    form[await field.getAttribute('name')] = await field.inputValue();
  }
  await page.getByRole('button', { name: 'Order now' }).click();
  await buyer.onOrderPage();
  // The same form once more, as a second click would send it.
  const headers = { Origin: shop.url, 'Sec-Fetch-Site': 'same-origin' };
  const again = await buyer.context.request.post('/checkout', { form, headers, maxRedirects: 0 });
  assert.equal(again.status(), 303);
  assert.equal(again.headers().location, new URL(page.url()).pathname);
  await page.getByRole('button', { name: /^Pay / }).click();
  await until('the payment is decided', 30_000, async () => {
    await page.goto(page.url());
    return page.locator('[data-status-code=paid]').isVisible();
  });
  await page.goto('/orders');
  assert.equal(await page.locator('.rows li').count(), 1);
  // More than one buyer may have: explained, and nothing happened.
  await page.goto(`/checkout?sku=${sku}&quantity=2`);
  await page.getByRole('button', { name: 'Order now' }).click();
  await page.getByText(/nothing was ordered/i).waitFor();
  assert.equal((await shop.stock(sku)).free, 2);
}

async function soldOutWithoutScript({ shop, enter }) {
  const sku = await shop.product(1);
  const first = await enter(), second = await enter({ javaScriptEnabled: false });
  await second.signUp(`/checkout?sku=${sku}&quantity=1`);
  await first.signUp(`/p/${sku}`);
  await first.buyButton().click();
  await first.onOrderPage();
  await second.page.getByRole('button', { name: 'Order now' }).click();
  await second.page.getByRole('heading', { name: /sold out|fewer/i }).waitFor();
  await second.page.getByText(sku).first().waitFor();
  assert.equal((await second.orders(sku)).length, 0);
  await second.page.goto(`/p/${sku}`);
  await until('the page says so without script', 5_000, async () => {
    await second.page.reload();
    return second.buyButton().isDisabled();
  });
}

async function liveHall({ shop, enter }) {
  const sku = await shop.product(40, { buyer_limit: 5 });
  const watcher = await enter(), buyer = await enter();
  await watcher.page.goto(`/p/${sku}`);
  const said = watcher.page.locator('[data-one] [data-say]');
  await watcher.page.getByText('Stock and time are live').waitFor();
  assert.equal(await said.textContent(), '40 left');
  await buyer.signUp(`/p/${sku}`);
  await buyer.page.locator('[name=quantity]').selectOption('3');
  await buyer.buyButton().click();
  await buyer.onOrderPage();
  await until('the watcher sees it', 5_000, async () => (await said.textContent()) === '37 left');
  await buyer.page.locator('summary').click();
  await buyer.page.getByRole('button', { name: /^Cancel order/ }).click();
  await buyer.page.locator('[data-status-code=cancelled]').waitFor();
  await until('the units come back', 5_000, async () => (await said.textContent()) === '40 left');
}

async function narrow({ shop, enter }) {
  const sku = await shop.product(1);
  const title = 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenhalterung';
  const wordy = await shop.product(5, { title: `${title} ${title}` });
  const buyer = await enter({ viewport: { width: 360, height: 740 } });
  await buyer.signUp();
  const check = async (where) => {
    const wide = await buyer.page.evaluate(() => document.documentElement.scrollWidth);
    assert(wide <= 360, `${where} is ${wide} px wide`);
  };
  for (const path of [
    '/', `/p/${sku}`, `/p/${wordy}`, '/sign-in', `/checkout?sku=${wordy}&quantity=1`,
    '/nothing-here', '/orders',
  ]) {
    await buyer.page.goto(path);
    await check(path);
  }
  await buyer.page.goto(`/p/${wordy}`);
  await buyer.buyButton().click();
  await buyer.onOrderPage();
  await check('the order page');
  await buyer.page.goto('/orders');
  await check('my orders');
}

async function askedAgain({ shop }) {
  const sku = await shop.product(5);
  for (const path of ['/', `/p/${sku}`]) {
    for (const encoding of ['br', 'gzip', 'identity']) {
      const headers = { 'Accept-Encoding': encoding };
      const first = await fetch(shop.url + path, { headers });
      assert.equal(first.status, 200);
      assert.equal(first.headers.get('content-encoding') ?? 'identity', encoding);
      assert.match(first.headers.get('content-security-policy'), /default-src 'self'/);
      const etag = first.headers.get('etag');
      await first.arrayBuffer();
      const known = { ...headers, 'If-None-Match': etag };
      const again = await fetch(shop.url + path, { headers: known });
      assert.equal(again.status, 304, `${path} in ${encoding}`);
    }
  }
  const missing = await fetch(`${shop.url}/p/no-such-product`);
  assert.equal(missing.status, 404);
  assert.match(await missing.text(), /nothing at this address/i);
}

export const scenarios = [
  ['two buyers race for the last unit: one wins, the other sees why', lastUnit],
  ['the countdown opens the button without a reload, by the shop’s clock', countdown],
  ['a double click gives one order', doubleClick],
  ['a lost connection recovers with one order', lostConnection],
  ['a reload in the middle of an order finds it again', reloadInTheMiddle],
  ['a busy shop is asked again, as late as it says', busyShop],
  ['signing in in the middle keeps the order’s key', signInInTheMiddle],
  ['the buyer limit is explained', buyerLimit],
  ['a payment whose answer is lost is paid once', paying],
  ['a purchase by keyboard only', keyboardOnly],
  ['a purchase without script', withoutScript],
  ['sold out is explained without script', soldOutWithoutScript],
  ['stock moves live on open pages', liveHall],
  ['no page is wider than a phone of 360 px', narrow],
  ['pages are compressed, tagged, and repeated as 304', askedAgain],
];
