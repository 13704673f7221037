-- over finds the oldest runs without which the others hold no more than is allowed. One that somebody deleted who does
-- not count (a Millrace of before) is forgotten here.
--
-- KEYS[1]  zset  counted runs
-- KEYS[2]  hash  by id, how many bytes a run holds; in `total`, all of them together
--
-- ARGV[1]  what the keys of runs begin with
-- ARGV[2]  how many bytes are allowed
-- ARGV[3]  how many runs at most
--
-- Returns their ids, oldest first.
local total, over = tonumber(redis.call('HGET', KEYS[2], 'total') or 0), {}
if total <= tonumber(ARGV[2]) then
  return over
end
for _, place in ipairs(redis.call('ZRANGE', KEYS[1], '-', '+', 'BYLEX', 'LIMIT', 0, ARGV[3])) do
  if total <= tonumber(ARGV[2]) then
    break
  end
  local id = string.sub(place, 13)
  local bytes = tonumber(redis.call('HGET', KEYS[2], id) or 0)
  total = total - bytes
  if redis.call('EXISTS', ARGV[1] .. id) == 1 then
    over[#over + 1] = id
  else
    redis.call('ZREM', KEYS[1], place)
    redis.call('HDEL', KEYS[2], id)
    redis.call('HINCRBY', KEYS[2], 'total', -bytes)
  end
end
return over
