-- uncounted lists settled runs that are not counted. One that somebody deleted who does not count (a Millrace of before)
-- is taken out of the list here.
--
-- KEYS[1]  zset  settled runs that are not counted
--
-- ARGV[1]  what the keys of runs begin with
-- ARGV[2]  where to begin, as ZRANGE BYLEX takes it
-- ARGV[3]  how many runs at most, and one more
--
-- Returns their places, oldest first, also of those that it took out.
local places = redis.call('ZRANGE', KEYS[1], ARGV[2], '+', 'BYLEX', 'LIMIT', 0, ARGV[3])
for _, place in ipairs(places) do
  if redis.call('EXISTS', ARGV[1] .. string.sub(place, 13)) == 0 then
    redis.call('ZREM', KEYS[1], place)
  end
end
return places
