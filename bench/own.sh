#!/usr/bin/env bash
# Our own figures, in process: `make bench`. Arguments: the folder of release binaries, the output folder.
set -euo pipefail
readonly BIN=$1 OUT=$2
work=$(mktemp -d "$OUT/own.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "── the rules alone: 10 million orders held in one process"
"$BIN/examples/speed" 10000000
echo
echo "── one fdatasync of this disk"
"$BIN/examples/sync" "$work"
echo
echo "── durable orders, in process"
"$BIN/examples/durable" --data "$work" --orders 4000000
echo
echo "── restart after a kill with one million orders: the line says how long replay took"
kept=$("$BIN/examples/durable" --data "$work" --orders 1000000 --keep 2>&1 >/dev/null | sed -n 's/^kept: //p')
for _ in 1 2 3; do
  start=$(date +%s%N)
  "$BIN/seawall" up --data "$kept" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ports-file "$work/ports" >"$work/log" 2>&1 &
  pid=$!
  until [ -s "$work/ports" ]; do sleep 0.01; done
  echo "start to first answer: $((($(date +%s%N) - start) / 1000000)) ms; $(grep entries "$work/log")"
  kill -9 "$pid"
  wait "$pid" 2>/dev/null || true
  rm -f "$work/ports"
done
rm -rf "$kept"
echo
echo "── the projection: batched against one transaction an entry"
"$BIN/examples/catchup" || echo "(below ten times: see the line above)"
