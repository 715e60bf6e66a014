#!/usr/bin/env bash
# The front door beside nginx, haproxy and Envoy, each a proxy with a limit for each user, in one run.
#
# Every proxy has one core to itself; the generator and the upstream (nginx, a small constant
# answer) share another. Proxies run one at a time, forwards and then backwards through the
# list (A B … B A), so that a machine that slows down slows all of them. Medians. Where the proxy
# did not fill its core, the generator's core was the limit: then only CPU a request compares.
#
#   SEAWALL_BIN=… FORWARD_BIN=… OUT=out/bench bench/gateway.sh    about five minutes
#   QUICK=1 …                                                     about two
#   ONLY="nginx ours" …                                           some of the list
#   PARTS="peak refusals added" …                                 some of the parts
#
# `peak` is requests a second; `refusals` the same where everybody is turned away; `added` is what
# each adds to the 99th percentile, at planned instants (seawall load) and half of a peak.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. bench/servers.sh
. bench/gateway/proxies.sh
. bench/gateway/added.sh

readonly OUT=${OUT:-out/bench}
readonly CONNECTIONS=64
if [ -n "${QUICK:-}" ]; then ROUNDS=1 RUN_S=3 WARM_S=1; else ROUNDS=2 RUN_S=6 WARM_S=1; fi
readonly ROUNDS RUN_S WARM_S

readonly PARTS=" ${PARTS:-peak refusals added} "
readonly ALL="nginx haproxy envoy ours ours_core ours_no_rule ours_four_rules ours_overload"
readonly REFUSING="nginx_refuses ours_refuses"
declare -A TITLE=(
  [nginx]="nginx, limit_req by user"
  [haproxy]="haproxy, stick table by user"
  [envoy]="Envoy, local rate limit by user"
  [ours]="Seawall gateway, GCRA by user"
  [ours_core]="Seawall's proxy core alone, no door"
  [ours_no_rule]="Seawall gateway, no rule"
  [ours_four_rules]="Seawall gateway, four rules"
  [ours_overload]="Seawall gateway, overload control"
  [nginx_refuses]="nginx, return 429"
  [ours_refuses]="Seawall gateway, refused by a rule"
)

# Two cores: the first is the generator's and the upstream's, the second the proxy's.
command -v taskset >/dev/null && [ "$(nproc)" -ge 2 ] || die "two cores and taskset are needed"
mapfile -t CORES < <(taskset -cp $$ | sed -E 's/.*: //' | tr ',' '\n' |
  awk -F- 'NF == 2 { for (c = $1; c <= $2; c++) print c; next } { print }')
readonly GENERATOR=(taskset -c "${CORES[0]}") SERVER=(taskset -c "${CORES[1]}")

scratch_dir /var/tmp
readonly TMP=$REPLY
chmod 755 "$TMP"
readonly SAMPLES=$TMP/samples
mkdir -p "$OUT" "$SAMPLES"

# CPU time of a process with all below it, in clock ticks.
cpu_ticks() { # cpu_ticks PID
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v root="$1" '
    { pid = $1; sub(/.*\) /, ""); parent[pid] = $2; own[pid] = $12 + $13 + $14 + $15 }
    END {
      for (pid in parent) {
        for (p = pid; p in parent && p != root && p > 1; p = parent[p]);
        if (p == root) total += own[pid]
      }
      printf "%d", total
    }'
}

# Sets RATE, REQUESTS, REFUSED (or otherwise bad), BROKEN and P99_US.
load() { # load SECONDS
  local line us
  line=$("${GENERATOR[@]}" wrk -t1 -c"$CONNECTIONS" -d"${1}s" -s bench/gateway/user.lua \
    "http://127.0.0.1:$PORT" | grep '^requests=') || die "wrk said nothing"
  read -r REQUESTS us REFUSED BROKEN _ P99_US < <(sed -E 's/[a-z0-9_]+=//g' <<<"$line")
  RATE=$(awk -v n="$REQUESTS" -v us="$us" 'BEGIN { printf "%.0f", n * 1e6 / us }')
}

# The upstream stays; only the proxy is stopped.
stop_proxy() {
  stop "$SERVER_PID"
  started=("$UPSTREAM_PID")
}

# Nobody is refused, or everybody but the first few.
check_answers() { # check_answers TARGET
  local bad=$REFUSED
  case " $REFUSING " in *" $1 "*) bad=$((REQUESTS - REFUSED > 3 ? REQUESTS - REFUSED : 0)) ;; esac
  # At the start of a run it may still look for its limit.
  case $1 in ours_overload) bad=$((bad > REQUESTS / 1000 ? bad : 0)) ;; esac
  bad=$((bad + BROKEN))
  [ "$bad" = 0 ] || die "$1: $bad of $REQUESTS answers were bad"
}

# One run: start, warm up, measure, stop. Appends "rate cpu_us_per_request busy_percent".
sample() { # sample TARGET
  local target=$1 before after began ended
  "start_$target"
  load "$WARM_S"
  before=$(cpu_ticks "$SERVER_PID") began=$(date +%s%N)
  load "$RUN_S"
  after=$(cpu_ticks "$SERVER_PID") ended=$(date +%s%N)
  stop_proxy
  check_answers "$target"
  awk -v rate="$RATE" -v ticks=$((after - before)) -v n="$REQUESTS" -v ns=$((ended - began)) \
    -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%.0f %.2f %.0f\n", rate, ticks * 1e6 / hz / n, ticks * 1e11 / hz / ns }' |
    tee -a "$SAMPLES/$target" | awk -v title="${TITLE[$target]}" \
    '{ printf "  %-38s %8d/s  %6.2f µs CPU  core %3d %% busy\n", title, $1, $2, $3 }'
}

median() { # median COLUMN FILE
  cut -d' ' -f"$1" "$2" | sort -n |
    awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

ratios=()
# Of requests a second (column 1) ours over theirs; of CPU (column 2) theirs over ours. More is better.
ratio() { # ratio NAME TARGET PEER COLUMN FLOOR
  [ -s "$SAMPLES/$2" ] && [ -s "$SAMPLES/$3" ] || return 0
  ratios+=("$(awk -v name="$1" -v a="$(median "$4" "$SAMPLES/$2")" -v column="$4" \
    -v b="$(median "$4" "$SAMPLES/$3")" -v floor="$5" 'BEGIN {
      v = column == 1 ? a / b : b / a
      word = (v >= floor) ? "reached" : "not reached"
      printf "%s\t%.2f\t%s\t%s", name, v, floor, word }')")
}

report() {
  local target line peer first=yes json=$OUT/gateway.json
  for peer in nginx envoy haproxy; do
    local floor=1
    [ $peer != haproxy ] || floor=0.9
    ratio "requests/s, against $peer" ours $peer 1 $floor
    ratio "requests for the CPU, against $peer" ours $peer 2 $floor
    ratio "core alone, requests for the CPU, against $peer" ours_core $peer 2 $floor
  done
  ratio "four rules, requests/s against none" ours_four_rules ours_no_rule 1 0.95
  ratio "four rules, requests for the CPU against none" ours_four_rules ours_no_rule 2 0.95
  ratio "overload control, requests/s against none" ours_overload ours 1 0.95
  ratio "refusals/s, against nginx" ours_refuses nginx_refuses 1 0.8
  ratio "refusals for the CPU, against nginx" ours_refuses nginx_refuses 2 0.8
  {
    printf '\n%-38s %10s %16s %12s\n' proxy "median /s" "CPU µs each" "core busy"
    for target in $measured; do
      printf '%-38s %10.0f %16.2f %11.0f%%\n' "${TITLE[$target]}" \
        "$(median 1 "$SAMPLES/$target")" "$(median 2 "$SAMPLES/$target")" \
        "$(median 3 "$SAMPLES/$target")"
    done
    printf '\n%-52s %8s %8s\n' ratio value floor
    for line in ${ratios[@]+"${ratios[@]}"}; do
      awk -F'\t' '{ printf "%-52s %8s %8s  %s\n", $1, $2, $3, $4 }' <<<"$line"
    done
    added_table
    printf '\n%s\n' "$machine"
  } | tee "$OUT/gateway.txt"
  {
    printf '{"machine":"%s","commit":"%s","seconds":%d,"connections":%d,"proxies":[' \
      "$machine" "$commit" "$RUN_S" "$CONNECTIONS"
    for target in $measured; do
      [ $first = yes ] || printf ','
      first=no
      printf '\n{"proxy":"%s","title":"%s","per_second":%s,"cpu_us":%s,"busy_percent":%s,"samples":[%s]}' \
        "$target" "${TITLE[$target]}" "$(median 1 "$SAMPLES/$target")" \
        "$(median 2 "$SAMPLES/$target")" "$(median 3 "$SAMPLES/$target")" \
        "$(cut -d' ' -f1 "$SAMPLES/$target" | paste -sd,)"
    done
    printf '],"ratios":['
    first=yes
    for line in ${ratios[@]+"${ratios[@]}"}; do
      [ $first = yes ] || printf ','
      first=no
      awk -F'\t' '{ printf "\n{\"name\":\"%s\",\"value\":%s,\"floor\":%s,\"verdict\":\"%s\"}",
        $1, $2, $3, $4 }' <<<"$line"
    done
    printf '],"added":['
    added_json
    printf ']}\n'
  } >"$json"
  printf 'in %s and %s\n' "$OUT/gateway.txt" "$json"
}

wanted() { case "$PARTS" in *" $1 "*) true ;; *) false ;; esac; }
wanted peak || wanted refusals || wanted added ||
  die "no part of '$PARTS' is known: expected some of peak, refusals and added"
all=""
if wanted peak || wanted added; then all+="$ALL "; fi
if wanted refusals; then all+="$REFUSING "; fi
targets=""
for target in ${ONLY:-$all}; do
  [ -n "${TITLE[$target]:-}" ] || die "unknown proxy '$target': expected some of $ALL $REFUSING"
  if why=$("lacks_$target"); then
    printf '  %-38s left out: %s\n' "${TITLE[$target]}" "$why"
  else
    targets+="$target "
  fi
done
[ -n "$targets" ] || die "nothing to measure"
why=$(lacks_nginx) && die "$why; it is the upstream"

load=$(cut -d' ' -f1 /proc/loadavg)
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
machine="$(nproc) × $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n1), Linux $(uname -r), load $load at the start"
printf '%s\n' "$machine"
awk -v load="$load" 'BEGIN { exit !(load > 0.5) }' &&
  printf 'the machine is not idle (load %s): figures will be low and uneven\n' "$load"

backwards=$(tr ' ' '\n' <<<"$targets" | tac | paste -sd' ')
start_upstream
readonly UPSTREAM_PID=$SERVER_PID
for ((round = 1; round <= ROUNDS; round++)); do
  for target in $targets; do sample "$target"; done
  for target in $backwards; do sample "$target"; done
done
measured=$targets
if wanted added; then added; fi
report
