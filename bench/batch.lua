-- wrk script: POST /v1/orders:batch with many independent orders a request.
--
--   wrk -t1 -c16 -d5s -s bench/batch.lua URL -- SKU RUN SESSIONS-FILE ORDERS
--
-- Every order has a key of its own. See order.lua, whose words it shares.

local heads, count, run, sent = {}, 0, nil, 0
local orders, body_bytes, before, after, parts = 0, 0, nil, nil, {}

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("thread", threads)
end

function init(args)
  local sku, sessions = args[1], args[3]
  orders = tonumber(args[4] or 100)
  assert(sku and args[2] and sessions, "expected: -- SKU RUN SESSIONS-FILE ORDERS")
  run = args[2] .. "-" .. thread .. "-"
  before = '{"key":"' .. run
  after = string.format('","lines":[{"sku":"%s","quantity":1}]}', sku)
  -- Keys have ten digits, so that every body has the same length.
  body_bytes = #'{"orders":[' + orders * (#before + 10 + #after) + (orders - 1) + #"]}"
  for session in io.lines(sessions) do
    count = count + 1
    heads[count] = table.concat({
      "POST /v1/orders:batch HTTP/1.1",
      "Host: " .. wrk.headers["Host"],
      "Authorization: Bearer " .. session,
      "Content-Type: application/json",
      "Content-Length: " .. body_bytes,
    }, "\r\n") .. '\r\n\r\n{"orders":['
  end
  assert(count > 0, "no session in " .. sessions)
end

function request()
  parts[1] = heads[(sent / orders) % count + 1]
  for order = 1, orders do
    sent = sent + 1
    local at = order * 4 - 2
    parts[at] = before
    parts[at + 1] = 1000000000 + sent
    parts[at + 2] = after
    parts[at + 3] = ","
  end
  parts[orders * 4 + 1] = "]}"
  return table.concat(parts)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "requests=%d us=%d not_2xx=%d broken=%d p50_us=%d p99_us=%d\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
