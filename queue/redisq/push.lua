-- Puts items last in line, unless they are in line already.
-- KEYS: stream, ids
-- ARGV: id, value, once per item
-- Returns: how many were put in line
local added = 0
for i = 1, #ARGV, 2 do
	local entry = redis.call('HGET', KEYS[2], ARGV[i])
	-- An entry that somebody deleted by hand must not keep its item out of the line for ever.
	if not entry or #redis.call('XRANGE', KEYS[1], entry, entry) == 0 then
		-- Never MAXLEN: it drops entries that nobody acknowledged. XADD comes first: it is what a full Redis refuses.
		entry = redis.call('XADD', KEYS[1], '*', 'id', ARGV[i], 'v1', ARGV[i + 1])
		redis.call('HSET', KEYS[2], ARGV[i], entry)
		added = added + 1
	end
end
return added
