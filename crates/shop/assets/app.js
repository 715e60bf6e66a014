// The pages' only script: it saves reloads and repeats what a bad line swallowed. In three parts:
// the shop's clock, live stock, and intentions (asked for under one key until answered).

const $ = (what, within = document) => within.querySelector(what);
const $$ = (what, within = document) => [...within.querySelectorAll(what)];
const set = (element, text) => {
  if (element && element.textContent !== text) element.textContent = text;
};
const count = (number) => number.toLocaleString('en');
const path = encodeURIComponent;

// ---- The clock: the shop's, not the device's.
// A reading is late by its way here, never early, so the highest offset is the best one; one far
// lower means that a clock was set back.
let offset = null;
const now = () => (offset === null ? null : performance.now() + offset);

function tellTime(serverMs) {
  const heard = serverMs - performance.now();
  if (offset === null || heard > offset || heard < offset - 5000) {
    offset = heard;
    tick();
  }
}

const pad = (number) => String(number).padStart(2, '0');

function parts(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60];
}

function soonWords(ms) {
  const [days, hours, minutes, seconds] = parts(ms);
  if (days > 0) return `in ${days} d ${hours} h`;
  return `in ${hours > 0 ? hours + ':' + pad(minutes) : minutes}:${pad(seconds)}`;
}

// In the reader's time zone.
for (const time of $$('time[data-local]')) {
  const at = Date.parse(time.dateTime), month = time.dataset.local || 'long';
  const how = { day: 'numeric', month, hour: '2-digit', minute: '2-digit', timeZoneName: 'short' };
  if (at) set(time, new Date(at).toLocaleString('en-GB', how));
}

// ---- Products, in the words of src/pages/view.rs.
const BUTTON = {
  not_open: 'Not open yet', open: 'Buy now', sold_out: 'Sold out', closed: 'Sale has ended',
};
const NEWS = {
  open: 'It is open now.',
  sold_out: 'All units are taken. Some may come back.',
  closed: 'The sale of this product has ended.',
};
// What the shop said last; only time moves on without its word.
const told = new WeakMap();

function stateNow(element) {
  const { opens, closes, free, state } = element.dataset;
  const at = now(), said = told.get(element) ?? state;
  if (at === null) return said;
  if (Number(closes) && at >= Number(closes)) return 'closed';
  if (said !== 'not_open' || !Number(opens) || at < Number(opens)) return said;
  return free === '0' ? 'sold_out' : 'open';
}

function stockWords(state, free, low) {
  if (state === 'not_open') return `${count(free)} in stock`;
  if (state === 'open') return low ? `Only ${free} left` : `${count(free)} left`;
  return BUTTON[state];
}

function paint(element) {
  const data = element.dataset, state = stateNow(element), changed = state !== data.state;
  data.state = state;
  if (!data.sku) return;
  const free = Number(data.free), low = free <= Math.max(10, Math.floor(data.stock / 20));
  element.toggleAttribute('data-low', low);
  set($('[data-say]', element), stockWords(state, free, low));
  $('meter', element).value = free;
  if (!('one' in data) || busy) return;
  const button = $('form[data-buy] button', element);
  button.disabled = state !== 'open';
  set(button, BUTTON[state]);
  if (changed && NEWS[state]) say(NEWS[state], state === 'open' ? 'good' : '');
}

let timer = 0;

function tick() {
  const at = now();
  if (at === null) return;
  // With the second, and at the very instant of an opening.
  let next = 1000 - (at % 1000);
  for (const element of $$('[data-opens], [data-until]')) {
    const data = element.dataset;
    if (stateNow(element) !== data.state) paint(element);
    const waits = data.state === 'not_open';
    const end = Number(waits ? data.opens : data.until || data.closes);
    if (!end) continue;
    const left = end - at;
    if (left > 0) next = Math.min(next, left);
    const values = parts(left), first = values.findIndex((value) => value > 0);
    $$('[data-count] b', element).forEach((cell, place) => {
      set(cell, place ? pad(values[place]) : String(values[0]));
      cell.parentNode.hidden = place < Math.min(2, first < 0 ? 2 : first);
    });
    if (waits) set($('[data-soon]', element), soonWords(left));
    // The hold is over: the page says what became of it.
    if (data.until && left < -1500 && !busy && once('over' + location.pathname)) location.reload();
  }
  clearTimeout(timer);
  timer = setTimeout(tick, Math.max(5, next));
}

// True once a tab: no page may reload itself for ever.
function once(name) {
  try { return !sessionStorage[name] && (sessionStorage[name] = true); } catch { return false; }
}

// ---- Live stock.
const SILENCE_MS_MAX = 25000, WAIT_MS_MAX = 30000;

function live(url) {
  const products = new Map($$('[data-sku]').map((element) => [element.dataset.sku, element]));
  const feed = $('[data-feed]');
  let source = null, wait = 1000, watch = 0, again = 0;
  const close = () => {
    source?.close();
    clearTimeout(watch);
    clearTimeout(again);
  };
  const hear = (event) => {
    let news;
    try { news = JSON.parse(event.data); } catch { return; }
    wait = 1000;
    clearTimeout(watch);
    watch = setTimeout(lost, SILENCE_MS_MAX);
    set(feed, 'Stock and time are live, by the shop’s clock.');
    for (const [sku, stock] of Object.entries(news.skus ?? {})) {
      const element = products.get(sku);
      if (!element) continue;
      element.dataset.free = stock.free;
      told.set(element, stock.state);
      paint(element);
    }
    if (news.server_ms) tellTime(news.server_ms);
  };
  function lost() {
    close();
    set(feed, 'Connection lost: numbers may be old.');
    again = setTimeout(open, wait * (0.5 + Math.random()));
    wait = Math.min(wait * 2, WAIT_MS_MAX);
  }
  function open() {
    close();
    if (document.hidden) return;
    source = new EventSource(url);
    source.addEventListener('stock', hear);
    source.onerror = lost;
    watch = setTimeout(lost, SILENCE_MS_MAX);
  }
  // A hidden page needs no numbers, and a browser has few connections to a site.
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  addEventListener('online', open);
  return open;
}

// ---- Intentions: an order or a payment, under one key until somebody answers.
// The key is kept before it is sent, so no double click, lost line, closed tab or sign-in can
// make two orders of one wish, or lose the one that was made.
const BUSY_TRIES_MAX = 8, WAIT_ASK_MS_MAX = 15000, ANSWER_MS_MAX = 20000, FRESH_MS = 600000;
const memory = new Map();
const kept = {
  get(name) {
    try { return JSON.parse(localStorage[name]); } catch { return memory.get(name); }
  },
  put(name, value) {
    memory.set(name, value);
    try { localStorage[name] = JSON.stringify(value); } catch { /* memory has it */ }
  },
  drop(name) {
    memory.delete(name);
    try { delete localStorage[name]; } catch { /* nothing was there */ }
  },
};
let busy = false;

// crypto.randomUUID is missing where the shop is tried out without TLS.
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('-');

// Says it in the live region, with ways on: [label, link or action].
function say(words, kind = '', ...ways) {
  const line = document.createElement('p');
  line.className = kind;
  line.append(words, ' ');
  for (const [label, way] of ways) {
    const link = typeof way === 'string';
    const element = document.createElement(link ? 'a' : 'button');
    element.textContent = label;
    if (link) element.href = way;
    else Object.assign(element, { type: 'button', className: 'plain', onclick: way });
    line.append(element, ' ');
  }
  $('[data-status]')?.replaceChildren(line);
}

// Ends early when the line comes back.
const pause = (ms) => new Promise((go) => {
  setTimeout(go, ms);
  addEventListener('online', go, { once: true });
});

// Sends until answered; `gaveUp` when the shop stays busy and surely nothing happened.
async function ask(url, intent, what) {
  let lost = 0, full = 0, certain = true;
  for (;;) {
    let response = null, body;
    try {
      response = await fetch(url, {
        method: 'POST',
        body: intent.body,
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': intent.key },
        signal: AbortSignal.timeout?.(ANSWER_MS_MAX),
      });
      body = await response.json();
    } catch {
      // Without a whole answer nobody knows; only an error page may stay unread.
      if (response?.ok) response = null;
    }
    const status = response?.status ?? 0;
    const asked = body?.retry_after_ms ?? Number(response?.headers.get('Retry-After')) * 1000;
    const rest = asked > 0 ? Math.min(asked, 60000) : 0;
    if (status === 202) {
      say('The payment channel has not decided yet. Your units stay held; we keep asking.');
      await pause(Math.max(rest, 1500));
      continue;
    }
    if (response?.ok) return { ok: true, status, body };
    const sure = status > 0 && status < 500 && status !== 408;
    if ((body?.happened ?? (sure ? 'no' : 'perhaps')) !== 'no') {
      certain = false;
      const cause = status ? 'The answer got lost' : 'Connection lost';
      say(`${cause} – your ${what} is not lost, we ask again under the same number.`);
      const wait = Math.min(WAIT_ASK_MS_MAX, 700 * 2 ** Math.min(lost++, 5));
      await pause(Math.max(rest, wait * (0.7 + 0.6 * Math.random())));
    } else if (body?.code === 'not_open' && rest && rest <= 3000) {
      say('Any moment now…');
      await pause(rest);
    } else if (body?.code === 'waiting_room' && body.room) {
      // There is a line before the sale. The wish is kept and taken up again afterwards.
      location.assign(`${body.room}?to=${location.pathname}`);
      await new Promise(() => {});
    } else if (status === 429 || status === 503) {
      if (++full > BUSY_TRIES_MAX && certain) return { gaveUp: true };
      const wait = Math.max(rest, 500) * (1 + 0.3 * Math.random());
      const when = Math.ceil(wait / 1000);
      say(`Many people are here. Nothing has happened yet; we try again in ${when} s.`);
      await pause(wait);
    } else {
      return { ok: false, status, body };
    }
  }
}

function working(form, words) {
  busy = Boolean(words);
  const button = $('button', form), product = form.closest('[data-one]');
  button.toggleAttribute('data-busy', busy);
  button.setAttribute('aria-disabled', busy);
  set(button, words || button.dataset.label);
  if (!busy && product) paint(product);
}

const signIn = () => location.assign('/sign-in?next=' + path(location.pathname + location.search));

// Carries one intention to its end; `clicked` is false when a page load took it up again.
async function carry({ form, name, url, what }, clicked, done) {
  if (busy) return;
  working(form, what === 'order' ? 'Ordering…' : 'Paying…');
  const intent = kept.get(name), answer = await ask(url, intent, what);
  if (answer.ok) return done(answer.body, intent);
  if (answer.status === 401) {
    const leave = ['Forget it', () => forget(name)];
    say(`Sign in to finish this ${what}.`, '', ['Sign in', signIn], leave);
    return clicked ? signIn() : working(form, '');
  }
  kept.drop(name);
  working(form, '');
  if (answer.gaveUp) return say('We are too busy. Nothing was done; please try again.', 'bad');
  const { detail, title, code } = answer.body ?? {};
  const ways = code === 'buyer_limit' ? [['My orders', '/orders']] : [];
  say(detail || title || `The shop refused this ${what} (${answer.status}).`, 'bad', ...ways);
}

function forget(name) {
  kept.drop(name);
  say('Forgotten. If it went through, it is among', '', ['your orders', '/orders']);
}

function buying(form) {
  const fields = form.elements, sku = fields.sku.value, name = 'seawall.order.' + sku;
  const job = { form, name, url: '/v1/orders', what: 'order' };
  const go = (clicked) => carry(job, clicked, (body, intent) => {
    kept.put(name, { ...intent, order: body.order });
    say('It is yours.', 'good');
    location.assign('/orders/' + path(body.order));
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (busy) return;
    const coupon = fields.coupon?.value.trim(), before = kept.get(name);
    const wish = { lines: [{ sku, quantity: Number(fields.quantity.value) }] };
    if (coupon) wish.coupon = coupon;
    // An unanswered wish comes first, even if this one differs: it may be granted.
    if (!before || before.order) {
      const key = fields.key?.value || newKey();
      kept.put(name, { key, body: JSON.stringify(wish), at: Date.now() });
    }
    go(true);
  });
  return () => {
    const before = kept.get(name);
    if (!before || busy) return;
    if (before.order) {
      const link = '/orders/' + path(before.order);
      say('You ordered this a moment ago.', 'good', ['See your order', link]);
    } else if (Date.now() - before.at < FRESH_MS) {
      go(false);
    } else {
      const ways = [['Ask again', () => go(true)], ['Forget it', () => forget(name)]];
      say('You started an order here and the answer got lost.', '', ...ways);
    }
  };
}

function paying(form) {
  const { pay: order, amount, currency } = form.dataset, fields = form.elements;
  const name = 'seawall.pay.' + order, page = '/orders/' + path(order);
  const job = { form, name, url: `/v1${page}/payment`, what: 'payment' };
  const go = (clicked) => carry(job, clicked, () => {
    kept.drop(name);
    say('Paid. Thank you.', 'good');
    location.replace(page);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (busy) return;
    if (!kept.get(name)) {
      const body = JSON.stringify({ amount: { amount: Number(amount), currency } });
      kept.put(name, { key: fields.key.value || newKey(), body, at: Date.now() });
      // A refused payment is not asked for again: the next try is a new one.
      fields.key.value = '';
    }
    go(true);
  });
  return () => { if (kept.get(name) && !busy) go(false); };
}

// An undecided payment: the order page looks at itself until that has changed.
async function follow(wait) {
  await pause(wait);
  const look = (response) => (response.ok ? response.text() : 'data-follow');
  const page = await fetch(location.href).then(look).catch(() => 'data-follow');
  return page.includes('data-follow') ? follow(Math.min(wait * 1.4, 10000)) : location.reload();
}

// ---- Start.
const server = Number(document.body.dataset.server);
if (server) tellTime(server);
const resumes = [...$$('form[data-buy]').map(buying), ...$$('form[data-pay]').map(paying)];
// The order page is the receipt: what led here is done.
const receipt = $('[data-order]')?.dataset;
for (const { dataset } of $$('[data-line]')) {
  const name = 'seawall.order.' + dataset.line;
  if (kept.get(name)?.order === receipt.order) kept.drop(name);
}
if (receipt && !['held', 'pending'].includes(receipt.statusCode)) {
  kept.drop('seawall.pay.' + receipt.order);
}
if ($('[data-follow]')) follow(1000);
if (document.body.dataset.live) resumes.push(live(document.body.dataset.live));
resumes.forEach((resume) => resume());
// Back again: free the busy button.
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  for (const form of $$('form[data-buy], form[data-pay]')) working(form, '');
  resumes.forEach((resume) => resume());
});
