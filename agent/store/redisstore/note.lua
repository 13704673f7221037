-- note notes what was heard of a ref, and tells of which delivery it is a duplicate.
--
-- KEYS[1]  hash  the repository's refs: the latest sight of each, and what was said of the last deliveries
-- KEYS[2]  zset  repositories, by when they are due
-- KEYS[3]  hash  repositories, by what they are called in KEYS[2]
-- KEYS[4]  hash  the repository's open requests, by the branch that they would merge
--
-- ARGV[1]  what the repository is called there
-- ARGV[2]  repository, or '' when it is known no better than before; then one that is not known is not made known
-- ARGV[3]  when it is due at the latest, in milliseconds
-- ARGV[4]  ref
-- ARGV[5]  sight, as JSON
-- ARGV[6]  how many repositories there may be
-- ARGV[7]  how many refs a repository may have
-- ARGV[8]  how many deliveries of a ref are remembered
-- ARGV[9]  how far apart the deliveries of one push may be, in milliseconds
-- ARGV[10] branch, '' for a tag
--
-- Returns {id of the first delivery, or '' when this is the first; open requests of the branch, or ''}; an error when a
-- newer Millrace wrote the ref.
local form = '1 '
local watched = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not watched and (ARGV[2] == '' or redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6])) then
  return {'', ''}
end
local known = redis.call('HGET', KEYS[1], ARGV[4])
if known and string.sub(known, 1, #form) ~= form then
  return redis.error_reply('ERR ref of a newer form')
end
redis.call('ZADD', KEYS[2], 'LT', ARGV[3], ARGV[1])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
end

local new = cjson.decode(ARGV[5])
if new.after == '' then
  redis.call('HDEL', KEYS[4], ARGV[10])
end
local open = redis.call('HGET', KEYS[4], ARGV[10]) or ''
local found = {} -- what looks found of the ref, and started
local function keep(sight, said, first)
  if new.recovered and new.after ~= '' and first == '' then
    found[#found + 1] = {new.delivery, new.after}
    if #found > tonumber(ARGV[8]) then
      table.remove(found, 1)
    end
  end
  if #found > 0 then
    sight.found = found
  end
  said[#said + 1] = {new.delivery, first}
  if #said > tonumber(ARGV[8]) then
    table.remove(said, 1)
  end
  sight.said = said
  redis.call('HSET', KEYS[1], ARGV[4], form .. cjson.encode(sight))
  return {first, open}
end

if not known then
  if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[7]) then
    keep(new, {}, '')
  end
  return {'', open}
end

local last = cjson.decode(string.sub(known, #form + 1))
local said = last.said or {}
found = last.found or {}
for _, s in ipairs(said) do
  if s[1] == new.delivery then
    return {s[2], open}
  end
end

local function same()
  if last.delivery == '' or last.delivery == new.delivery or last.after ~= new.after then
    return false
  end
  if last.recovered or new.recovered then
    return true
  end
  if last.before ~= new.before then
    return false
  end
  if last.hook ~= '' and new.hook ~= '' then
    return last.hook ~= new.hook
  end
  return math.abs(last.at - new.at) <= tonumber(ARGV[9])
end

local function late()
  if new.before == last.after and (new.before ~= '' or new.at >= last.at) then
    return false
  end
  return new.at < last.at or new.after ~= '' and (new.after == last.before or last.recovered == true)
end

-- aside notes what was told of a ref that was found before: was it a step on the way there, or is it the next one, and
-- one between them is lost? A look that finds the ref where it ended says so. One that the one aside follows came late.
local function aside()
  if last.recovered and new.after ~= '' and new.after ~= last.before and not (last.aside and last.aside[3] == new.after) then
    last.aside = {new.delivery, new.after, new.before}
  end
end

-- before is the delivery of a look that found what is told only now, when the ref has moved on.
local function before()
  if new.recovered or new.after == '' or new.before == last.after then
    return
  end
  for i = #found, 1, -1 do
    if found[i][2] == new.after then
      return found[i][1]
    end
  end
end

if same() then
  if last.aside and last.aside[2] == new.before then
    last.aside = nil -- it was a step
  end
  return keep(last, said, last.delivery)
end
if new.recovered and last.aside and last.aside[2] == new.after then
  return keep(new, said, last.aside[1])
end
local first = before()
if first then
  return keep(last, said, first)
end
if late() then
  aside()
  return keep(last, said, '')
end
if last.aside and not new.recovered and last.aside[2] ~= new.before and last.aside[2] ~= new.after then
  new.aside = last.aside -- it came before the one that it follows
end
return keep(new, said, '')
