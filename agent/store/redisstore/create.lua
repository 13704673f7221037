-- create stores a new run, once.
--
-- KEYS[1]  hash    the run
-- KEYS[2]  string  its snapshot
-- then zsets: the lists in which the run stands
--
-- ARGV[1]  its place in the lists: 12 hex digits of its creation in milliseconds, then its id
-- ARGV[2]  id
-- ARGV[3]  channel that is told of changes
-- ARGV[4]  snapshot
-- ARGV[5]  version
-- then field, value: head and tasks
--
-- Returns 1, or 0 when the run exists.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
-- HSET comes first: a full Redis refuses it, and then nothing of the run is there.
redis.call('HSET', KEYS[1], 'version', ARGV[5])
for i = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[4])
for i = 3, #KEYS do
  redis.call('ZADD', KEYS[i], 0, ARGV[1])
end
redis.call('PUBLISH', ARGV[3], ARGV[2])
return 1
