-- Takes entries out of the line.
-- KEYS: stream, ids
-- ARGV: worker, entry id, deliveries, item id, once per lease
-- Returns: the places of the lost leases, from 0
local lost, entries, ids = {}, {}, {}
for i = 1, #ARGV, 4 do
	local worker, entry, deliveries, id = unpack(ARGV, i, i + 3)
	if held(worker, entry, deliveries) then
		entries[#entries + 1], ids[#ids + 1] = entry, id
	else
		lost[#lost + 1] = (i - 1) / 4
	end
end
if #entries > 0 then
	redis.call('XACK', KEYS[1], GROUP, unpack(entries))
	redis.call('XDEL', KEYS[1], unpack(entries))
	redis.call('HDEL', KEYS[2], unpack(ids))
end
return lost
