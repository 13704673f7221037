-- end marks that nothing more comes.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  how long the log is kept from now on, in milliseconds
--
-- Returns 1, or 0 when the log had ended.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local have, ended = '0', '0'
if last then
  have, ended = string.match(last[1], '^(%d+)-(%d)')
end
if ended ~= '1' then
  redis.call('XADD', KEYS[1], have .. '-1', 'v', '1', 'end', '1')
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return ended == '1' and 0 or 1
