-- due lists repositories that are to be looked at.
--
-- KEYS[1]  zset  repositories, by when they are due
-- KEYS[2]  hash  repositories, by what they are called in KEYS[1]
-- KEYS[3]  hash  what the last look at each left
--
-- ARGV[1]  by when they are due, in milliseconds
-- ARGV[2]  how many to pass over
-- ARGV[3]  how many at most
--
-- Returns {due, repository, look or '', ...}, those first that are due for longest. What nothing is known of is not due
-- any more: it would be in the way of the others.
local names = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', ARGV[2], ARGV[3], 'WITHSCORES')
local answer = {}
for i = 1, #names, 2 do
  local repo = redis.call('HGET', KEYS[2], names[i])
  if repo then
    answer[#answer + 1] = names[i + 1]
    answer[#answer + 1] = repo
    answer[#answer + 1] = redis.call('HGET', KEYS[3], names[i]) or ''
  else
    redis.call('ZREM', KEYS[1], names[i])
  end
end
return answer
