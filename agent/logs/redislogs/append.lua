-- append adds what the log does not have yet of some data.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  offset of the data's first byte
-- ARGV[2]  how many bytes a log may have
-- ARGV[3]  the line with which a log ends that had to drop something
-- ARGV[4]  how long the log is kept from now on, in milliseconds
-- then the data in chunks, an entry each
--
-- Returns what held returns, and 1, or 0 when the log ends before the data.
local offset, max = tonumber(ARGV[1]), tonumber(ARGV[2])
local from, have, ended = held(KEYS[1])
if ended == 1 or have > max then
  return {from, have, ended, 1}
end
if offset > have then
  return {from, have, ended, 0}
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
return {from, have, ended, 1}
