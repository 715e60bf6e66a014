#!/usr/bin/env bash
# Runs the recipes of docs/clients.md as they are written there, against a real shop.
#
# Blocks marked `sh before` run before the shop is started, blocks marked `sh` after it, all in
# one shell with DATA, SHOP, ADMIN and OPERATOR_TOKEN set. A line `# prints: TEXT` says what the
# output of the block must contain.
#
#   SEAWALL_BIN=… tools/recipes.sh [FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

readonly FILE=${1:-docs/clients.md}
scratch_dir
readonly HOME_DIR=$REPLY
mkdir "$HOME_DIR/blocks"

# Each block into a file of its own: LINE.KIND, in the order of the page.
awk -v dir="$HOME_DIR/blocks" '
  /^```sh before$/ { file = sprintf("%s/%05d.before", dir, NR); next }
  /^```sh$/        { file = sprintf("%s/%05d.sh", dir, NR); next }
  /^```/           { if (file != "") close(file); file = ""; next }
  file != ""       { print > file }
' "$FILE"

DATA=$HOME_DIR/data
seawall() { "$SEAWALL_BIN" "$@"; }

run_block() { # run_block FILE
  local out=$HOME_DIR/output line wanted
  line=$((10#$(basename "${1%.*}") + 1))
  # In this shell, not in a child: later blocks use the variables of earlier ones. The first line
  # that fails ends the run, and the trap says where.
  where="$FILE:$line"
  . "$1" >"$out" 2>&1
  where=
  while read -r wanted; do
    grep -qF -- "$wanted" "$out" ||
      { cat "$out" >&2; die "$FILE:$line did not print: $wanted"; }
  done < <(sed -n 's/^# prints: //p' "$1")
  printf '  %s:%s ok\n' "$FILE" "$line"
  ran=$((ran + 1))
}
where=
failed() {
  [ -z "$where" ] || { cat "$HOME_DIR/output" >&2; printf 'recipes: the block at %s failed\n' "$where" >&2; }
  stop_all
}
trap failed EXIT

ran=0
for block in "$HOME_DIR"/blocks/*.before; do [ ! -e "$block" ] || run_block "$block"; done
# Recipes show what goes well: the sandbox would decline one payment in fifty.
SEAWALL_PAYMENT_SANDBOX_DECLINE_SHARE=0 start_shop "$DATA"
for block in "$HOME_DIR"/blocks/*.sh; do [ ! -e "$block" ] || run_block "$block"; done
[ "$ran" -gt 0 ] || die "no recipe in $FILE"
printf '%d recipes ran as written\n' "$ran"
