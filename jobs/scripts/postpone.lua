-- Members of a set that are due are due again later. ARGV: set, seconds, members
for n = 3, #ARGV do
  redis.call('ZADD', p .. ARGV[1], 'XX', 'GT', stamp(now + tonumber(ARGV[2])), ARGV[n])
end
return 1
