-- read collects what lies at an offset.
--
-- KEYS[1]  stream  the log
--
-- ARGV[1]  offset
-- ARGV[2]  how many bytes at most
--
-- Returns {data, 1 when nothing follows, id of the log's last entry when there is no data}.
local offset, max = tonumber(ARGV[1]), tonumber(ARGV[2])
local parts, size, ended = {}, 0, 0
local from = '(' .. ARGV[1] .. '-0'
repeat
  local entries = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 16)
  for _, entry in ipairs(entries) do
    local id, fields = entry[1], entry[2]
    if fields[2] ~= '1' then
      return redis.error_reply('FORM the log is in form ' .. fields[2] .. ' and this Millrace reads 1: run the newer Millrace that wrote it')
    end
    from = '(' .. id
    if fields[3] == 'end' then
      ended = 1
    else
      -- Of the first entry a part may lie before the offset.
      local skip = math.max(offset - (tonumber(string.match(id, '^%d+')) - #fields[4]), 0)
      parts[#parts + 1] = string.sub(fields[4], skip + 1)
      size = size + #fields[4] - skip
      if size >= max then
        return {string.sub(table.concat(parts), 1, max), 0, ''}
      end
    end
  end
until #entries < 16
if size > 0 then
  return {table.concat(parts), ended, ''}
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id = last and last[1] or '0-0'
-- Who reads beyond the end is told that it is the end, too.
return {'', string.sub(id, -2) == '-1' and 1 or 0, id}
