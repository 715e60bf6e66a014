// What an operator switches off at the door, pages leave out: a browser before, during and after.

import assert from 'node:assert/strict';
import { ownShop, until } from './shop.mjs';

const shield = (name, feature) => `    - name: ${name}
      feature: ${feature}
      action: shield
      owner: a scenario
      reason: to see it
      max_duration: 1h
`;

const DOOR = `version: 1
listeners: [{name: shop, address: "127.0.0.1:0"}]
identity: {buyer: [{service: shop}]}
overload: {enabled: false}
routes:
  - name: everything
    class: product
    target: {service: shop}
    features: [recommendations, live-stock, rich-pages]
switches:
  version: 1
  switches:
${shield('alone', 'recommendations')}${shield('still', 'live-stock')}${shield('plain', 'rich-pages')}`;

/** Whether the page shows other products, moving stock, pictures. */
async function shown(page) {
  const there = async (what) => (await page.locator(what).count()) > 0;
  return {
    others: await there('.others'),
    live: await there('body[data-live]'),
    pictures: await there('main img'),
    scripts: await there('script'),
  };
}

async function switches({ enter }) {
  const shop = await ownShop({ door: DOOR });
  try {
    const { products: [{ sku }] } = await (await fetch(`${shop.url}/v1/products?limit=1`)).json();
    const buyer = await enter({ at: shop }), { page } = buyer;
    const path = `/p/${sku}`;
    const full = { others: true, live: true, pictures: true, scripts: true };
    await page.goto(path);
    assert.deepEqual(await shown(page), full);
    await page.getByText('Stock and time are live').waitFor();
    await buyer.shoot('page-full');
    // The row leads to products of the same category.
    const category = (await page.locator('.others h2').textContent()).replace('More in ', '');
    await page.locator('.others a').first().click();
    await page.waitForURL((url) => url.pathname.startsWith('/p/') && url.pathname !== path);
    assert.match(await page.locator('.crumbs').textContent(), new RegExp(category));

    await shop.operate('switches/alone', { on: true });
    await page.goto(path);
    assert.deepEqual(await shown(page), { ...full, others: false });
    await shop.operate('switches/still', { on: true });
    let asked = 0;
    page.on('request', (request) => { asked += request.url().endsWith('/v1/live') ? 1 : 0; });
    await page.goto(path);
    assert.deepEqual(await shown(page), { ...full, others: false, live: false });
    await page.locator('.deal').getByText('stock shown may be old').waitFor();
    assert.equal(asked, 0, 'nobody asks for live stock');
    await buyer.shoot('page-still');
    await page.goto('/');
    await buyer.shoot('hall-still');

    await shop.operate('switches/plain', { on: true });
    await shop.operate('switches/alone', { on: false });
    await page.goto('/');
    assert.deepEqual(await shown(page), {
      others: false, live: false, pictures: false, scripts: false,
    });
    await buyer.shoot('hall-plain');
    await page.goto(path);
    await buyer.shoot('page-plain');
    // The plain page sells: sign in, look again until it is open, order.
    await buyer.signUp(path);
    await until('the sale is open', 5_000, async () => {
      await page.goto(path);
      return page.locator('button.buy').isEnabled();
    });
    await page.locator('button.buy').click();
    await page.waitForURL(/\/checkout\?/);
    await page.getByRole('button', { name: 'Order now' }).click();
    await buyer.onOrderPage();

    await shop.operate('switches/plain', { on: false });
    await shop.operate('switches/still', { on: false });
    await until('the page is what it was', 5_000, async () => {
      await page.goto(path);
      return JSON.stringify(await shown(page)) === JSON.stringify(full);
    });
  } finally {
    await shop.close();
  }
}

export const featureScenarios = [
  ['switches: pages leave out what an operator switches off, and sell', switches],
];
