-- save writes what changed of a run, and moves it from list to list, unless somebody else was faster.
--
-- KEYS[1]  hash  the run
-- then zsets: the lists that the run leaves, and after them those that it joins
--
-- ARGV[1]  its place in the lists: 12 hex digits of its creation in milliseconds, then its id
-- ARGV[2]  id
-- ARGV[3]  channel that is told of changes
-- ARGV[4]  version that is replaced
-- ARGV[5]  how many lists the run leaves
-- ARGV[6]  which of these is its lane, '' for none
-- then field, value: head and tasks, those that changed
--
-- Returns {1, the new version, how many stand in the lane that it left}, {0, the present version, 0} on a conflict, or
-- {0, -1, 0} when there is no such run.
local present = tonumber(redis.call('HGET', KEYS[1], 'version') or -1)
if present ~= tonumber(ARGV[4]) then
  return {0, present, 0}
end
-- HSET comes first: a full Redis refuses it, and then nothing is half written.
redis.call('HSET', KEYS[1], 'version', present + 1)
for i = 7, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
for i = 2, #KEYS do
  if i <= 1 + ARGV[5] then
    redis.call('ZREM', KEYS[i], ARGV[1])
  else
    redis.call('ZADD', KEYS[i], 0, ARGV[1])
  end
end
redis.call('PUBLISH', ARGV[3], ARGV[2])
local others = 0
if ARGV[6] ~= '' then
  others = redis.call('ZCARD', ARGV[6])
end
return {1, present + 1, others}
