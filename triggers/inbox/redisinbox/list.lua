-- list reads one page of the deliveries, newest first, without their bodies.
--
-- KEYS[1]  zset  all deliveries
--
-- ARGV[1]  what the keys of deliveries begin with
-- ARGV[2]  where to begin: '+' for the newest, or '(' and the member after which to begin
-- ARGV[3]  how many at most
--
-- Returns for each delivery {member, version, head, planned}.
local page = {}
for i, member in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[2], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])) do
  local v, head, planned = unpack(redis.call('HMGET', ARGV[1] .. string.sub(member, 17), 'v', 'head', 'planned'))
  page[i] = {member, v, head, planned}
end
return page
