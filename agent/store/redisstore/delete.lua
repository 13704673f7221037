-- delete forgets a run, unless somebody saved it meanwhile.
--
-- KEYS[1]  hash    the run
-- KEYS[2]  string  its snapshot
-- KEYS[3]  hash    by id, how many bytes a run holds; in `total`, all of them together
-- then zsets: the lists in which the run may stand
--
-- ARGV[1]  its place in the lists: 12 hex digits of its creation in milliseconds, then its id
-- ARGV[2]  id
-- ARGV[3]  version
--
-- Returns the version that it has, or had; -1 when there was no such run.
local present = tonumber(redis.call('HGET', KEYS[1], 'version') or -1)
if present ~= tonumber(ARGV[3]) then
  return present
end
redis.call('UNLINK', KEYS[1], KEYS[2])
for i = 4, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
local bytes = redis.call('HGET', KEYS[3], ARGV[2])
if bytes then
  redis.call('HDEL', KEYS[3], ARGV[2])
  redis.call('HINCRBY', KEYS[3], 'total', -bytes)
end
return present
