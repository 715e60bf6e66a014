# The servers of bench/peers.sh: how each is started, loaded, checked and stopped. To be sourced.
# A target NAME_VARIANT uses lacks_NAME (why it cannot run), start_…, load_… and check_NAME.
# start_… sets SERVER_PID; load_… takes seconds and sets RATE, REQUESTS and BAD.

readonly BENCH_STOCK=1000000000
readonly BENCH_SESSIONS=1000
# Answers of ours, as long as the real ones; `prepare` replaces them by real ones.
ANSWER='{"order":"00000000000000","status":"held","total":{"amount":1999,"currency":"EUR"},"pay_by_ms":1800000000000,"durability":"disk"}'

PORT=0
SERVER_PID=0

free_port() {
  local i
  for ((i = 0; i < 100; i++)); do
    PORT=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null || return 0
  done
  die "no free port found"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

started_as() { # started_as NAME PID: waits for the port
  SERVER_PID=$2
  started+=("$2")
  until_true 20 listening || die "$1 does not listen on $PORT, see $TMP"
}

stop_server() {
  stop "$SERVER_PID"
  started=()
}

# What must be ready before the first run: sessions, our data, PostgreSQL's cluster.
prepare() {
  local i
  case " $targets " in *" ours"*) prepare_ours ;; esac
  if [ ! -s "$SESSIONS" ]; then
    # Without our binary the peers still get requests of the usual length.
    for ((i = 0; i < BENCH_SESSIONS; i++)); do printf '%0120d\n' "$i"; done >"$SESSIONS"
  fi
  case " $targets " in *" pg_"*) prepare_pg ;; esac
}

# ── constant answers ───────────────────────────────────────────────────────────────────────────

lacks_nginx() { ! command -v nginx >/dev/null && echo "nginx is not installed"; }
start_nginx() {
  free_port
  local home=$TMP/nginx-$PORT
  mkdir -p "$home"
  cat >"$home/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $home/pid;
error_log $home/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $home/body;
  proxy_temp_path $home/proxy;
  fastcgi_temp_path $home/fastcgi;
  uwsgi_temp_path $home/uwsgi;
  scgi_temp_path $home/scgi;
  default_type application/json;
  server {
    listen 127.0.0.1:$PORT backlog=1024;
    set \$answer '$ANSWER';
    location = /v1/orders { return 200 '\$answer'; }
    location = /v1/orders:batch { return 200 '$(printf '$answer%.0s' $(seq "$BATCH"))'; }
  }
}
CONF
  nginx -p "$home" -e "$home/error.log" -c "$home/nginx.conf" &
  started_as nginx $!
}
start_nginx_batch() { start_nginx; }
load_nginx() { with_wrk "$1" "$CONNECTIONS" order.lua "http://127.0.0.1:$PORT" bench "n$RANDOM" "$SESSIONS"; }
load_nginx_batch() {
  with_wrk "$1" "$CONNECTIONS" batch.lua "http://127.0.0.1:$PORT" bench "n$RANDOM" "$SESSIONS" "$BATCH"
}
check_nginx() { [ "$BAD" = 0 ] || die "$1: $BAD of $REQUESTS answers were not 200"; }

lacks_haproxy() { ! command -v haproxy >/dev/null && echo "haproxy is not installed"; }
start_haproxy() {
  free_port
  local home=$TMP/haproxy-$PORT
  mkdir -p "$home"
  cat >"$home/haproxy.cfg" <<CONF
global
  nbthread 1
  maxconn 1024
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend orders
  bind 127.0.0.1:$PORT
  option http-buffer-request
  http-request return status 200 content-type application/json string '$ANSWER'
CONF
  haproxy -db -f "$home/haproxy.cfg" >"$home/log" 2>&1 &
  started_as haproxy $!
}
load_haproxy() { load_nginx "$1"; }
check_haproxy() { check_nginx "$1"; }

# ── Redis ──────────────────────────────────────────────────────────────────────────────────────

lacks_redis() {
  ! { command -v redis-server && command -v redis-benchmark; } >/dev/null &&
    echo "redis-server or redis-benchmark is not installed"
}
start_redis() {
  free_port
  local home=$TMP/redis-$PORT
  mkdir -p "$home"
  redis-server --port "$PORT" --bind 127.0.0.1 --dir "$home" --save '' --appendonly yes \
    --appendfsync always --auto-aof-rewrite-percentage 0 --logfile "$home/log" --daemonize no &
  started_as redis $!
  REDIS_SCRIPT=$(redis-cli -p "$PORT" SCRIPT LOAD "$(cat bench/redis-order.lua)")
  redis-cli -p "$PORT" SET stock:1 "$BENCH_STOCK" >/dev/null
  REDIS_RATE=20000
}
start_redis_always() { start_redis; }
start_redis_pipelined() { start_redis; }
load_redis_always() { with_redis "$1" 1; }
load_redis_pipelined() { with_redis "$1" 16; }
# Every request had ids of its own, so it must have taken a unit; a few random ids may meet.
check_redis() {
  local sold
  sold=$((BENCH_STOCK - $(redis-cli -p "$PORT" GET stock:1)))
  [ "$sold" -ge $((REQUESTS * 99 / 100)) ] || die "$1: only $sold orders of $REQUESTS requests"
}

# ── PostgreSQL ─────────────────────────────────────────────────────────────────────────────────

PG_BIN=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n1 || true)
PG_CLIENTS_BATCH=4
lacks_pg() {
  [ -x "$PG_BIN/initdb" ] && command -v pgbench >/dev/null || { echo "PostgreSQL is not installed"; return 0; }
  [ "$(id -u)" != 0 ] || { command -v runuser && id -u postgres; } >/dev/null ||
    { echo "PostgreSQL refuses to run as root and there is no user postgres"; return 0; }
  return 1
}
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
pg() { psql -q -h "$PG_SOCKET" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"; }

prepare_pg() {
  PG_SOCKET=$TMP/pg
  mkdir -p "$PG_SOCKET"
  [ "$(id -u)" != 0 ] || chown postgres "$PG_SOCKET"
  as_postgres "$PG_BIN/initdb" -D "$PG_SOCKET/data" -U postgres -A trust >"$TMP/initdb.log" 2>&1 ||
    die "initdb failed: $(tail -n 3 "$TMP/initdb.log")"
  # One statement, so that the row's lock is held for one sync and no round trip.
  cat >"$TMP/row.sql" <<'SQL'
\set request random(1, 4611686018427387904)
WITH taken AS (UPDATE stock SET free = free - 1 WHERE sku = 1 AND free > 0 RETURNING sku)
INSERT INTO orders (request, sku, buyer, quantity) SELECT :request, sku, :request, 1 FROM taken;
SQL
  # The rows first and the row everybody wants last: its lock is held for the sync alone.
  {
    printf '%s\n' '\set request random(1, 4611686018427387904)' 'BEGIN;'
    printf 'INSERT INTO orders (request, sku, buyer, quantity) VALUES (:request, 1, :request, 1)'
    for ((i = 1; i < BATCH; i++)); do printf ', (CAST(:request AS bigint) + %d, 1, :request, 1)' "$i"; done
    printf ';\nUPDATE stock SET free = free - %d WHERE sku = 1 AND free >= %d;\nCOMMIT;\n' "$BATCH" "$BATCH"
  } >"$TMP/batch.sql"
  start_pg
  best_pg_clients
  stop_server
}

# PostgreSQL at its best: the number of clients that commit most batches here.
best_pg_clients() {
  local clients best=0
  case " $targets " in *" pg_batch "*) ;; *) return 0 ;; esac
  for clients in 2 4 8 16; do
    with_pgbench 1 "$clients" "$TMP/batch.sql"
    [ "$RATE" -le "$best" ] || best=$RATE PG_CLIENTS_BATCH=$clients
  done
  TITLE[pg_batch]+=" ($PG_CLIENTS_BATCH clients)"
}

start_pg() {
  # The postmaster itself is wanted, not the process that switches the user before it.
  local command=("$PG_BIN/postgres" -D "$PG_SOCKET/data" -k "$PG_SOCKET" -c listen_addresses=
    -c max_connections=100 -c shared_buffers=256MB -c max_wal_size=8GB -c checkpoint_timeout=1h)
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid postgres --regid postgres --init-groups "${command[@]}" >"$TMP/pg.log" 2>&1 &
  else
    "${command[@]}" >"$TMP/pg.log" 2>&1 &
  fi
  SERVER_PID=$!
  started+=("$SERVER_PID")
  until_true 20 pg -c 'SELECT 1' || die "PostgreSQL does not answer: $(tail -n 3 "$TMP/pg.log")"
  pg <<SQL
SET client_min_messages = warning;
DROP TABLE IF EXISTS orders, stock;
CREATE TABLE stock (sku int PRIMARY KEY, free bigint NOT NULL CHECK (free >= 0)) WITH (fillfactor = 50);
CREATE TABLE orders (request bigint PRIMARY KEY, sku int NOT NULL, buyer bigint NOT NULL,
  quantity int NOT NULL, status text NOT NULL DEFAULT 'held', at timestamptz NOT NULL DEFAULT now());
INSERT INTO stock VALUES (1, $BENCH_STOCK);
CHECKPOINT;
SQL
}
start_pg_row() { start_pg; }
start_pg_batch() { start_pg; }
load_pg_row() { with_pgbench "$1" "$CONNECTIONS" "$TMP/row.sql"; }
load_pg_batch() { with_pgbench "$1" "$PG_CLIENTS_BATCH" "$TMP/batch.sql"; }
check_pg() {
  local holds
  [ "${BAD:-0}" = 0 ] || die "$1: $BAD transactions failed"
  holds=$(pg -At -c "SELECT free + (SELECT count(*) FROM orders) = $BENCH_STOCK FROM stock")
  [ "$holds" = t ] || die "$1: the books of PostgreSQL do not balance"
}

# ── Seawall ────────────────────────────────────────────────────────────────────────────────────

lacks_ours() {
  [ -x "${SEAWALL_BIN:-}" ] && return 1
  echo "no binary at SEAWALL_BIN=${SEAWALL_BIN:-}"
}

order_once() { # order_once SKU KEY [CURL OPTION…]: the answer of one order
  local sku=$1 key=$2
  shift 2
  curl -s "$@" -X POST "$SHOP/v1/orders" -H "Authorization: Bearer $(head -n1 "$SESSIONS")" \
    -H 'Content-Type: application/json' -H "Idempotency-Key: $key" \
    -d "{\"lines\":[{\"sku\":\"$sku\",\"quantity\":1}]}"
}

# A folder with the catalogue and its sessions, copied for every run.
prepare_ours() {
  cat >"$TMP/bench.jsonl" <<JSONL
{"sku":"bench","title":"A plain mug","price_minor":1999,"currency":"EUR","stock":$BENCH_STOCK}
{"sku":"gone","title":"The last mug","price_minor":1999,"currency":"EUR","stock":1}
JSONL
  "$SEAWALL_BIN" import catalogue "$TMP/bench.jsonl" --data "$TMP/ready" >"$TMP/import.log" 2>&1 ||
    die "the import failed: $(tail -n 5 "$TMP/import.log")"
  "$SEAWALL_BIN" bench sessions --data "$TMP/ready" --count "$BENCH_SESSIONS" >"$SESSIONS"
  start_ours
  ANSWER=$(order_once bench first)
  case $ANSWER in *'"held"'*) ;; *) die "the first order got $ANSWER" ;; esac
  stop_server
}

start_ours() {
  local data
  data=$TMP/ours-$RANDOM$RANDOM
  cp -a "$TMP/ready" "$data"
  start_shop "$data"
  SERVER_PID=$SHOP_PID
  OURS_DATA=$data
}
start_ours_batch() { start_ours; }
start_ours_refused() {
  start_ours
  order_once gone the-last-one >/dev/null
}
load_ours() { with_wrk "$1" "$CONNECTIONS" order.lua "$SHOP" bench "o$RANDOM" "$SESSIONS"; }
load_ours_refused() { with_wrk "$1" "$CONNECTIONS" order.lua "$SHOP" gone "o$RANDOM" "$SESSIONS"; }
load_ours_batch() {
  with_wrk "$1" "$CONNECTIONS" batch.lua "$SHOP" bench "o$RANDOM" "$SESSIONS" "$BATCH"
}
# Accepted orders are counted by the books, refusals by their status.
check_ours() {
  case $1 in
    ours_refused)
      [ "$NOT_2XX" = "$REQUESTS" ] || die "$1: $((REQUESTS - NOT_2XX)) of $REQUESTS were not refused"
      case $(order_once gone one-more) in *'"sold_out"'*) ;; *) die "$1: not sold out" ;; esac
      ;;
    *)
      local free
      [ "$BAD" = 0 ] || die "$1: $BAD of $REQUESTS answers were not orders"
      free=$(curl -s "$SHOP/v1/products/bench" | sed -nE 's/.*"free":([0-9]+).*/\1/p')
      [ $((BENCH_STOCK - free)) -ge "$REQUESTS" ] || die "$1: the stock did not move by $REQUESTS"
      ;;
  esac
  rm -rf "${OURS_DATA:?}.removed"
  mv "$OURS_DATA" "$OURS_DATA.removed"
}
