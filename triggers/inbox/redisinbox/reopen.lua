-- reopen puts a settled delivery in the list of unplanned ones again, and forgets what became of it.
--
-- KEYS[1]  hash  the delivery
-- KEYS[2]  zset  unplanned deliveries
--
-- ARGV[1]  id
--
-- Returns 1, or 0 when no such delivery is kept.
local member = redis.call('HGET', KEYS[1], 'member')
if not member then
  return 0
end
if redis.call('HEXISTS', KEYS[1], 'planned') == 1 then
  -- Its place among all begins with its time in nanoseconds; its place among the unplanned is in microseconds. ZADD comes
  -- first: it is what a full Redis refuses.
  redis.call('ZADD', KEYS[2], math.floor(tonumber(string.sub(member, 1, 16), 16) / 1000), ARGV[1])
  redis.call('HDEL', KEYS[1], 'planned')
end
return 1
