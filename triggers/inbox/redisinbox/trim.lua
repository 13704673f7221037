-- trim forgets settled deliveries, oldest first: those older than a time, then more until the bodies fit. It looks at
-- a bounded number of them, so that nobody waits long for Redis; call it again from where it stopped.
--
-- KEYS[1]  zset    all deliveries
-- KEYS[2]  zset    unplanned deliveries
-- KEYS[3]  string  bytes of all bodies
--
-- ARGV[1]  what the keys of deliveries begin with
-- ARGV[2]  where to begin: '-' for the oldest, or '(' and the member after which to begin
-- ARGV[3]  the time before which all are forgotten, as members begin
-- ARGV[4]  how many bytes of bodies may stay, 0 for any number
-- ARGV[5]  how many to look at
--
-- Returns how many were forgotten, and the member where it stopped or '' at the end.
local max = tonumber(ARGV[4])
local bytes = tonumber(redis.call('GET', KEYS[3]) or 0)
local forgotten, freed, last = 0, 0, ''
local page = redis.call('ZRANGE', KEYS[1], ARGV[2], '+', 'BYLEX', 'LIMIT', 0, ARGV[5])
for _, member in ipairs(page) do
  if string.sub(member, 1, 16) >= ARGV[3] and (max == 0 or bytes - freed <= max) then
    page = {}
    break
  end
  local id = string.sub(member, 17)
  if not redis.call('ZSCORE', KEYS[2], id) then
    local delivery = ARGV[1] .. id
    freed = freed + redis.call('HSTRLEN', delivery, 'body')
    redis.call('DEL', delivery)
    redis.call('ZREM', KEYS[1], member)
    forgotten = forgotten + 1
  end
  last = member
end
if freed > 0 then
  redis.call('DECRBY', KEYS[3], freed)
end
if #page < tonumber(ARGV[5]) then
  last = ''
end
return {forgotten, last}
