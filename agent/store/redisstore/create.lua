-- create stores a new run, once.
--
-- KEYS[1]  hash    the run
-- KEYS[2]  string  its snapshot
-- then zsets: the lists in which the run stands; where it has a lane, that is the last: its live runs, numbered as they came
--
-- ARGV[1]  its place in the lists: 12 hex digits of its creation in milliseconds, then its id
-- ARGV[2]  id
-- ARGV[3]  channel that is told of changes
-- ARGV[4]  snapshot
-- ARGV[5]  version
-- ARGV[6]  limit of its lane: how many runs there may start; 0 when it has no lane
-- ARGV[7]  how many arguments the next list has
-- then field, value: head and tasks of the run when it may start
-- then field, value: those that differ when it has to wait for its lane
--
-- Returns 'admitted' (also without a lane), 'held', or 'exists' when nothing was done.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'exists'
end
local lists, limit, answer = #KEYS, tonumber(ARGV[6]), 'admitted'
local lane = KEYS[lists]
if limit > 0 then
  lists = lists - 1
  if redis.call('ZCARD', lane) >= limit then
    answer = 'held'
  end
end
-- HSET comes first: a full Redis refuses it, and then nothing of the run is there.
redis.call('HSET', KEYS[1], 'version', ARGV[5])
for i = 8, answer == 'held' and #ARGV or 7 + ARGV[7], 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[4])
for i = 3, lists do
  redis.call('ZADD', KEYS[i], 0, ARGV[1])
end
if limit > 0 then
  local last = redis.call('ZRANGE', lane, -1, -1, 'WITHSCORES')
  redis.call('ZADD', lane, (last[2] or 0) + 1, ARGV[1])
end
redis.call('PUBLISH', ARGV[3], ARGV[2])
return answer
