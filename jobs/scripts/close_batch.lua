-- A batch takes no more jobs; 0 when there is none. ARGV: whether its webhook is to be forgotten
local function move(ARGV)
  if redis.call('EXISTS', key) == 0 then return 0 end
  if ARGV[1] == '1' then
    redis.call('HDEL', key, 'webhook')
    redis.call('ZREM', p .. 'webhooks', id)
  end
  if redis.call('HSETNX', key, 'closed_at', stamp(now)) == 1 then
    record_batch_event(id, 'status', 'closed')
    end_batch(id)
  end
  return 1
end
