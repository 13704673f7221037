-- Takes an entry out of the line.
-- KEYS: stream, ids
-- ARGV: worker, entry id, deliveries, item id
-- Returns: 1, or 0 when the lease is lost
local worker, entry, deliveries, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not held(worker, entry, deliveries) then
	return 0
end
redis.call('XACK', KEYS[1], GROUP, entry)
redis.call('XDEL', KEYS[1], entry)
redis.call('HDEL', KEYS[2], id)
return 1
