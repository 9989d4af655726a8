-- A worker is alive for so many seconds more; those that are not are forgotten. Answers whether it is
-- drained: it is to claim nothing.
-- ARGV: name, what it says of itself, seconds
for _, name in ipairs(redis.call('ZRANGEBYSCORE', p .. 'alive', '-inf', stamp(now))) do
  redis.call('HDEL', p .. 'workers', name)
  redis.call('SREM', p .. 'drained', name)
end
redis.call('ZREMRANGEBYSCORE', p .. 'alive', '-inf', stamp(now))
redis.call('HSET', p .. 'workers', ARGV[1], ARGV[2])
redis.call('ZADD', p .. 'alive', stamp(now + tonumber(ARGV[3])), ARGV[1])
return redis.call('SISMEMBER', p .. 'drained', ARGV[1])
