-- The first members of a set that are due. ARGV: set, seconds ago, most
return redis.call('ZRANGEBYSCORE', p .. ARGV[1], '-inf', stamp(now - tonumber(ARGV[2])), 'LIMIT', 0,
  ARGV[3])
