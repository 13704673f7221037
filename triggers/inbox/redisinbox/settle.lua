-- settle takes a delivery off the list of unplanned ones and notes what became of it.
--
-- KEYS[1]  hash  the delivery
-- KEYS[2]  zset  unplanned deliveries
--
-- ARGV[1]  id
-- ARGV[2]  outcome, JSON
--
-- Returns 1, or 0 when no such delivery is kept.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'planned', ARGV[2])
return 1
