#!/usr/bin/env bash
# The generator beside wrk and k6 against one nginx: what each says that it serves at most, and its
# p99 at a fixed rate.
#
# nginx has one core to itself and compresses a page for each request, so that one worker of it is
# the limit, and not k6; whoever loads it shares the other cores. wrk and k6 are closed loops of 64
# connections; ours plans twice what wrk found over 64 connections and counts the answers. p99 at
# half of what wrk found, k6 with a constant arrival rate; from the sending, which is all that k6
# knows, and ours also from the planned instant.
#
#   SEAWALL_BIN=… OUT=out/bench bench/load.sh       about two minutes (QUICK=1: less than one)
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. tools/k6-lib.sh
. bench/servers.sh
: "${SEAWALL_BIN:?the path of the seawall binary}"
readonly OUT=${OUT:-out/bench} CONNECTIONS=64
if [ -n "${QUICK:-}" ]; then ROUNDS=1 RUN_S=5; else ROUNDS=3 RUN_S=10; fi
readonly ROUNDS RUN_S
for program in nginx wrk taskset python3; do
  command -v "$program" >/dev/null || die "$program is not installed"
done
[ "$(nproc)" -ge 2 ] || die "two cores are needed"
with_k6=yes
k6_there || { with_k6=''; echo "k6 cannot be had here: without it" >&2; }

scratch_dir /var/tmp
readonly TMP=$REPLY
chmod 755 "$TMP"
mkdir -p "$OUT" "$TMP/www"
# Text that compresses as pages do.
python3 -c '
import random
random.seed(7)
words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(2000)]
print(" ".join(random.choice(words) for _ in range(5000)))' >"$TMP/www/page.txt"
free_port
cat >"$TMP/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $TMP/pid;
error_log $TMP/error.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 10000000;
  client_body_temp_path $TMP/body; proxy_temp_path $TMP/proxy; fastcgi_temp_path $TMP/fastcgi;
  uwsgi_temp_path $TMP/uwsgi; scgi_temp_path $TMP/scgi;
  types { text/plain txt; }
  gzip on; gzip_types text/plain; gzip_comp_level 6; gzip_http_version 1.1;
  server { listen 127.0.0.1:$PORT backlog=4096; root $TMP/www; }
}
CONF
# Two cores: the second is nginx's alone.
mapfile -t CORES < <(taskset -cp $$ | sed -E 's/.*: //' | tr ',' '\n' |
  awk -F- 'NF == 2 { for (c = $1; c <= $2; c++) print c; next } { print }')
readonly GENERATOR=(taskset -c "${CORES[0]}")
taskset -c "${CORES[1]}" nginx -c "$TMP/nginx.conf" 2>>"$TMP/error.log" &
started_as nginx $!
readonly BASE=http://127.0.0.1:$PORT

cat >"$TMP/closed.js" <<'JS'
import http from 'k6/http';
export const options = {
  vus: Number(__ENV.VUS), duration: `${__ENV.SECONDS}s`, discardResponseBodies: true,
  summaryTrendStats: ['count', 'med', 'p(99)'],
};
export default function () { http.get(__ENV.URL, { headers: { 'Accept-Encoding': 'gzip' } }); }
JS
cat >"$TMP/fixed.js" <<'JS'
import http from 'k6/http';
const rate = Number(__ENV.RATE);
export const options = {
  discardResponseBodies: true, summaryTrendStats: ['count', 'med', 'p(99)'],
  scenarios: { fixed: { executor: 'constant-arrival-rate', rate, timeUnit: '1s',
    duration: `${__ENV.SECONDS}s`, preAllocatedVUs: 50, maxVUs: 500 } },
};
export default function () { http.get(__ENV.URL, { headers: { 'Accept-Encoding': 'gzip' } }); }
JS

# From nginx's own counter nothing is asked: each tool says what it saw.
with_wrk() {
  "${GENERATOR[@]}" wrk -t1 -c"$CONNECTIONS" -d"${RUN_S}s" -H 'Accept-Encoding: gzip' \
    "$BASE/page.txt" | awk '/^Requests\/sec:/ { printf "%.1f\n", $2 }'
}
with_k6() { # with_k6 SCRIPT FIELD…: the summary's figures
  local script=$1
  shift
  "${GENERATOR[@]}" env URL="$BASE/page.txt" VUS="$CONNECTIONS" SECONDS="$RUN_S" RATE="${RATE:-0}" \
    "$K6" run --quiet --no-usage-report --summary-export "$TMP/k6.json" "$script" >/dev/null 2>&1
  figures "$TMP/k6.json" "$@"
}
with_ours() { # with_ours RATE CONNECTIONS FIELD…: the report's figures
  local rate=$1 connections=$2
  shift 2
  cat >"$TMP/load.yaml" <<YAML
version: 1
name: bench
target: {url: "$BASE", connections_max: $connections, timeout: 30s}
load: {shape: {constant: {rate: $rate, for: ${RUN_S}s}}}
journeys: [{name: j, steps: [{request: {path: /page.txt, headers: {accept-encoding: gzip}}}]}]
YAML
  "${GENERATOR[@]}" "$SEAWALL_BIN" load run "$TMP/load.yaml" --workers 1 --quiet --json \
    --out "$TMP/out" >"$TMP/ours.json" 2>/dev/null || true
  figures "$TMP/ours.json" "$@"
}
figures() { # figures FILE FIELD…: a,b,c are keys within keys; `served` of ours are answers a second
  python3 - "$@" <<'PYTHON'
import json, sys
document = json.load(open(sys.argv[1]))
out = []
for path in sys.argv[2:]:
    if path == "served":
        # Whole seconds of the plan, without the first.
        seconds = document["body"]["seconds"][1:-1]
        planned = [s["good"] for s in seconds if s["arrived"]]
        out.append(sum(planned) / max(1, len(planned)))
        continue
    value = document
    for key in path.split(","):
        value = value[key]
    out.append(float(value))
print(*(f"{value:.3f}" for value in out))
PYTHON
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

touch "$TMP"/{wrk,k6,ours,k6_p99,ours_p99,ours_plan_p99}
for ((round = 0; round < ROUNDS; round++)); do
  with_wrk | tee -a "$TMP/wrk"
  WRK=$(median <"$TMP/wrk")
  [ -z "$with_k6" ] || with_k6 "$TMP/closed.js" metrics,http_reqs,rate | tee -a "$TMP/k6"
  with_ours "$(awk -v r="$WRK" 'BEGIN { printf "%.0f", r * 2 }')" "$CONNECTIONS" served |
    tee -a "$TMP/ours"
done
HALF=$(awk -v r="$(median <"$TMP/wrk")" 'BEGIN { printf "%.0f", r / 2 }')
for ((round = 0; round < ROUNDS; round++)); do
  [ -z "$with_k6" ] || RATE=$HALF with_k6 "$TMP/fixed.js" 'metrics,http_req_duration,p(99)' |
    tee -a "$TMP/k6_p99"
  with_ours "$HALF" 20000 body,total,service_ms,p99 body,total,latency_ms,p99 >"$TMP/both"
  cut -d' ' -f1 "$TMP/both" | tee -a "$TMP/ours_p99"
  cut -d' ' -f2 "$TMP/both" >>"$TMP/ours_plan_p99"
done
{
  printf 'served at most, a second: wrk %s, k6 %s, seawall %s\n' \
    "$(median <"$TMP/wrk")" "$(median <"$TMP/k6")" "$(median <"$TMP/ours")"
  printf 'p99 at %s/s, ms: k6 %s, seawall %s (from the planned instant %s)\n' "$HALF" \
    "$(median <"$TMP/k6_p99")" "$(median <"$TMP/ours_p99")" "$(median <"$TMP/ours_plan_p99")"
  printf 'commit %s, %s rounds of %s s, nginx on one core, the others on another\n' \
    "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$ROUNDS" "$RUN_S"
} | tee "$OUT/load.txt"
