-- looked ends a look at a repository.
--
-- KEYS[1]  hash  the repository's refs
-- KEYS[2]  zset  repositories, by when they are due
-- KEYS[3]  hash  what the last look at each left
--
-- ARGV[1]  what the repository is called in KEYS[2] and KEYS[3]
-- ARGV[2]  what this look leaves
-- ARGV[3]  when the repository was due, in milliseconds
-- ARGV[4]  when it is due next
-- ARGV[5]  how many refs a repository may have
-- ARGV[6]  how many refs are gone; then these refs
-- then ref, sight: those that were found
--
-- Returns 1, or 0 when the repository is not known any more.
local form = '1 '
local due = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not due then
  return 0
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
if tonumber(due) == tonumber(ARGV[3]) or tonumber(ARGV[4]) < tonumber(due) then
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
local last = 6 + tonumber(ARGV[6])
for i = 7, last do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if known and string.sub(known, 1, #form) == form and cjson.decode(string.sub(known, #form + 1)).after == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
local room = tonumber(ARGV[5]) - redis.call('HLEN', KEYS[1])
for i = last + 1, #ARGV, 2 do
  if room > 0 then
    room = room - redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 1
