-- cut drops the entries that end at an offset or before it. Of a log that has not ended it never drops the last entry,
-- which tells how long the log is. Of one that has, only the mark may be left, and that is not kept for long.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  offset
-- ARGV[2]  how long a mark is kept that is alone, in milliseconds
--
-- Returns what held returns, afterwards.
local offset = tonumber(ARGV[1])
local from, size, ended = held(KEYS[1])
if offset <= from or offset >= size and ended == 0 then
  return {from, size, ended}
end
redis.call('XTRIM', KEYS[1], 'MINID', '=', math.min(offset, size) .. '-1')
from, size, ended = held(KEYS[1])
if from == size then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {from, size, ended}
