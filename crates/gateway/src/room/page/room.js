const body = document.body, data = body.dataset, at = id => document.getElementById(id);
const say = (id, text) => { const e = at(id); if (e.textContent !== text) e.textContent = text; };
const number = n => n.toLocaleString("en");
const about = s => s == null ? "not known yet" : s < 60 ? "less than a minute"
  : s < 5400 ? `about ${Math.ceil(s / 60)} min` : `about ${Math.round(s / 3600)} h`;
const chance = p => p == null ? "–" : p < .01 ? "under 1 %" : p > .99 ? "over 99 %" : `about ${Math.round(p * 100)} %`;
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
  } else if (now.state === "registered") say("opens", about(now.opens_in_s));
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
if (data.state === "admitted") location.replace(data.to);
else setTimeout(ask, Number(data.next) || 5000);
