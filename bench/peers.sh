#!/usr/bin/env bash
# Seawall beside nginx, haproxy, Redis and PostgreSQL on one machine, in one run.
#
# Every server gets the same work from a generator that has one core to itself; the server is not
# pinned. Servers run one at a time, each from an empty folder, forwards and then backwards
# through the list (A B … B A), so that a machine that slows down slows all of them. Medians;
# CPU from /proc. wrk and redis-benchmark are closed loops: only throughput is compared.
#
#   SEAWALL_BIN=… OUT=out/bench bench/peers.sh      about six minutes
#   QUICK=1 …                                       about two
#   ONLY="nginx redis_always" …                     some of the list
#   BENCH_DISK=/mnt/x …                             a folder on the disk to measure on
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
. bench/servers.sh

readonly OUT=${OUT:-out/bench}
readonly CONNECTIONS=64
readonly BATCH=100
if [ -n "${QUICK:-}" ]; then ROUNDS=1 RUN_S=3 WARM_S=1; else ROUNDS=2 RUN_S=6 WARM_S=1; fi
readonly ROUNDS RUN_S WARM_S

readonly ALL="nginx haproxy nginx_batch ours ours_refused ours_batch redis_always redis_pipelined pg_row pg_batch"
declare -A TITLE=(
  [nginx]="nginx return 200, same POST"
  [haproxy]="haproxy constant answer, same POST"
  [nginx_batch]="nginx, bodies of $BATCH orders"
  [ours]="Seawall, durable orders one by one"
  [ours_refused]="Seawall, refusals (sold out)"
  [ours_batch]="Seawall, $BATCH orders a request"
  [redis_always]="Redis Lua, appendfsync always"
  [redis_pipelined]="the same, 16 in a pipeline"
  [pg_row]="PostgreSQL, one hot row"
  [pg_batch]="PostgreSQL, $BATCH orders a transaction"
)

# The first core this process may use is the generator's.
GENERATOR=()
if command -v taskset >/dev/null && [ "$(nproc)" -ge 2 ]; then
  first=$(taskset -cp $$ | sed -E 's/.*: ([0-9]+).*/\1/')
  GENERATOR=(taskset -c "$first")
fi

scratch_dir "${BENCH_DISK:-/var/tmp}"
readonly TMP=$REPLY
chmod 755 "$TMP"
readonly SESSIONS=$TMP/sessions SAMPLES=$TMP/samples
mkdir -p "$OUT" "$SAMPLES"

# ── measuring ──────────────────────────────────────────────────────────────────────────────────

# CPU time of a process with all below it, in milliseconds; ended children are in their parent's.
cpu_ms() { # cpu_ms PID
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v root="$1" -v hz="$(getconf CLK_TCK)" '
    { pid = $1; sub(/.*\) /, ""); parent[pid] = $2; own[pid] = $12 + $13; ended[pid] = $14 + $15 }
    END {
      for (pid in parent) {
        for (p = pid; p in parent && p != root && p > 1; p = parent[p]);
        if (p == root) total += own[pid] + ended[pid]
      }
      printf "%d", total * 1000 / hz
    }'
}

# Sets RATE (requests/s), REQUESTS, BAD and NOT_2XX.
with_wrk() { # with_wrk SECONDS CONNECTIONS SCRIPT URL ARGUMENT…
  local seconds=$1 connections=$2 script=$3 url=$4 line us broken
  shift 4
  line=$("${GENERATOR[@]}" wrk -t1 -c"$connections" -d"${seconds}s" -s "bench/$script" "$url" -- "$@" |
    grep '^requests=') || die "wrk said nothing about $url"
  read -r REQUESTS us NOT_2XX broken < <(sed -E 's/[a-z0-9_]+=//g' <<<"$line" | cut -d' ' -f1-4)
  RATE=$(awk -v n="$REQUESTS" -v us="$us" 'BEGIN { printf "%.0f", n * 1e6 / us }')
  BAD=$((NOT_2XX + broken))
}

# redis-benchmark takes a number of requests, so the warm-up finds one that lasts long enough.
with_redis() { # with_redis SECONDS PIPELINE
  local n=$((${REDIS_RATE:-20000} * $1))
  RATE=$("${GENERATOR[@]}" redis-benchmark -p "$PORT" -c "$CONNECTIONS" -P "$2" -n "$n" \
    -r 1000000000 --csv EVALSHA "$REDIS_SCRIPT" 3 \
    request:__rand_int__ stock:1 buyer:__rand_int__ 1 1000000 |
    awk -F'","|"' 'END { printf "%.0f", $3 }')
  REDIS_RATE=$RATE REQUESTS=$n BAD=0
  [ "$RATE" -gt 0 ] || die "redis-benchmark gave no figure"
}

with_pgbench() { # with_pgbench SECONDS CLIENTS SCRIPT
  local said
  said=$("${GENERATOR[@]}" pgbench -n -h "$PG_SOCKET" -U postgres -d postgres -M prepared \
    -c "$2" -j 1 -T "$1" -f "$3" 2>&1) || die "pgbench failed: $said"
  RATE=$(sed -nE 's/^tps = ([0-9]+).*/\1/p' <<<"$said")
  REQUESTS=$(sed -nE 's/^number of transactions actually processed: ([0-9]+).*/\1/p' <<<"$said")
  BAD=$(sed -nE 's/^number of failed transactions: ([0-9]+).*/\1/p' <<<"$said")
}

# One run of a target: start, warm up, measure, stop. Appends "rate cpu_us_per_request requests".
sample() { # sample TARGET
  local target=$1 before after unit=1
  case $target in *_batch) unit=$BATCH ;; esac
  "start_$target"
  "load_$target" "$WARM_S"
  before=$(cpu_ms "$SERVER_PID")
  "load_$target" "$RUN_S"
  after=$(cpu_ms "$SERVER_PID")
  "check_${target%%_*}" "$target"
  stop_server
  awk -v rate="$RATE" -v cpu=$((after - before)) -v n="$REQUESTS" -v unit="$unit" \
    'BEGIN { printf "%.0f %.2f %d\n", rate * unit, cpu * 1000 / (n * unit), n * unit }' \
    | tee -a "$SAMPLES/$target" |
    awk -v title="${TITLE[$target]}" '{ printf "  %-40s %9d/s  %7.2f µs CPU\n", title, $1, $2 }'
}

median() { # median COLUMN FILE
  cut -d' ' -f"$1" "$2" | sort -n |
    awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

# ── the report ─────────────────────────────────────────────────────────────────────────────────

ratios=()
ratio() { # ratio NAME TARGET PEER AIM FLOOR
  [ -s "$SAMPLES/$2" ] && { [ "$3" = - ] || [ -s "$SAMPLES/$3" ]; } || return 0
  local ours peer=1
  ours=$(median 1 "$SAMPLES/$2")
  [ "$3" = - ] || peer=$(median 1 "$SAMPLES/$3")
  ratios+=("$(awk -v name="$1" -v a="$ours" -v b="$peer" -v aim="$4" -v floor="$5" 'BEGIN {
    v = a / b
    word = v >= aim ? "reached" : v >= floor ? "above the floor" : "not reached"
    printf "%s\t%.2f\t%s\t%s\t%s", name, v, aim, floor, word }')")
}

report() {
  local target line first=yes json=$OUT/peers.json
  ratio "durable orders, against nginx" ours nginx 0.7 0.6
  ratio "durable orders a second" ours - 50000 40000
  ratio "durable orders, against Redis always" ours redis_always 1.5 1.5
  ratio "durable orders, against the PostgreSQL hot row" ours pg_row 20 20
  ratio "durable orders, $BATCH a request, a second" ours_batch - 325000 325000
  ratio "the same, against PostgreSQL batched" ours_batch pg_batch 1 1
  ratio "refusals, against nginx" ours_refused nginx 0.8 0.8
  {
    printf '\n%-40s %12s %16s\n' server "median /s" "CPU µs each"
    for target in $targets; do
      printf '%-40s %12.0f %16.2f\n' "${TITLE[$target]}" \
        "$(median 1 "$SAMPLES/$target")" "$(median 2 "$SAMPLES/$target")"
    done
    printf '\n%-48s %12s %8s %8s\n' ratio value aim floor
    for line in ${ratios[@]+"${ratios[@]}"}; do
      awk -F'\t' '{ printf "%-48s %12s %8s %8s  %s\n", $1, $2, $3, $4, $5 }' <<<"$line"
    done
    printf '\n%s\n' "$machine"
  } | tee "$OUT/peers.txt"
  {
    printf '{"machine":"%s","commit":"%s","seconds":%d,"connections":%d,"targets":[' \
      "$machine" "$commit" "$RUN_S" "$CONNECTIONS"
    for target in $targets; do
      [ $first = yes ] || printf ','
      first=no
      printf '\n{"target":"%s","title":"%s","per_second":%s,"cpu_us":%s,"samples":[%s]}' \
        "$target" "${TITLE[$target]}" "$(median 1 "$SAMPLES/$target")" \
        "$(median 2 "$SAMPLES/$target")" "$(cut -d' ' -f1 "$SAMPLES/$target" | paste -sd,)"
    done
    printf '],"ratios":['
    first=yes
    for line in ${ratios[@]+"${ratios[@]}"}; do
      [ $first = yes ] || printf ','
      first=no
      awk -F'\t' '{ printf "\n{\"name\":\"%s\",\"value\":%s,\"aim\":%s,\"floor\":%s,\"verdict\":\"%s\"}",
        $1, $2, $3, $4, $5 }' <<<"$line"
    done
    printf ']}\n'
  } >"$json"
  printf 'in %s and %s\n' "$OUT/peers.txt" "$json"
}

# What one small synced write costs on this disk: the floor below every durable figure.
sync_us() {
  local file=$TMP/sync
  dd if=/dev/zero of="$file" bs=64k count=64 conv=fsync status=none
  dd if=/dev/zero of="$file" bs=4k count=500 oflag=dsync conv=notrunc 2>&1 |
    awk '/copied/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^s,?$/) printf "%.0f", $i * 1e6 / 500 }'
  rm -f "$file"
}

# ── the run ────────────────────────────────────────────────────────────────────────────────────

targets=""
for target in ${ONLY:-$ALL}; do
  [ -n "${TITLE[$target]:-}" ] || die "unknown target '$target': expected some of $ALL"
  if why=$("lacks_${target%%_*}"); then
    printf '  %-40s left out: %s\n' "${TITLE[$target]}" "$why"
  else
    targets+="$target "
  fi
done
[ -n "$targets" ] || die "nothing to measure"

load=$(cut -d' ' -f1 /proc/loadavg)
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
machine="$(nproc) × $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n1), Linux $(uname -r), $(stat -f -c %T "$TMP"), synced 4 KiB write $(sync_us) µs, load $load at the start"
printf '%s\n' "$machine"
awk -v load="$load" 'BEGIN { exit !(load > 0.5) }' &&
  printf 'the machine is not idle (load %s): figures will be low and uneven\n' "$load"

backwards=$(tr ' ' '\n' <<<"$targets" | tac | paste -sd' ')
prepare
for ((round = 1; round <= ROUNDS; round++)); do
  for target in $targets; do sample "$target"; done
  for target in $backwards; do sample "$target"; done
done
report
