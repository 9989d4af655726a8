-- Keeps the lease. ARGV: token, seconds
local function move(ARGV)
  if not holds(ARGV[1]) then return 'lost' end
  local lease = stamp(now + tonumber(ARGV[2]))
  redis.call('HSET', key, 'lease', lease)
  redis.call('ZADD', p .. 'leased', lease, id)
  if get('cancel_requested') == '1' then return 'cancel' end
  return 'held'
end
