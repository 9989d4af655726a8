-- Makes the worker the one that runs suspects, or keeps it so. Answers whether it is.
-- ARGV: worker, seconds
local turn = p .. 'suspect:turn'
local holder = redis.call('GET', turn)
if holder and holder ~= ARGV[1] then return 0 end
if not holder and redis.call('ZCOUNT', p .. 'suspects', '-inf', stamp(now)) == 0 then return 0 end
redis.call('SET', turn, ARGV[1], 'PX', math.floor(tonumber(ARGV[2]) * 1000))
return 1
