-- Begins a delivery: its attempts + 1. ARGV: seconds for which nobody else gets it
local function move(ARGV)
  local due = redis.call('ZSCORE', p .. 'webhooks', id)
  if not due or tonumber(due) > now then return false end
  if redis.call('HEXISTS', key, 'webhook') == 0 then
    redis.call('ZREM', p .. 'webhooks', id)
    return false
  end
  redis.call('ZADD', p .. 'webhooks', stamp(now + tonumber(ARGV[1])), id)
  redis.call('HINCRBY', key, 'webhook_attempts', 1)
  return redis.call('HGETALL', key)
end
