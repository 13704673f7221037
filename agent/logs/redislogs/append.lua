-- append adds what the log does not have yet of some data. The id of an entry is the offset of the byte after it, so
-- that ids are cursors and the last one tells what is there.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  offset of the data's first byte
-- ARGV[2]  how many bytes a log may have
-- ARGV[3]  the line with which a log ends that had to drop something
-- ARGV[4]  how long the log is kept from now on, in milliseconds
-- then the data in chunks, an entry each
--
-- Returns {1, where the log ends}, or {0, where the log ends} when that is before the data.
local offset, max = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local have, ended = 0, '0'
if last then
  have, ended = string.match(last[1], '^(%d+)-(%d)')
  have = tonumber(have)
end
if ended == '1' or have > max then
  return {1, have}
end
if offset > have then
  return {0, have}
end

local function add(data)
  have = have + #data
  redis.call('XADD', KEYS[1], have .. '-0', 'v', '1', 'data', data)
end

local before = have
for i = 5, #ARGV do
  local new = string.sub(ARGV[i], have - offset + 1)
  offset = offset + #ARGV[i]
  if #new > max - have then
    if have < max then
      add(string.sub(new, 1, max - have))
    end
    add(ARGV[3])
    break
  end
  if #new > 0 then
    add(new)
  end
end
if have > before then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {1, have}
