-- Hands out what is free: entries whose lease ran out or that were returned, oldest first, then new ones.
-- KEYS: stream
-- ARGV: worker, limit, lease time in ms
-- Returns: server time in ms, then per entry {entry id, deliveries, 1 when its lease ran out, {field, value, ...}}
local key, worker, limit, lease = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local out = {time[1] * 1000 + math.floor(time[2] / 1000)}

-- XPENDING IDLE finds them in one pass over the pending list, where XAUTOCLAIM looks at ten per claimed one and stops.
local due = redis.pcall('XPENDING', key, GROUP, 'IDLE', lease, '-', '+', limit)
if due.err then
	if not string.find(due.err, 'NOGROUP', 1, true) then
		return due
	end
	-- The line is new, or the group went with FLUSHALL or a restore. Acknowledged entries are deleted, so that
	-- everything from the start of the stream is in line.
	redis.call('XGROUP', 'CREATE', key, GROUP, '0', 'MKSTREAM')
	due = {}
end
for _, pending in ipairs(due) do
	-- XCLAIM drops the ids of deleted entries from the pending list and answers nothing for them.
	local entry = redis.call('XCLAIM', key, GROUP, worker, lease, pending[1])[1]
	if entry then
		out[#out + 1] = {entry[1], pending[4] + 1, pending[2] ~= FREE and 1 or 0, entry[2]}
	end
end

local left = limit - (#out - 1)
if left > 0 then
	local new = redis.call('XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', left, 'STREAMS', key, '>')
	for _, entry in ipairs(new and new[1][2] or {}) do
		out[#out + 1] = {entry[1], 1, 0, entry[2]}
	end
end
return out
