-- A batch takes no more jobs. ARGV: perhaps a field that it is to forget, the webhook
local function move(ARGV)
  if redis.call('EXISTS', key) == 0 then return 0 end
  if ARGV[1] then redis.call('HDEL', key, ARGV[1]) end
  if redis.call('HSETNX', key, 'closed_at', stamp(now)) == 1 then
    record_batch_event(id, 'status', 'closed')
    end_batch(id)
  end
  return 1
end
