// The waiting room in real browsers: before T0, in line, let in, and sold out.

import assert from 'node:assert/strict';
import { ownShop, until } from './shop.mjs';

const CATALOGUE = 'sku,title,price,currency,stock,hold_s\nLAST,The last lamp,19.00,EUR,1,600\n';

/** A room before product pages and orders; everything else is open to everybody. */
const door = (rules) => `version: 1
listeners: [{name: shop, address: "127.0.0.1:0"}]
identity: {buyer: [{service: shop}]}
overload: {enabled: false}
waiting_rooms:
  - {name: sale, ${rules}}
routes:
  - name: order
    match: {path: {exact: /v1/orders}, methods: [POST]}
    class: order
    waiting_room: sale
    target: {service: shop}
  - name: product
    match: {path: {prefix: /p}}
    class: product
    waiting_room: sale
    target: {service: shop}
  - {name: everything-else, class: product, target: {service: shop}}
`;

/** Only an operator opens it, and it stays open; whoever is in stays in. */
const ONE_INSIDE = 'open_above: 100000/s, close_below: 1/s, hold: 1h, admit: 5/s, inside: 1, '
  + 'pass: 1h, abandoned_after: 1h';

async function beforeT0({ enter }) {
  const at = (ms) => new Date(Date.now() + ms).toISOString();
  const hours = `registers_from: "${at(-60_000)}", opens_at: "${at(20_000)}"`;
  const rules = `${hours}, admit: 1/s, inside: 1, pass: 10s, abandoned_after: 1h`;
  const shop = await ownShop({ door: door(rules), catalogue: CATALOGUE });
  try {
    const people = [await enter({ at: shop }), await enter({ at: shop })];
    for (const one of people) {
      await one.signUp('/');
      const answer = await one.page.goto('/p/LAST');
      assert.equal(answer.status(), 503);
      await one.page.getByRole('heading', { name: 'You are registered' }).waitFor();
      await one.page.evaluate(() => { window.sameDocument = true; });
    }
    const [one] = people, left = one.page.locator('#opens');
    assert.match(await left.textContent(), /^0:\d\d$/, 'it counts down in minutes and seconds');
    const first = await left.textContent();
    await until('the countdown moves', 5_000, async () => (await left.textContent()) !== first);
    await one.shoot('room-registered');
    // The draw puts one of them in front: that one goes in, the other one has a position.
    const inside = await Promise.any(people.map(async (person) => {
      await person.buyButton().waitFor({ timeout: 60_000 });
      return person;
    }));
    const other = people.find((person) => person !== inside), { page } = other;
    await page.getByRole('heading', { name: 'You are in line' }).waitFor();
    // The first one may not have been inside yet when this page last asked.
    assert.match(await page.locator('#position').textContent(), /^[12]$/);
    await other.shoot('room-waiting');
    // It sits still with the page, so its place comes free; the other is let in without a click.
    await other.buyButton().waitFor({ timeout: 90_000 });
    assert.equal(new URL(page.url()).pathname, '/p/LAST', 'where they wanted to go');
    await page.waitForSelector('button.buy:enabled');
    await other.buyButton().click();
    await other.onOrderPage();
  } finally {
    await shop.close();
  }
}

async function soldOut({ enter }) {
  const shop = await ownShop({ door: door(ONE_INSIDE), catalogue: CATALOGUE });
  try {
    const buyer = await enter({ at: shop }), late = await enter({ at: shop });
    await buyer.signUp('/');
    await late.signUp('/');
    await shop.operate('rooms/sale/open');
    await buyer.page.goto('/p/LAST');
    await buyer.page.waitForSelector('button.buy:enabled');
    const held = await late.page.goto('/p/LAST');
    assert.equal(held.status(), 503);
    await late.page.getByRole('heading', { name: 'You are in line' }).waitFor();
    assert.equal(await late.page.locator('#position').textContent(), '1');

    await buyer.buyButton().click();
    await buyer.onOrderPage();
    // Held is not sold: who waits goes on waiting until the money is there.
    await late.page.getByRole('heading', { name: 'You are in line' }).waitFor();
    await buyer.page.locator('form[data-pay] button').click();
    await buyer.page.locator('[data-status-code=paid]').waitFor({ timeout: 30_000 });
    await late.page.getByRole('heading', { name: 'Sold out' }).waitFor({ timeout: 60_000 });
    assert.equal(new URL(late.page.url()).pathname, '/p/LAST');
    await late.shoot('room-sold-out');
    assert.equal((await late.orders('LAST')).length, 0);
    await late.page.getByRole('link', { name: 'To the front page' }).click();
    await late.page.getByRole('heading', { level: 1, name: 'small' }).waitFor();
  } finally {
    await shop.close();
  }
}

async function orderInLine({ enter }) {
  const rules = ONE_INSIDE.replace('pass: 1h', 'pass: 10s');
  const file = door(rules).replace('match: {path: {prefix: /p}}', 'match: {path: {exact: /one}}');
  const shop = await ownShop({ door: file, catalogue: CATALOGUE });
  try {
    const first = await enter({ at: shop }), buyer = await enter({ at: shop });
    await first.signUp('/');
    await buyer.signUp('/p/LAST');
    await buyer.page.waitForSelector('button.buy:enabled');
    await shop.operate('rooms/sale/open');
    // Somebody takes the one place inside; the order of the other has to wait in line.
    await first.page.goto('/one');
    const keys = buyer.keysSent();
    await buyer.buyButton().click();
    await buyer.page.getByRole('heading', { name: 'You are in line' }).waitFor();
    await buyer.onOrderPage().catch(() => buyer.page.waitForURL(/\/orders\//, { timeout: 60_000 }));
    assert(keys.length >= 2, `${keys.length} requests`);
    assert.equal(new Set(keys).size, 1, 'the wish kept its key in the line');
    assert.equal((await buyer.orders('LAST')).length, 1);
  } finally {
    await shop.close();
  }
}

export const roomScenarios = [
  ['waiting room: a countdown before T0, a position in line, and in', beforeT0],
  ['waiting room: who waits learns that all is sold', soldOut],
  ['waiting room: an order waits in line and keeps its key', orderInLine],
];
