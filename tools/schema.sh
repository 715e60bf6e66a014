#!/usr/bin/env bash
# Schemathesis against the running shop and the OpenAPI document it serves, bounded in time.
# No request that it can think of may get a server error; answers must be as documented.
#
#   SEAWALL_BIN=… tools/schema.sh      SCHEMA_SECONDS, SCHEMA_EXAMPLES and SCHEMA_SEED may be set
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly VENV=${CARGO_TARGET_DIR:-target}/venv
readonly SECONDS_MAX=${SCHEMA_SECONDS:-60}
[ -x "$VENV/bin/schemathesis" ] || die "no $VENV/bin/schemathesis: run tools/setup.sh test"
TOOL=$(realpath -s "$VENV/bin/schemathesis")
readonly TOOL

# One product for each answer of a sale.
scratch_dir
readonly HOME_DIR=$REPLY
printf '%s\n' \
  '{"sku":"mug","title":"A mug","price_minor":1999,"currency":"EUR","stock":1000000}' \
  '{"sku":"gone","title":"No mug","price_minor":1999,"currency":"EUR","stock":0}' \
  '{"sku":"one","title":"One each","price_minor":5,"currency":"EUR","stock":9,"buyer_limit":1}' \
  '{"sku":"soon","title":"Not yet","price_minor":5,"currency":"EUR","stock":9,"opens_ms":4000000000000}' \
  '{"sku":"over","title":"Over","price_minor":5,"currency":"EUR","stock":9,"opens_ms":1,"closes_ms":2}' \
  '{"sku":"tee","title":"In dollars","price_minor":5,"currency":"USD","stock":9000}' \
  >"$HOME_DIR/catalogue.jsonl"
"$SEAWALL_BIN" import catalogue "$HOME_DIR/catalogue.jsonl" --data "$HOME_DIR/data" >/dev/null
session=$("$SEAWALL_BIN" bench sessions --data "$HOME_DIR/data" --count 1)
SEAWALL_PAYMENT_SANDBOX_DELAY_MS_MEDIAN=1 SEAWALL_PAYMENT_SANDBOX_DECLINE_SHARE=0.2 \
  SEAWALL_PAYMENT_SANDBOX_UNKNOWN_SHARE=0.2 start_shop "$HOME_DIR/data"
curl -sf "$ADMIN/operator/coupons" -H "Authorization: Bearer $OPERATOR_TOKEN" >/dev/null \
  -H 'Content-Type: application/json' \
  -d '{"coupon":"FIVE","quota":9,"amount_off":5,"minimum_total":3000,"currency":"EUR"}'

# Orders to ask for, pay and cancel.
orders=()
for key in 1 2 3 4 5 6; do
  answer=$(curl -sf "$SHOP/v1/orders" -H "Authorization: Bearer $session" \
    -H 'Content-Type: application/json' -H "Idempotency-Key: first-$key" \
    -d '{"lines":[{"sku":"mug","quantity":1}]}')
  orders+=("$(sed -E 's/.*"order":"([^"]*)".*/\1/' <<<"$answer")")
done

# The document as served, but for this: the products and coupons asked for are those above, and
# half of the orders. What is made of nothing but chance would all be refused. Values against
# the document are made from it as well.
curl -sf "$SHOP/openapi.json" | "$VENV/bin/python" -c '
import json, sys
document = json.load(sys.stdin)
schemas = document["components"]["schemas"]
real = lambda codes, given: {"anyOf": [{"enum": codes}, given]}
codes = ["mug", "tee", "gone", "one", "soon", "over", "nothing"]
line = schemas["Line"]["properties"]
line["sku"] = {"enum": codes}
line["quantity"] = {"enum": [1, 2, 3, 1000000]}
schemas["Lines"]["maxItems"] = 3
for order in schemas["NewOrder"], schemas["Batch"]["properties"]["orders"]["items"]:
    order["properties"]["coupon"] = {"enum": ["FIVE", "NONE", None]}
schemas["Pay"]["properties"]["amount"] = real(
    [{"amount": 1999, "currency": "EUR"}], schemas["Pay"]["properties"]["amount"])
product = document["paths"]["/v1/products/{sku}"]["get"]["parameters"][0]
product["schema"] = real(codes, product["schema"])
order = document["components"]["parameters"]["Order"]
order["schema"] = real(sys.argv[1:], order["schema"])
json.dump(document, sys.stdout)
' "${orders[@]}" >"$HOME_DIR/openapi.json"

# The live stream never ends and the tester waits for the end of an answer, so it is left out here
# and tested in the integration tests. One worker: what it asks never fills the shop, so that
# a 503 would be a fault.
# Where a change is judged, luck has no say; by hand every run tries something new.
seed=${SCHEMA_SEED:-${CI:+7}}
seed=${seed:-$RANDOM}
printf 'seed %s\n' "$seed"
report=$HOME_DIR/report.har
# It keeps notes where it is started.
cd "$HOME_DIR"
timeout $((SECONDS_MAX + 60)) "$TOOL" run "$HOME_DIR/openapi.json" \
  --url "$SHOP" --no-color -H "Authorization: Bearer $session" --exclude-path /v1/live \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance \
  --max-time "$SECONDS_MAX" --max-examples "${SCHEMA_EXAMPLES:-40}" --seed "$seed" \
  --workers 1 --continue-on-failure --generation-database none --request-timeout 10 \
  --warnings off --report har --report-har-path "$report"
cd "$OLDPWD"

kill -0 "$SHOP_PID" || die "the shop did not survive, see its log: $(tail -n 5 "$HOME_DIR/data.log")"
curl -sf "$ADMIN/readyz" >/dev/null || die "the shop is not ready afterwards"
! grep -i panicked "$HOME_DIR/data.log" >&2 || die "something panicked"

# What was really reached, and that the run was not one of refusals alone.
"$VENV/bin/python" - "$report" <<'PYTHON'
import collections, json, re, sys, urllib.parse
seen = collections.Counter()
for entry in json.load(open(sys.argv[1]))["log"]["entries"]:
    path = urllib.parse.urlsplit(entry["request"]["url"]).path
    path = re.sub(r"^/v1/(orders|products)/[^/]*", r"/v1/\1/…", path)
    seen[entry["request"]["method"], path, entry["response"]["status"]] += 1
by_status = collections.Counter()
for (_, _, status), count in seen.items():
    by_status[status] += count
print("answers", ", ".join(f"{status}: {count}" for status, count in sorted(by_status.items())))
wanted = [("GET", "/v1/products", 200), ("GET", "/v1/products/…", 200), ("POST", "/v1/orders", 201),
          ("POST", "/v1/orders", 409), ("POST", "/v1/orders:batch", 200), ("GET", "/v1/orders", 200),
          ("GET", "/v1/orders/…", 200), ("POST", "/v1/orders/…/cancel", 200), ("POST", "/v1/accounts", 201)]
missed = [" ".join(map(str, want)) for want in wanted if not seen[want]]
if missed:
    sys.exit("never answered: " + "; ".join(missed))
PYTHON
