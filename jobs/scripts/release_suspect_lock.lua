-- Lets another worker run suspects. ARGV: worker
local turn = p .. 'suspect:turn'
if redis.call('GET', turn) == ARGV[1] then redis.call('DEL', turn) end
return 1
