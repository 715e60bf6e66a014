const body = document.body, data = body.dataset, at = id => document.getElementById(id);
const say = (id, text) => { const e = at(id); if (e.textContent !== text) e.textContent = text; };
const number = n => n.toLocaleString("en");
const about = s => s == null ? "not known yet" : s < 60 ? "less than a minute"
  : s < 5400 ? `about ${Math.ceil(s / 60)} min` : `about ${Math.round(s / 3600)} h`;
const chance = p => p == null ? "–" : p < .01 ? "under 1 %" : p > .99 ? "over 99 %" : `about ${Math.round(p * 100)} %`;
const two = n => String(n).padStart(2, "0");
const clock = s => s >= 86400 ? `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`
  : `${s < 3600 ? "" : Math.floor(s / 3600) + ":"}${s < 3600 ? Math.floor(s / 60) : two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
// T0 by the door's clock, as this page's own clock has it.
let opens = data.opens ? performance.now() + Number(data.opens) : null;
let ticking = 0;
function count() {
  clearTimeout(ticking);
  if (opens === null) return;
  const left = opens - performance.now();
  say("opens", left > 0 ? clock(Math.ceil(left / 1000)) : "a moment");
  if (left > 0) ticking = setTimeout(count, left % 1000 + 5);
}
let first = Number(data.ahead) || 0, told = -1, failures = 0;
function show(now) {
  if (now.state === "admitted") {
    document.title = "It is your turn";
    location.replace(data.to);
    return false;
  }
  // The page that fits another state comes from the server, in its words.
  if (now.state !== data.state) { location.reload(); return false; }
  if (now.state === "waiting") {
    const ahead = now.position - 1;
    first = Math.max(first, ahead);
    say("position", number(now.position));
    say("wait", about(now.wait_s));
    say("odds", chance(now.odds));
    at("bar").value = first ? 1 - ahead / first : 1;
    document.title = `${number(now.position)} · ${at("heading").textContent}`;
    // Aloud only when it is news: each time the line has halved.
    const news = Math.floor(Math.log2(now.position));
    if (told !== news) { told = news; say("said", `Position ${number(now.position)}, ${about(now.wait_s)}.`); }
  } else if (now.state === "registered" && Math.abs(opens - performance.now() - now.opens_in_s * 1000) > 2000) {
    // A clock was set, or this device slept.
    opens = performance.now() + now.opens_in_s * 1000;
    count();
  }
  return true;
}
async function ask() {
  let next = Number(data.next) || 5000;
  try {
    const answer = await fetch(data.status, { headers: { accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) throw 0;
    const now = await answer.json();
    failures = 0;
    if (!show(now)) return;
    next = now.next_ms;
  } catch {
    failures += 1;
    next = Math.min(30000, next * 2 ** Math.min(failures, 4)) * (.75 + Math.random() / 2);
    say("said", "No connection; your place is kept. Trying again.");
  }
  setTimeout(ask, Math.max(1000, next));
}
at("leave").onclick = async () => {
  await fetch(data.status + "/leave", { method: "POST" }).catch(() => 0);
  location.assign("/");
};
count();
if (data.state === "admitted") location.replace(data.to);
else setTimeout(ask, Number(data.next) || 5000);
