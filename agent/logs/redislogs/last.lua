-- last collects the end of a log, back to where its last whole line begins.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  how many bytes are enough
--
-- Returns what held returns, and the end.
local from, to, ended = held(KEYS[1])
local enough = tonumber(ARGV[1])
local tail, size, breaks = {}, 0, 0
local before = '+'
repeat
  local entries = redis.call('XREVRANGE', KEYS[1], before, '-', 'COUNT', 2)
  for _, entry in ipairs(entries) do
    local refused = newer(entry)
    if refused then
      return refused
    end
    before = '(' .. entry[1]
    if entry[2][3] == 'data' then
      table.insert(tail, 1, entry[2][4])
      size = size + #entry[2][4]
      breaks = breaks + select(2, string.gsub(entry[2][4], '\n', ''))
    end
  end
until breaks >= 2 or size >= enough or #entries < 2
return {from, to, ended, table.concat(tail)}
