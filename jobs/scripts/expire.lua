-- final → expired: a tombstone stays. It remembers an undelivered webhook, if the job was not erased
-- by its client. ARGV: seconds that the tombstone stays
local function move(ARGV)
  local status = get('status')
  if not status or status == 'queued' or status == 'running' then return 0 end
  local kept = {}
  local function keep(...)
    for _, name in ipairs({...}) do
      local value = get(name)
      if value then kept[#kept + 1] = name; kept[#kept + 1] = value end
    end
  end
  local owner = get('owner') or ''
  keep('id', 'task', 'created_at', 'owner')
  if get('erase') == '1' then
    redis.call('ZREM', p .. 'webhooks', id)
  elseif redis.call('ZSCORE', p .. 'webhooks', id) then
    keep('finished_at', 'webhook', 'webhook_state', 'webhook_event', 'webhook_attempts',
      'webhook_detail')
  end
  redis.call('DEL', key, p .. 'events:' .. id)
  redis.call('HSET', key, 'status', 'expired', unpack(kept))
  redis.call('EXPIRE', key, ARGV[1])
  redis.call('ZREM', p .. 'jobs', id)
  redis.call('ZREM', p .. 'jobs:' .. owner, id)
  redis.call('ZREM', p .. 'final', id)
  redis.call('INCR', p .. 'erasures') -- since the log was written anew
  publish(id)
  return 1
end
