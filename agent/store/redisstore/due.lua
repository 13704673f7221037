-- due lists repositories that are to be looked at.
--
-- KEYS[1]  zset  repositories, by when they are due
-- KEYS[2]  hash  repositories, by what they are called in KEYS[1]
-- KEYS[3]  hash  what the last look at each left
--
-- ARGV[1]  by when they are due, in milliseconds
-- ARGV[2]  how many at most
--
-- Returns {due, repository, look or '', ...}, those first that are due for longest.
local names = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
local answer = {}
for i = 1, #names, 2 do
  answer[#answer + 1] = names[i + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[2], names[i]) or ''
  answer[#answer + 1] = redis.call('HGET', KEYS[3], names[i]) or ''
end
return answer
