-- final → expired: a tombstone stays. It remembers an undelivered webhook, if the job was not erased
-- by its client. Each owner has so many: a further one takes the place of the oldest, and of what its
-- idempotency key remembers, unless that has come to mean a newer job. ARGV: seconds that the
-- tombstone stays, most of one owner
local function forget_oldest(tombstones)
  select_job(redis.call('LPOP', tombstones))
  local once = get('once')
  local made = once and redis.call('GET', p .. 'once:' .. once)
  if made and string.match(made, '%S+') == id then redis.call('DEL', p .. 'once:' .. once) end
  redis.call('DEL', key)
end

local function move(ARGV)
  local status = get('status')
  if status == 'queued' or status == 'running' then return 0 end
  for _, set in ipairs({'final', 'final:claimed', 'inputs', 'inputs:claimed'}) do
    redis.call('ZREM', p .. set, id)
  end
  if not status or status == 'expired' then return 0 end
  local kept = {}
  local function keep(...)
    for _, name in ipairs({...}) do
      local value = get(name)
      if value then kept[#kept + 1] = name; kept[#kept + 1] = value end
    end
  end
  local owner = get('owner') or ''
  keep('id', 'task', 'created_at', 'owner', 'once')
  if get('erase') == '1' then
    redis.call('ZREM', p .. 'webhooks', id)
  elseif redis.call('ZSCORE', p .. 'webhooks', id) then
    keep('finished_at', 'webhook', 'webhook_state', 'webhook_event', 'webhook_attempts',
      'webhook_detail')
  end
  local batch = get('batch')
  if batch then leave_batch(batch, status) end  -- where an earlier version has ended it
  count_stored(owner, -(get('stored') or 0))
  redis.call('DEL', key, p .. 'events:' .. id)
  redis.call('HSET', key, 'status', 'expired', unpack(kept))
  redis.call('EXPIRE', key, ARGV[1])
  redis.call('ZREM', p .. 'jobs', id)
  redis.call('ZREM', p .. 'jobs:' .. owner, id)
  redis.call('INCR', p .. 'erasures') -- since the log was written anew
  publish(id)
  local tombstones = p .. 'tombstones:' .. owner
  local count = redis.call('RPUSH', tombstones, id)
  redis.call('EXPIRE', tombstones, ARGV[1])
  if count > tonumber(ARGV[2]) then forget_oldest(tombstones) end
  return 1
end
