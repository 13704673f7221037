-- Counts what is in line.
-- KEYS: stream
-- ARGV: lease time in ms
-- Returns: {entries, entries under a lease that has not run out}
local pending = redis.pcall('XPENDING', KEYS[1], GROUP)
if pending.err then
	if not string.find(pending.err, 'NOGROUP', 1, true) then
		return pending
	end
	return {redis.call('XLEN', KEYS[1]), 0}
end
local leased = pending[1]
for _, consumer in ipairs(pending[4] or {}) do
	if consumer[1] == FREE then
		leased = leased - consumer[2]
	end
end
if leased > 0 then
	for _, due in ipairs(redis.call('XPENDING', KEYS[1], GROUP, 'IDLE', ARGV[1], '-', '+', pending[1])) do
		if due[2] ~= FREE then
			leased = leased - 1
		end
	end
end
return {redis.call('XLEN', KEYS[1]), leased}
