-- Creates a batch; answers how many its owner has if that is all.
-- ARGV: owner, most batches of it, most jobs of this one, seconds that it is kept, webhook
local function move(ARGV)
  local batches = p .. 'batches:' .. ARGV[1]
  redis.call('ZREMRANGEBYSCORE', batches, '-inf', stamp(now))
  local count = redis.call('ZCARD', batches)
  if count >= tonumber(ARGV[2]) then return count end
  redis.call('HSET', key, 'id', id, 'owner', ARGV[1], 'created_at', stamp(now), 'most_jobs', ARGV[3],
    'lifetime', ARGV[4], 'total', '0', 'unfinished', '0')
  if ARGV[5] ~= '' then redis.call('HSET', key, 'webhook', ARGV[5], 'webhook_state', 'waiting') end
  record_batch_event(id, 'status', 'open')
  end_batch(id)
  return false
end
