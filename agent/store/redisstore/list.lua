-- list finds the runs that stand in all of some lists, newest first. It walks the shortest of the lists and looks each
-- run up in the others. It looks at a bounded number of runs, so that nobody waits long for Redis.
--
-- KEYS     zsets  the lists
--
-- ARGV[1]  where to begin: '+' for the newest, or '(' and the place after which to begin
-- ARGV[2]  how many runs at most
-- ARGV[3]  how many runs to look at, roughly
--
-- Returns {where it stopped, or '' at the end; {place, ...}}.
local shortest, size = 1, redis.call('ZCARD', KEYS[1])
for i = 2, #KEYS do
  local n = redis.call('ZCARD', KEYS[i])
  if n < size then
    shortest, size = i, n
  end
end

local function everywhere(place)
  for i = 1, #KEYS do
    if i ~= shortest and not redis.call('ZSCORE', KEYS[i], place) then
      return false
    end
  end
  return true
end

local from, limit, looks = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local batch = math.max(limit + 1, 100)
local found, last = {}, ''
while looks > 0 do
  local page = redis.call('ZRANGE', KEYS[shortest], from, '-', 'BYLEX', 'REV', 'LIMIT', 0, batch)
  for _, place in ipairs(page) do
    if everywhere(place) then
      if #found == limit then
        return {last, found}
      end
      found[#found + 1] = place
    end
    last = place
  end
  if #page < batch then
    return {'', found}
  end
  from, looks = '(' .. last, looks - #page
end
return {last, found}
