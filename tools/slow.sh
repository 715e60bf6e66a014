#!/usr/bin/env bash
# slowhttptest against the front door, one way to be slow after another: heads that never end,
# bodies that trickle, answers that are hardly read, each on a thousand connections. Meanwhile
# healthy clients, each request on a new connection, must keep at least 95 of 100 successes, and
# afterwards everything answers as before. The door stands before the real shop, with its defaults.
#
#   SEAWALL_BIN=… tools/slow.sh     SLOW_CONNECTIONS and SLOW_SECONDS may be set
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly CONNECTIONS=${SLOW_CONNECTIONS:-1000} SECONDS_EACH=${SLOW_SECONDS:-12}
readonly SUCCESS_PERCENT_MIN=95
# A healthy client waits for so long for one answer.
readonly PATIENCE_S=2
readonly CLIENTS=4
command -v slowhttptest >/dev/null || die "no slowhttptest: run tools/setup.sh test"
# Both ends of a connection, and the door's to the shop, are descriptors of ours.
ulimit -n "$(ulimit -Hn)"

scratch_dir
readonly DIR=$REPLY
printf '{"sku":"mug","title":"A mug","price_minor":1999,"stock":1000000}\n' >"$DIR/catalogue.jsonl"
"$SEAWALL_BIN" import catalogue "$DIR/catalogue.jsonl" --data "$DIR/shop" >/dev/null
start_shop "$DIR/shop"
# More than the buffers of both ends hold.
head -c 4000000 /dev/zero | tr '\0' '.' >"$DIR/large.txt"
cat >"$DIR/gateway.yaml" <<YAML
version: 1
admin: {address: "127.0.0.1:0"}
listeners: [{name: front, address: "127.0.0.1:0"}]
routes:
  - {name: large, match: {path: {exact: /large}}, target: {static: {file: large.txt}}}
  - {name: shop, target: {upstream: shop}}
upstreams:
  - {name: shop, peers: [{address: "${SHOP#http://}"}]}
YAML
"$SEAWALL_BIN" gateway "$DIR/gateway.yaml" --data "$DIR/door" --ports-file "$DIR/ports" \
  >"$DIR/door.out" 2>"$DIR/door.log" &
readonly DOOR_PID=$!
started+=("$DOOR_PID")
until_true 30 test -s "$DIR/ports" || { tail "$DIR/door.log" >&2; die "the door did not start"; }
address() { sed -nE "s/.*\"$1\" *: *\"([^\"]+)\".*/\1/p" <(tr ',' '\n' <"$DIR/ports"); }
FRONT=http://$(address front) DOOR_ADMIN=http://$(address admin)
readonly FRONT DOOR_ADMIN
until_true 10 curl -sf "$FRONT/v1/products" || die "the shop does not answer through the door"

# Connections that the door ended, by reason.
closed() {
  curl -sf "$DOOR_ADMIN/metrics" |
    sed -nE 's/^seawall_http_connections_closed_total\{listener="front",reason="([a-z_]+)"\} ([0-9]+)$/\1 \2/p'
}

# One letter for each answer: y in time, n otherwise.
healthy() { # healthy FILE
  while [ ! -e "$DIR/over" ]; do
    if curl -sf -m "$PATIENCE_S" -o /dev/null "$FRONT/v1/products?limit=1"; then
      printf y
    else
      printf n
    fi
  done >"$1"
}

count() { cat "$DIR"/told.* | tr -cd "$1" | wc -c; }

slow() { # slow NAME OPTION…
  local name=$1 before after good bad begun=$SECONDS clients=() each had most=0
  shift
  rm -f "$DIR/over" "$DIR"/told.*
  before=$(closed)
  for ((each = 0; each < CLIENTS; each++)); do
    healthy "$DIR/told.$each" &
    clients+=("$!")
    started+=("$!")
  done
  # It ends early when the door has ended all of its connections: so it is begun again.
  while [ $((SECONDS - begun)) -lt "$SECONDS_EACH" ]; do
    timeout $((SECONDS_EACH + 5)) slowhttptest -c "$CONNECTIONS" -r 1000 -p "$PATIENCE_S" \
      -l $((SECONDS_EACH - SECONDS + begun + 1)) "$@" >"$DIR/slow.raw" 2>&1 || true
    # Its report, without colours. Most of its connections must have come about, be it that the
    # door has ended them since, or nothing is shown.
    sed -E 's/\x1b\[[0-9;]*[A-Za-z]//g' "$DIR/slow.raw" >"$DIR/slow.out"
    had=$(awk '$1 == "connected:" { open = $2 } $1 == "closed:" && open + $2 > most { most = open + $2 }
      END { print most + 0 }' "$DIR/slow.out")
    [ "${had:-0}" -le "$most" ] || most=$had
  done
  [ "$most" -ge $((CONNECTIONS / 2)) ] || {
    cat "$DIR/slow.out" >&2
    die "$name: slowhttptest had only $most of $CONNECTIONS connections"
  }
  touch "$DIR/over"
  wait "${clients[@]}"
  after=$(closed)
  good=$(count y) bad=$(count n)
  printf '%-8s %4d slow ones, %5d healthy requests, %d failed; ended by the door:%s\n' "$name" \
    "$most" $((good + bad)) "$bad" "$(join <(sort <<<"$before") <(sort <<<"$after") |
      awk '$3 > $2 { printf " %s %d", $1, $3 - $2 }')"
  [ $((good + bad)) -ge 100 ] || die "$name: only $((good + bad)) healthy requests"
  [ $((good * 100)) -ge $(((good + bad) * SUCCESS_PERCENT_MIN)) ] ||
    die "$name: $good of $((good + bad)) healthy requests, expected $SUCCESS_PERCENT_MIN of 100"
}

slow heads -H -i 1 -t GET -x 24 -u "$FRONT/v1/products"
# To a place that reads the whole body before it says no.
slow bodies -B -i 1 -s 8192 -t POST -x 16 -f application/json -u "$FRONT/v1/accounts"
slow reading -X -w 1 -y 8 -n 1 -z 8 -k 1 -t GET -u "$FRONT/large"

kill -0 "$DOOR_PID" || die "the door did not survive"
kill -0 "$SHOP_PID" || die "the shop did not survive"
! grep -i panicked "$DIR/door.log" "$DIR/shop.log" >&2 || die "something panicked"
curl -sf -m "$PATIENCE_S" "$FRONT/v1/products?limit=1" >/dev/null || die "no answer afterwards"
