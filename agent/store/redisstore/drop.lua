-- drop forgets a repository.
--
-- KEYS[1]  hash  the repository's refs
-- KEYS[2]  zset  repositories, by when they are due
-- KEYS[3]  hash  repositories
-- KEYS[4]  hash  what the last look at each left
-- KEYS[5]  hash  the repository's open requests
--
-- ARGV[1]  what the repository is called in KEYS[2], KEYS[3] and KEYS[4]
redis.call('DEL', KEYS[1], KEYS[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
