# Shell helpers that start the real shop in a temp folder and find it again. To be sourced; the
# caller sets SEAWALL_BIN. Every process started here is ended by its own id on exit.

# SEAWALL_… in the environment are settings of the shop, and it refuses names that it does not
# know. These scripts keep what they were given to themselves.
while read -r name; do export -n "${name?}"; done < <(compgen -e SEAWALL_)

die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

started=()
scratch=()

# A process is asked to end; one that does not within five seconds is killed.
stop() { # stop PID
  local pid=$1 i
  kill "$pid" 2>/dev/null || return 0
  for ((i = 0; i < 100; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

stop_all() {
  local pid dir
  for pid in ${started[@]+"${started[@]}"}; do stop "$pid"; done
  for dir in ${scratch[@]+"${scratch[@]}"}; do rm -rf "$dir"; done
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# Sets REPLY to a new folder that is removed on exit.
scratch_dir() { # scratch_dir [PARENT]
  REPLY=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/seawall.XXXXXX")
  scratch+=("$REPLY")
}

until_true() { # until_true SECONDS COMMAND…
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

# Starts the shop on free ports. Sets SHOP_PID, SHOP, ADMIN and OPERATOR_TOKEN.
start_shop() { # start_shop DATA [OPTION…]
  local data=$1 out=$1.out
  shift
  : "${SEAWALL_BIN:?the path of the seawall binary}"
  "$SEAWALL_BIN" up --data "$data" --listen 127.0.0.1:0 --admin 127.0.0.1:0 "$@" \
    >"$out" 2>"$data.log" &
  SHOP_PID=$!
  started+=("$SHOP_PID")
  until_true 30 shop_said_or_died "$out" || true
  shop_said "$out" || { tail -n 20 "$data.log" >&2; die "the shop did not start"; }
  SHOP=$(sed -nE 's/^shop +(http:[^ ]+).*/\1/p' "$out" | head -n1)
  ADMIN=$(sed -nE 's/^admin +(http:[^ ]+).*/\1/p' "$out" | head -n1)
  OPERATOR_TOKEN=$(cat "$data/operator.token" 2>/dev/null || true)
  until_true 30 curl -sf "$ADMIN/readyz" || die "the shop at $ADMIN is not ready"
}

# Both lines are there, or the process is gone and waiting is of no use.
shop_said_or_died() {
  shop_said "$1" || ! kill -0 "$SHOP_PID"
}
shop_said() { grep -qE '^shop +http' "$1" && grep -qE '^admin +http' "$1"; }
