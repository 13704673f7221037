-- delete forgets a run, unless somebody saved it meanwhile.
--
-- KEYS[1]  hash    the run
-- KEYS[2]  string  its snapshot
-- then zsets: the lists in which the run stands
--
-- ARGV[1]  its place in the lists: 12 hex digits of its creation in milliseconds, then its id
-- ARGV[2]  version
--
-- Returns the version that it has, or had; -1 when there was no such run.
local present = tonumber(redis.call('HGET', KEYS[1], 'version') or -1)
if present ~= tonumber(ARGV[2]) then
  return present
end
redis.call('UNLINK', KEYS[1], KEYS[2])
for i = 3, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
return present
