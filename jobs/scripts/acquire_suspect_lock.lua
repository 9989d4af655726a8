-- Makes the worker the one that runs suspects, or keeps it so. Answers whether it is.
-- ARGV: worker, seconds, groups
local turn = p .. 'suspect:turn'
local holder = redis.call('GET', turn)
if holder and holder ~= ARGV[1] then return 0 end
if not holder and not first_suspect({unpack(ARGV, 3)}) then return 0 end
redis.call('SET', turn, ARGV[1], 'PX', math.floor(tonumber(ARGV[2]) * 1000))
return 1
