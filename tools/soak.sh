#!/usr/bin/env bash
# A load run of SOAK_S seconds against our own shop: the generator's memory must stay flat.
#
#   SEAWALL_BIN=… SOAK_S=600 tools/soak.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
: "${SEAWALL_BIN:?the path of the seawall binary}"
readonly SOAK_S=${SOAK_S:-600} RATE=${SOAK_RATE:-300}
# Of the memory after the first fifth; the figures of each second are kept, and are small.
readonly GROWTH_PERCENT_MAX=10 GROWTH_KIB_MAX=4096
[ "$SOAK_S" -ge 30 ] || die "SOAK_S is $SOAK_S; less than 30 seconds show nothing"

scratch_dir
readonly HOME_DIR=$REPLY
mkdir -p "$HOME_DIR/data"
start_shop "$HOME_DIR/data"
cat >"$HOME_DIR/soak.yaml" <<YAML
version: 1
name: soak
target: {url: "$SHOP", follow_redirects: 5}
load:
  spacing: poisson
  shape: {constant: {rate: $RATE, for: ${SOAK_S}s}}
journeys:
  - name: look
    weight: 9
    steps:
      - set: {wish: uuid(), seen: '""'}
      - request:
          name: list
          path: /v1/products
          extract: {seen: {json: /products/0/sku}}
      - think: {from: 200ms, to: 5s}
      - request: {name: gone, path: "/v1/products/\${wish}", expect: [404]}
  - name: page
    steps:
      - request: {name: page, path: /, expect: [200-499]}
YAML
"$SEAWALL_BIN" load run "$HOME_DIR/soak.yaml" --quiet --json --out "$HOME_DIR/out" \
  >"$HOME_DIR/report.json" 2>"$HOME_DIR/said" &
readonly PID=$!
started+=("$PID")

rss() { awk '/^VmRSS:/ { print $2 }' "/proc/$PID/status" 2>/dev/null; }
begun=$SECONDS early=0 late=0
while kill -0 "$PID" 2>/dev/null; do
  now=$(rss || true) at=$((SECONDS - begun))
  # The report is made after the load; it is not part of the run.
  if [ -n "$now" ] && [ "$at" -ge $((SOAK_S / 10)) ] && [ "$at" -lt "$SOAK_S" ]; then
    if [ "$at" -lt $((SOAK_S / 5)) ]; then
      [ "$now" -le "$early" ] || early=$now
    else
      [ "$now" -le "$late" ] || late=$now
    fi
  fi
  sleep 1
done
code=0
wait "$PID" || code=$?
# Memory is looked at on a busy machine too; whether the run is valid is told.
[ "$code" = 0 ] || [ "$code" = 2 ] || { tail -n 5 "$HOME_DIR/said" >&2; die "the run ended with $code"; }
[ "$early" -gt 0 ] && [ "$late" -gt 0 ] || die "its memory was not seen"
python3 - "$HOME_DIR/report.json" "$early" "$late" "$SOAK_S" <<'PYTHON'
import json, sys
body = json.load(open(sys.argv[1]))["body"]
early, late, seconds = map(int, sys.argv[2:])
load, own = body["load"], body["generator"]
print(f"soak: {seconds} s, {load['planned']} arrivals, {load['arrived']} left, "
      f"{body['total']['sent']} requests, lag p99 {own['lag_p99_ms']} ms; "
      f"memory {early} KiB after a fifth, {late} KiB at most afterwards")
for why in own["invalid"]:
    print(f"soak: the load itself has no verdict: {why}")
PYTHON
[ $((late - early)) -le $((early * GROWTH_PERCENT_MAX / 100)) ] ||
  [ $((late - early)) -le "$GROWTH_KIB_MAX" ] || die "it grew from $early to $late KiB"
