-- wrk script: one order a request, as a page or a program would send it.
--
--   wrk -t1 -c64 -d5s -s bench/order.lua URL -- SKU RUN SESSIONS-FILE
--
-- Every request has an Idempotency-Key of its own (RUN keeps two runs apart) and the session of
-- one of the listed buyers. Requests are put together from ready pieces, because the generator
-- has one core and shall not be what is measured. Results come as one line of `name=value`.

local heads, count, tail, run, sent = {}, 0, nil, nil, 0

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("thread", threads)
end

function init(args)
  local sku, sessions = args[1], args[3]
  assert(sku and args[2] and sessions, "expected: -- SKU RUN SESSIONS-FILE")
  run = args[2] .. "-" .. thread .. "-"
  local body = string.format('{"lines":[{"sku":"%s","quantity":1}]}', sku)
  for session in io.lines(sessions) do
    count = count + 1
    heads[count] = table.concat({
      "POST /v1/orders HTTP/1.1",
      "Host: " .. wrk.headers["Host"],
      "Authorization: Bearer " .. session,
      "Content-Type: application/json",
      "Content-Length: " .. #body,
      "Idempotency-Key: ",
    }, "\r\n")
  end
  assert(count > 0, "no session in " .. sessions)
  tail = "\r\n\r\n" .. body
end

function request()
  sent = sent + 1
  return heads[sent % count + 1] .. run .. sent .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "requests=%d us=%d not_2xx=%d broken=%d p50_us=%d p99_us=%d\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
