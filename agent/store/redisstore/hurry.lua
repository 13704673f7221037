-- hurry makes every repository due at a time at the latest, and makes some known.
--
-- KEYS[1]  zset  repositories, by when they are due
-- KEYS[2]  hash  repositories, by what they are called in KEYS[1]
--
-- ARGV[1]  when they are due, in milliseconds
-- ARGV[2]  how many repositories there may be
-- then name, repository: those that are made known
for i = 3, #ARGV, 2 do
  if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then
    redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[i])
    redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. ARGV[1], '+inf', 'BYSCORE')) do
  redis.call('ZADD', KEYS[1], ARGV[1], name)
end
