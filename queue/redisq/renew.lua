-- Makes leases last their full time from now.
-- KEYS: stream
-- ARGV: worker, entry id, deliveries, once per lease
-- Returns: the places of the lost leases, from 0
local lost = {}
for i = 1, #ARGV, 3 do
	local worker, entry, deliveries = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	-- JUSTID resets the idle time and counts no delivery.
	if not held(worker, entry, deliveries) or #redis.call('XCLAIM', KEYS[1], GROUP, worker, 0, entry, 'JUSTID') == 0 then
		lost[#lost + 1] = (i - 1) / 3
	end
end
return lost
