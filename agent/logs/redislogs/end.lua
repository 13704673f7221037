-- end marks that nothing more comes.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  how long the log is kept from now on, in milliseconds
--
-- Returns 1, or 0 when the log had ended: then it changes nothing.
local _, size, ended = held(KEYS[1])
if ended == 1 then
  return 0
end
redis.call('XADD', KEYS[1], size .. '-1', 'v', '1', 'end', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
