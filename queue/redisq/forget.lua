-- Takes an item off the list of the dead.
-- KEYS: dead, dead ids
-- ARGV: item id, entry id of the burial
-- Returns: 1, or 0 when it is not in the list, or was buried again since
local dead = redis.call('HGET', KEYS[2], ARGV[1])
if dead ~= ARGV[2] then
	return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('XDEL', KEYS[1], dead)
