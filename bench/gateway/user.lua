-- wrk script: GETs of a thousand users in turn, each named in X-User, so that a limit for each
-- user has something to count. Put together beforehand: the generator has one core, shared with
-- the upstream. Results come as one line of `name=value`.

local USERS = 1000
local requests, sent = {}, 0

function init(args)
  for user = 1, USERS do
    requests[user] = wrk.format("GET", "/item/" .. user, {
      ["Host"] = "shop.example",
      ["User-Agent"] = "bench/1",
      ["Accept"] = "*/*",
      ["X-User"] = "user-" .. user,
    })
  end
end

function request()
  sent = sent + 1
  return requests[sent % USERS + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "requests=%d us=%d not_2xx=%d broken=%d p50_us=%d p99_us=%d\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
