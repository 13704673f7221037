-- missed puts runs that a Millrace of before settled, which lists none as uncounted, among those.
--
-- KEYS[1]  zset  all runs
-- KEYS[2]  zset  live ones
-- KEYS[3]  zset  settled ones that are not counted
-- KEYS[4]  zset  those that are
--
-- ARGV[1]  what the keys of runs begin with
-- ARGV[2]  where to begin, as ZRANGE BYLEX takes it
-- ARGV[3]  how many runs it looks at
--
-- Returns the place of the last one that it looked at; '' at the end.
local places = redis.call('ZRANGE', KEYS[1], ARGV[2], '+', 'BYLEX', 'LIMIT', 0, ARGV[3])
for _, place in ipairs(places) do
  local listed = false
  for i = 2, 4 do
    listed = listed or redis.call('ZSCORE', KEYS[i], place)
  end
  if not listed and redis.call('EXISTS', ARGV[1] .. string.sub(place, 13)) == 1 then
    redis.call('ZADD', KEYS[3], 0, place)
  end
end
return #places == tonumber(ARGV[3]) and places[#places] or ''
