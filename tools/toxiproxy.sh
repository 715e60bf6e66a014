#!/usr/bin/env bash
# The real Python and Node clients of Toxiproxy drive `seawall faults`, unmodified.
#
#   SEAWALL_BIN=… tools/toxiproxy.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly VENV=${CARGO_TARGET_DIR:-target}/venv-toxiproxy
: "${SEAWALL_BIN:?the path of the seawall binary}"
[ -x "$VENV/bin/python" ] || die "no $VENV/bin/python: run tools/setup.sh test"
[ -d tests/toxiproxy/node_modules ] || die "no tests/toxiproxy/node_modules: run tools/setup.sh test"

scratch_dir
"$SEAWALL_BIN" faults --listen 127.0.0.1:0 >"$REPLY/out" 2>"$REPLY/log" &
started+=("$!")
until_true 30 grep -q '^control ' "$REPLY/out" || { cat "$REPLY/log" >&2; die "it did not start"; }
CONTROL=$(sed -nE 's/^control +//p' "$REPLY/out")
timeout 60 "$VENV/bin/python" tests/toxiproxy/check.py "${CONTROL%:*}" "${CONTROL##*:}"
timeout 60 node tests/toxiproxy/check.mjs "http://$CONTROL"
