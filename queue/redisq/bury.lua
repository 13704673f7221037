-- Takes an entry out of the line and puts it in the list of the dead.
-- KEYS: stream, ids, dead, dead ids, the lines that have buried something
-- ARGV: worker, entry id, deliveries, why, tries, push time in ms, the longest that an item is listed in ms, the most that are, name of the line
-- Returns: 1, or 0 when the lease is lost
local worker, entry, deliveries, why, tries, pushed = unpack(ARGV, 1, 6)
local keep, most = tonumber(ARGV[7]), tonumber(ARGV[8])
if not held(worker, entry, deliveries) then
	return 0
end

-- idOf is the item's id. An entry that cannot be read may have none: then it is listed under its own.
local function idOf(e)
	for i = 1, #e[2], 2 do
		if e[2][i] == 'id' and e[2][i + 1] ~= '' then
			return e[2][i + 1]
		end
	end
	return e[1]
end

-- forget takes an entry off the list.
local function forget(dead, id)
	redis.call('XDEL', KEYS[3], dead)
	redis.call('HDEL', KEYS[4], id)
end

local found = redis.call('XRANGE', KEYS[1], entry, entry)[1]
if not found then
	return 0
end
local id = idOf(found)
local fields = {'id', id, 'why', why, 'tries', tries, 'pushed', pushed}
for i = 1, #found[2], 2 do
	local name = found[2][i]
	if name ~= 'id' and name ~= 'why' and name ~= 'tries' and name ~= 'pushed' then
		fields[#fields + 1], fields[#fields + 2] = name, found[2][i + 1]
	end
end
-- XADD comes first: it is what a full Redis refuses.
local dead = redis.call('XADD', KEYS[3], '*', unpack(fields))
local before = redis.call('HGET', KEYS[4], id)
if before then
	forget(before, id)
end
redis.call('HSET', KEYS[4], id, dead)
redis.call('SADD', KEYS[5], ARGV[9])
redis.call('XACK', KEYS[1], GROUP, entry)
redis.call('XDEL', KEYS[1], entry)
redis.call('HDEL', KEYS[2], id, '') -- one that has no id stands there under none

local over = redis.call('XLEN', KEYS[3]) - most
local oldest = redis.call('TIME')[1] * 1000 - keep
while true do
	local first = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
	if over <= 0 and tonumber(string.match(first[1], '^%d+')) >= oldest then
		return 1
	end
	forget(first[1], idOf(first))
	over = over - 1
end
