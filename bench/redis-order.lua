-- Redis script: what an order decides, in the fewest calls: a key seen before repeats its answer,
-- the buyer stays within the limit, the stock is there. No sessions, prices, coupons or expiry.
-- KEYS: request, stock, buyer; ARGV: units, limit.
local seen = redis.call('GET', KEYS[1])
if seen then return seen end
local units = tonumber(ARGV[1])
local taken = tonumber(redis.call('GET', KEYS[3]) or '0')
if taken + units > tonumber(ARGV[2]) then return 'buyer_limit' end
local free = tonumber(redis.call('GET', KEYS[2]) or '0')
if free < units then return 'sold_out' end
redis.call('DECRBY', KEYS[2], units)
redis.call('INCRBY', KEYS[3], units)
local order = tostring(redis.call('INCR', 'orders'))
redis.call('SET', KEYS[1], order)
return order
