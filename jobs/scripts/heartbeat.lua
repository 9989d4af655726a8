-- A worker is alive for so many seconds more; those that are not are forgotten.
-- ARGV: name, what it says of itself, seconds
for _, name in ipairs(redis.call('ZRANGEBYSCORE', p .. 'alive', '-inf', stamp(now))) do
  redis.call('HDEL', p .. 'workers', name)
end
redis.call('ZREMRANGEBYSCORE', p .. 'alive', '-inf', stamp(now))
redis.call('HSET', p .. 'workers', ARGV[1], ARGV[2])
redis.call('ZADD', p .. 'alive', stamp(now + tonumber(ARGV[3])), ARGV[1])
return 1
