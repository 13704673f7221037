-- read collects what lies at an offset.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  offset
-- ARGV[2]  how many bytes at most
--
-- Returns what held returns, and the data.
local offset, max = tonumber(ARGV[1]), tonumber(ARGV[2])
local from, to, ended = held(KEYS[1])
if offset < from or offset >= to then
  return {from, to, ended, ''}
end
local parts, size = {}, 0
local after = '(' .. ARGV[1] .. '-0'
repeat
  local entries = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 16)
  for _, entry in ipairs(entries) do
    local refused = newer(entry)
    if refused then
      return refused
    end
    after = '(' .. entry[1]
    if entry[2][3] == 'data' then
      -- Of the first entry a part may lie before the offset.
      local data = entry[2][4]
      local skip = math.max(offset - (tonumber(string.match(entry[1], '^%d+')) - #data), 0)
      parts[#parts + 1] = string.sub(data, skip + 1)
      size = size + #data - skip
    end
  end
until size >= max or #entries < 16
return {from, to, ended, string.sub(table.concat(parts), 1, max)}
