-- queued → running, or once more running: an attempt, by the holder of the lease. Asked twice, it is
-- one attempt. Answers how many there were, and the time. ARGV: token
local function move(ARGV)
  local f = redis.call('HMGET', key, 'token', 'begun', 'attempts', 'started_at')
  if f[1] ~= ARGV[1] then return false end
  if f[2] == ARGV[1] then return {f[3], f[4]} end
  local attempts, started = tostring((f[3] or 0) + 1), stamp(now)
  redis.call('HSET', key, 'status', 'running', 'started_at', started, 'done', '0', 'begun',
    ARGV[1], 'attempts', attempts)
  announce('status', 'running')
  return {attempts, started}
end
