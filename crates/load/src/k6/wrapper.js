// Stands before the user's script: all that it exports, with the plan of the search in the place of
// its own. Its scenarios keep their functions, environments and tags, and share the rate as they
// shared theirs.
import * as theirs from 'SCRIPT';
export * from 'SCRIPT';
export default theirs.default;

const plan = JSON.parse(__ENV.SEAWALL_PLAN);
const own = theirs.options || {};
const given = Object.entries(own.scenarios || {});
const parts = given.length ? given : [['default', {}]];
const weight = ([, part]) => part.rate || 1;
const all = parts.reduce((sum, part) => sum + weight(part), 0);

const scenarios = {};
for (const [what, start, seconds] of [
  ['warm', 0, plan.warm_s],
  ['counted', plan.warm_s, plan.seconds],
]) {
  for (const part of seconds ? parts : []) {
    const [name, { exec, env, tags }] = part;
    const share = weight(part) / all;
    scenarios[`${what}_${name}`] = {
      executor: 'constant-arrival-rate',
      exec: exec || 'default',
      env: env || {},
      tags: Object.assign({}, tags, { seawall: what }),
      // k6 takes whole numbers only.
      rate: Math.max(1, Math.round(plan.per_s * share * 100)),
      timeUnit: '100s',
      startTime: `${start}s`,
      duration: `${seconds}s`,
      preAllocatedVUs: Math.ceil(plan.vus * share),
      maxVUs: Math.ceil(plan.vus_max * share),
      gracefulStop: '10s',
    };
  }
}

// Figures by tag are in the summary only where a threshold asks for them; these always hold.
const thresholds = {};
for (const [metric, holds] of [
  ['http_req_duration', 'max>=0'],
  ['http_req_failed', 'rate>=0'],
  ['http_reqs', 'count>=0'],
  ['iterations', 'count>=0'],
]) {
  thresholds[`${metric}{seawall:counted}`] = [holds];
}

const others = Object.assign({}, own);
for (const name of ['stages', 'vus', 'duration', 'iterations']) delete others[name];
export const options = Object.assign(others, {
  scenarios,
  thresholds,
  summaryTrendStats: plan.stats,
  blacklistIPs: (own.blacklistIPs || []).concat(plan.blocked),
});

export function handleSummary(data) {
  return { [plan.out]: JSON.stringify(data) };
}
