// The shop in a real browser. `npm test` runs everything; words as arguments run the scenarios
// whose names contain one of them. The last line is `N passed, N failed`.
//
//   SEAWALL_BIN=../../target/release/seawall npm test
//   SHOTS=folder … keeps pictures of some pages, on a phone and on a desk
//   SHOP_URL=http://… ADMIN_URL=http://… OPERATOR_TOKEN=… node run.mjs race countdown

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Buyer, launch } from './browser.mjs';
import { lighthouseScenarios } from './lighthouse.mjs';
import { featureScenarios } from './features.mjs';
import { roomScenarios } from './rooms.mjs';
import { scenarios } from './scenarios.mjs';
import { openShop } from './shop.mjs';

const SCENARIO_MS_MAX = 240_000;

const words = process.argv.slice(2);
// With a door of their own: only where shops can be started.
const own = process.env.SHOP_URL ? [] : [...featureScenarios, ...roomScenarios];
const chosen = [...scenarios, ...own, ...lighthouseScenarios]
  .filter(([name]) => words.length === 0 || words.some((word) => name.includes(word)));

async function within(ms, work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not done within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function play(browser, shop, run) {
  const buyers = [];
  const enter = async ({ at = shop, ...options } = {}) => {
    const buyer = await Buyer.enter(browser, at, options);
    buyers.push(buyer);
    return buyer;
  };
  try {
    await within(SCENARIO_MS_MAX, run({ shop, enter }));
  } catch (error) {
    const folder = mkdtempSync(join(tmpdir(), 'seawall-failed-'));
    for (const [place, { page }] of buyers.entries()) {
      const path = join(folder, `${place}.png`);
      await page.screenshot({ path, fullPage: true }).then(
        () => console.log(`     ${page.url()} looked like ${path}`), () => {});
    }
    throw error;
  } finally {
    const left = await Promise.allSettled(buyers.map((buyer) => buyer.leave()));
    const complaint = left.find(({ status }) => status === 'rejected');
    if (complaint) console.log(`     ${complaint.reason.message}`);
  }
  for (const { complaints } of buyers) {
    if (complaints.length > 0) throw new Error(`a page complained: ${complaints.join('; ')}`);
  }
}

let passed = 0, failed = 0;
const shop = await openShop();
try {
  const browser = await launch();
  try {
    for (const [name, run] of chosen) {
      const start = performance.now();
      try {
        await play(browser, shop, run);
        passed += 1;
        console.log(`ok   ${name} (${Math.round(performance.now() - start)} ms)`);
      } catch (error) {
        failed += 1;
        const told = (error.stack ?? String(error)).replaceAll('\n', '\n     ');
        console.log(`FAIL ${name}\n     ${told}`);
      }
    }
  } finally {
    await browser.close();
  }
} finally {
  await shop.close();
}
if (chosen.length === 0) {
  failed += 1;
  console.log(`FAIL no scenario is named like ${words.join(', ')}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
