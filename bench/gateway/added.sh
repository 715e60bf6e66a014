# What each proxy adds to the 99th percentile, for bench/gateway.sh: arrivals at planned instants
# from `seawall load`, latency from those instants, less what the upstream alone needs. All at the
# same rate: half of the lowest peak of nginx, haproxy and ours; Envoy, which is slower than these
# elsewhere, at half of its own besides. A run in which the generator was the limit has no figure.

# "rate proxy p99_ms p99_ms_of_the_upstream"
added_rows=()

added() {
  local target rate own lowest=0
  for target in nginx haproxy ours; do
    [ -s "$SAMPLES/$target" ] || continue
    own=$(median 1 "$SAMPLES/$target")
    lowest=$(awk -v a="$lowest" -v b="$own" 'BEGIN { printf "%.0f", (a == 0 || b < a) ? b : a }')
  done
  [ "$lowest" != 0 ] || { printf '  no peak was measured, so there is no half of it\n'; return 0; }
  at_rate $((lowest / 2)) nginx haproxy envoy ours
  if [ -s "$SAMPLES/envoy" ]; then
    own=$(median 1 "$SAMPLES/envoy")
    rate=$(awk -v peak="$own" 'BEGIN { printf "%.0f", peak / 2 }')
    at_rate "$rate" nginx haproxy envoy ours
  fi
}

at_rate() { # at_rate RATE TARGET…
  local rate=$1 target alone
  shift
  PORT=${UPSTREAM##*:}
  alone=$(p99_ms "$rate")
  printf '  at %s/s the upstream alone: p99 %s ms\n' "$rate" "$alone"
  for target in "$@"; do
    [ -s "$SAMPLES/$target" ] || continue
    "start_$target"
    p99_ms "$rate" >/dev/null # warm
    added_rows+=("$rate $target $(p99_ms "$rate") $alone")
    stop_proxy
    printf '  at %s/s %-38s p99 %s ms\n' "$rate" "${TITLE[$target]}" \
      "$(cut -d' ' -f3 <<<"${added_rows[-1]}")"
  done
}

# The 99th percentile of a run at PORT, or "-" if the generator was the limit.
p99_ms() { # p99_ms RATE
  local scenario=$TMP/added.yaml code=0
  cat >"$scenario" <<YAML
version: 1
name: added
target: {url: "http://127.0.0.1:$PORT"}
load: {spacing: poisson, seed: 11, shape: {constant: {rate: $1, for: ${RUN_S}s}}}
journeys:
  - name: item
    steps: [{request: {name: item, path: "/item/1", headers: {x-user: "user-\${random(1, 1000)}"}}}]
YAML
  "${GENERATOR[@]}" "$SEAWALL_BIN" load run "$scenario" --quiet --json --out "$TMP/added" \
    >"$TMP/added.json" 2>"$TMP/added.log" || code=$?
  case $code in
    0) ;;
    2) echo - && return 0 ;;
    *) tail -n 5 "$TMP/added.log" >&2 && die "seawall load ended with $code" ;;
  esac
  awk '/"total":/ { t = 1 } t && /"latency_ms":/ { l = 1 }
    l && /"p99":/ { gsub(/[^0-9.]/, "", $2); printf "%.3f", $2; exit }' "$TMP/added.json"
}

added_line='{ added = ($3 == "-" || $4 == "-") ? "-" : sprintf("%.3f", $3 - $4) }'

added_table() {
  local row
  [ ${#added_rows[@]} -gt 0 ] || return 0
  printf '\n%-38s %10s %10s %14s\n' "p99 at planned arrivals" "rate /s" "ms" "added, ms"
  for row in "${added_rows[@]}"; do
    awk -v title="${TITLE[$(cut -d' ' -f2 <<<"$row")]}" \
      "$added_line"' { printf "%-38s %10d %10s %14s\n", title, $1, $3, added }' <<<"$row"
  done
}

added_json() {
  local row first=yes
  for row in ${added_rows[@]+"${added_rows[@]}"}; do
    [ $first = yes ] || printf ','
    first=no
    awk 'function n(x) { return x == "-" ? "null" : x }
      { printf "\n{\"proxy\":\"%s\",\"rate\":%d,\"p99_ms\":%s,\"upstream_p99_ms\":%s}", $2, $1, n($3), n($4) }' \
      <<<"$row"
  done
}
