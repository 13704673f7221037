-- ask notes a request that is open, or that it is no longer.
--
-- KEYS[1]  hash  a repository's open requests, by the branch that they would merge
--
-- ARGV[1]  branch
-- ARGV[2]  number of the request
-- ARGV[3]  request, as JSON, or '' when it is no longer open
-- ARGV[4]  how many branches there may be
-- ARGV[5]  how many requests of a branch
-- ARGV[6]  how long they are kept, in milliseconds
--
-- Returns nothing; an error when a newer Millrace wrote what is there.
local form = '1 '
local known = redis.call('HGET', KEYS[1], ARGV[1])
local open = {}
if known then
  if string.sub(known, 1, #form) ~= form then
    return redis.error_reply('ERR requests of a newer form')
  end
  for _, r in ipairs(cjson.decode(string.sub(known, #form + 1))) do
    if r.number ~= tonumber(ARGV[2]) then
      open[#open + 1] = r
    end
  end
elseif redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  return
end
if ARGV[3] ~= '' and #open < tonumber(ARGV[5]) then
  open[#open + 1] = cjson.decode(ARGV[3])
end
if #open == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], form .. cjson.encode(open))
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
