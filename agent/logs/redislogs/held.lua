-- held stands in front of the other scripts. It tells which bytes of a log its stream has: an entry's id is
-- `<offset of the byte after it>-0`, and `<size>-1` is that of the mark that ends the log.
--
-- Returns where the first entry begins, where the log ends, and 1 when nothing follows; 0, 0, 0 for no stream.
local function held(key)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not last then
    return 0, 0, 0
  end
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  local from = tonumber(string.match(first[1], '^%d+'))
  if first[2][3] == 'data' then
    from = from - #first[2][4]
  end
  local to, ended = string.match(last[1], '^(%d+)-(%d)')
  return from, tonumber(to), tonumber(ended)
end

-- newer refuses entries of a form that this Millrace does not know.
local function newer(entry)
  if entry[2][2] ~= '1' then
    return redis.error_reply('FORM the log is in form ' .. entry[2][2] .. ' and this Millrace reads 1: run the newer Millrace that wrote it')
  end
end

