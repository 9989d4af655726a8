-- A session of an API key, which the server forgets in time; the oldest of too many end.
-- ARGV: hash of the cookie, id of the key, seconds that it lasts, most sessions of a key
local sessions, lifetime = p .. 'session:', tonumber(ARGV[3])
local own = sessions .. 'of:' .. ARGV[2]
redis.call('ZREMRANGEBYSCORE', own, '-inf', now - lifetime)
redis.call('ZADD', own, now, ARGV[1])
redis.call('EXPIRE', own, lifetime)
redis.call('SET', sessions .. ARGV[1], ARGV[2], 'EX', lifetime)
local surplus = redis.call('ZCARD', own) - tonumber(ARGV[4])
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', own, surplus)
  for place = 1, #oldest, 2 do redis.call('DEL', sessions .. oldest[place]) end
end
