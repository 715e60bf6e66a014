#!/usr/bin/env bash
# Real input, when it is there: 19,406 real products imported into a shop, every order line of a
# real shop replayed as demand against 85 % of its stock, audited, and a real site's access log sent
# again. Says so and passes where the data is not.
#
#   SEAWALL_BIN=… SEAWALL_DATA=../shared/data tools/realdata.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly FROM=${SEAWALL_DATA:-../shared/data}
readonly CATALOGUE=$FROM/icecat-products-19406.jsonl.gz
readonly ORDERS=$FROM/online-retail-2010-12_2011-08.tar.xz
readonly LOG=$FROM/apache-access-10k.tar.xz

scratch_dir "${CARGO_TARGET_DIR:-target}"
readonly HOME_DIR=$REPLY

if [ -f "$CATALOGUE" ]; then
  "$SEAWALL_BIN" import catalogue "$CATALOGUE" --data "$HOME_DIR/catalogue"
  start_shop "$HOME_DIR/catalogue"
  curl -sf "$SHOP/v1/products?limit=50" | grep '"sku"' >/dev/null || die "the imported products are not for sale"
  stop "$SHOP_PID"
else
  printf 'skipped: no real data at %s\n' "$CATALOGUE"
fi

if [ -f "$ORDERS" ]; then
  mkdir "$HOME_DIR/orders"
  tar -xJf "$ORDERS" -C "$HOME_DIR/orders"
  "$SEAWALL_BIN" rehearse --orders "$HOME_DIR/orders" --stock-share 0.85 --out out/orders
else
  printf 'skipped: no real data at %s\n' "$ORDERS"
fi

if [ -f "$LOG" ]; then
  mkdir "$HOME_DIR/log"
  tar -xJf "$LOG" -C "$HOME_DIR/log"
  python3 tools/replay_shares.py "$SEAWALL_BIN" "$HOME_DIR/log/apache_logs"
else
  printf 'skipped: no real data at %s\n' "$LOG"
fi
