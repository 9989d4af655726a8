-- queued → running, or once more running: an attempt, by the holder of the lease. Asked twice, it is
-- one attempt. Answers how many there were, and the time. ARGV: token
local function move(ARGV)
  if not holds(ARGV[1]) then return false end
  if get('begun') ~= ARGV[1] then
    redis.call('HINCRBY', key, 'attempts', 1)
    redis.call('HSET', key, 'status', 'running', 'started_at', stamp(now), 'done', '0', 'begun',
      ARGV[1])
    announce('status', 'running')
  end
  return {get('attempts'), get('started_at')}
end
