-- count counts what a settled run holds, unless somebody saved it meanwhile.
--
-- KEYS[1]  hash    the run
-- KEYS[2]  string  its snapshot
-- KEYS[3]  hash    by id, how many bytes a run holds; in `total`, all of them together
-- KEYS[4]  zset    settled runs that are not counted
-- KEYS[5]  zset    those that are
--
-- ARGV[1]  its place in the lists: 12 hex digits of its creation in milliseconds, then its id
-- ARGV[2]  id
-- ARGV[3]  version
-- ARGV[4]  how many bytes it holds elsewhere
--
-- Returns the version that it has; -1 when there is no such run.
local present = tonumber(redis.call('HGET', KEYS[1], 'version') or -1)
if present ~= tonumber(ARGV[3]) then
  return present
end
local bytes = tonumber(ARGV[4]) + redis.call('STRLEN', KEYS[2])
for _, part in ipairs(redis.call('HGETALL', KEYS[1])) do
  bytes = bytes + #part
end
local before = tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or 0)
redis.call('HSET', KEYS[3], ARGV[2], bytes)
redis.call('HINCRBY', KEYS[3], 'total', bytes - before)
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], 0, ARGV[1])
return present
