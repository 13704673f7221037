-- Stands in front of every script. held says whether worker holds the entry as its deliveries-th handing-out: a lease
-- that was taken over, acknowledged, returned, or lost with the group, is held no more.
local function held(worker, entry, deliveries)
	local pending = redis.pcall('XPENDING', KEYS[1], GROUP, entry, entry, 1, worker)
	if pending.err then
		if string.find(pending.err, 'NOGROUP', 1, true) then
			return false
		end
		error(pending.err)
	end
	return pending[1] and pending[1][4] == tonumber(deliveries)
end
