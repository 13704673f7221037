-- keep stores a batch of deliveries, each of them once.
--
-- KEYS[1]  zset    all deliveries
-- KEYS[2]  zset    unplanned deliveries
-- KEYS[3]  string  bytes of all bodies
-- then for each delivery
--   seen      string  the id that its (forge, key) was kept under first
--   delivery  hash
--
-- ARGV[1]  version of the hash
-- ARGV[2]  how long a pair stays known at least, in milliseconds
-- then for each delivery
--   id
--   member  its place among all: 16 hex digits of its time, then its id
--   score   its place among the unplanned, in microseconds; '' when there is nothing to plan
--   head    JSON
--   form    how the body is written, '' for no body
--   body
--
-- Returns for each delivery the id that was kept first, or '' when this one is the first.
--
-- The lists and the bytes are written once for all of them, however many come together.
local firsts, places, unplanned, bytes = {}, {}, {}, 0
for i = 1, (#KEYS - 3) / 2 do
  local seen, delivery = KEYS[2 * i + 2], KEYS[2 * i + 3]
  local id, member, score, head, form, body = unpack(ARGV, 6 * i - 3, 6 * i + 2)
  local first = redis.call('SET', seen, id, 'NX', 'GET', 'PX', ARGV[2])
  -- A delivery that waits for its planning longer than its pair is known is still the first.
  if not first and redis.call('EXISTS', delivery) == 1 then
    first = id
  end
  if not first then
    redis.call('HSET', delivery, 'v', ARGV[1], 'member', member, 'head', head, 'form', form, 'body', body)
    places[#places + 1] = 0
    places[#places + 1] = member
    if score ~= '' then
      unplanned[#unplanned + 1] = score
      unplanned[#unplanned + 1] = id
    end
    bytes = bytes + #body
  end
  firsts[i] = first or ''
end
if #places > 0 then
  redis.call('ZADD', KEYS[1], unpack(places))
  redis.call('INCRBY', KEYS[3], bytes)
end
if #unplanned > 0 then
  redis.call('ZADD', KEYS[2], unpack(unplanned))
end
return firsts
