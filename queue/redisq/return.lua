-- Ends a lease and frees its entry, at once or after a time.
-- KEYS: stream, ids
-- ARGV: worker, entry id, deliveries, time until it is free in ms, lease time in ms
-- Returns: 1, or 0 when the lease is lost
local worker, entry, deliveries = ARGV[1], ARGV[2], ARGV[3]
local after, lease = tonumber(ARGV[4]), tonumber(ARGV[5])
if not held(worker, entry, deliveries) then
	return 0
end

-- someoneWaits says whether a reader may be blocked: none is while there are entries that nobody has read.
local function someoneWaits()
	local group = redis.call('XINFO', 'GROUPS', KEYS[1])[1]
	for i = 1, #group, 2 do
		if group[i] == 'last-delivered-id' then
			return #redis.call('XRANGE', KEYS[1], '(' .. group[i + 1], '+', 'COUNT', 1) == 0
		end
	end
end

if after == 0 and someoneWaits() then
	-- Only a new entry wakes blocked readers. Nothing stands behind it, so that it keeps its place in line. It carries
	-- what the old one's id and deliveries told.
	local old = redis.call('XRANGE', KEYS[1], entry, entry)[1]
	if old then
		local is = {pushed = string.match(entry, '^%d+'), tries = 0}
		for i = 1, #old[2], 2 do
			is[old[2][i]] = old[2][i + 1]
		end
		local new = redis.call('XADD', KEYS[1], '*', 'id', is.id, 'v1', is.v1, 'pushed', is.pushed, 'tries', is.tries + deliveries)
		redis.call('HSET', KEYS[2], is.id, new)
	end
	redis.call('XACK', KEYS[1], GROUP, entry)
	redis.call('XDEL', KEYS[1], entry)
	return old and 1 or 0
end

-- It keeps its place in the pending list, belongs to no worker, and has been idle for as long as makes it due then.
return #redis.call('XCLAIM', KEYS[1], GROUP, FREE, 0, entry, 'IDLE', lease - after, 'JUSTID')
