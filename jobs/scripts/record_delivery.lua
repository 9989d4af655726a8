-- The result of a delivery, unless another one has begun. ARGV: its number, state, detail, seconds
-- until the next
local function move(ARGV)
  if not redis.call('ZSCORE', p .. 'webhooks', id) then return 0 end
  if get('webhook_attempts') ~= ARGV[1] then return 0 end
  redis.call('HSET', key, 'webhook_state', ARGV[2], 'webhook_detail', ARGV[3])
  if ARGV[2] == 'pending' then
    redis.call('ZADD', p .. 'webhooks', stamp(now + tonumber(ARGV[4])), id)
  else
    redis.call('ZREM', p .. 'webhooks', id)
    if get('status') == 'expired' then
      redis.call('HDEL', key, 'finished_at', 'webhook', 'webhook_state', 'webhook_event',
        'webhook_attempts', 'webhook_detail')
    end
  end
  return 1
end
