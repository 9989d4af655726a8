-- Forgets a batch, not its jobs.
local function move(_)
  redis.call('ZREM', p .. 'batches:' .. (get('owner') or ''), id)
  redis.call('DEL', unpack(batch_keys(id)))
  publish(id)
  return 1
end
