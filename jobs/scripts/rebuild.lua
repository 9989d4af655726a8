-- Puts a job where its record says that it belongs: for records of an earlier version, for sets that
-- got lost, and for jobs of bundles that got a group of their own. Harmless for all others.
local function move(_)
  redis.call('ZREM', p .. 'unfinished', id)  -- of an earlier version
  choose_group()
  local status = get('status')
  local suspect = redis.call('ZSCORE', p .. 'suspects', id)
  if status == 'queued' and not get('token') and not suspect then
    redis.call('SADD', p .. 'groups', (placement()))
    if not redis.call('ZSCORE', p .. 'delayed', id) then
      join_line(get('created_at'), placement())
    end
  elseif status == 'running' or (status == 'queued' and get('token')) then
    if not suspect then
      redis.call('ZADD', p .. 'leased', 'NX', get('lease') or '0', id)
    end
    local attempts = tonumber(get('attempts') or '0')
    if status == 'running' and attempts == 0 then  -- handed back by an earlier version
      redis.call('HSET', key, 'status', 'queued')
      renew_deadline()
      drop_lease(get('owner') or '')
      join_line(get('created_at'), placement())
    end
  else
    redis.call('ZREM', p .. 'queued', id)
  end
  return 1
end
