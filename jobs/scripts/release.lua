-- Gives the lease back without an outcome; the attempt does not count. A job without another attempt
-- goes to the head of its owner's line, one with any is a suspect.
-- ARGV: token, seconds before which nobody is to have it, and the field that counts such releases
local function move(ARGV)
  if not holds(ARGV[1]) then return 0 end
  if get('begun') == ARGV[1] then redis.call('HINCRBY', key, 'attempts', -1) end
  drop_lease(get('owner') or '')
  local delay = tonumber(ARGV[2])
  if delay > 0 then redis.call('HINCRBY', key, ARGV[3], 1) end
  if get('cancel_requested') == '1' then
    finish_job('canceled', ending_fields(), 0)
    return 1
  end
  if tonumber(get('attempts') or '0') > 0 then
    redis.call('ZADD', p .. 'suspects', stamp(now + delay), id)
    return 1
  end
  local was_running = get('status') == 'running'
  if was_running then renew_deadline() end
  redis.call('HSET', key, 'status', 'queued', 'done', '0')
  redis.call('HDEL', key, 'started_at')
  if delay > 0 then
    redis.call('ZADD', p .. 'delayed', stamp(now + delay), id)
    redis.call('ZADD', p .. 'queued', get('created_at'), id)
    local deadline = get('deadline')
    if deadline then redis.call('ZADD', p .. 'deadlines', deadline, id) end
  else
    join_line(get('created_at'), placement())
  end
  if was_running then announce('status', 'queued') end
  return 1
end
