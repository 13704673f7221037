-- Deletes the consumers of workers that are gone. Their names leak otherwise: every pod brings a new one.
-- KEYS: stream
-- ARGV: time in ms since a consumer was last seen
-- Returns: how many were deleted
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], GROUP)
if consumers.err then
	return 0 -- There is no line yet, and so nobody to delete.
end
local deleted = 0
for _, consumer in ipairs(consumers) do
	local is = {}
	for i = 1, #consumer, 2 do
		is[consumer[i]] = consumer[i + 1]
	end
	-- XGROUP DELCONSUMER drops the pending entries of a consumer, which nobody would lease again.
	if is.pending == 0 and is.idle >= tonumber(ARGV[1]) then
		redis.call('XGROUP', 'DELCONSUMER', KEYS[1], GROUP, is.name)
		deleted = deleted + 1
	end
end
return deleted
