-- – → queued. Answers the time of creation, -1 when the job exists or its idempotency key has been
-- used, and how many unfinished jobs its owner has when these are too many.
-- ARGV: owner, most unfinished jobs of it, most running ones, seconds until the deadline,
-- idempotency key, its fingerprint, its lifetime in milliseconds, fields of the record
local function move(ARGV)
  created = created or 0
  local owner, active = ARGV[1], p .. 'active:' .. ARGV[1]
  if redis.call('EXISTS', key) == 1 then return '-1' end
  if ARGV[5] ~= '' and redis.call('EXISTS', p .. 'once:' .. ARGV[5]) == 1 then return '-1' end
  if ARGV[2] ~= '' then
    local unfinished = redis.call('SCARD', active)
    if unfinished >= tonumber(ARGV[2]) then return 'full ' .. unfinished end
  end
  if ARGV[5] ~= '' then
    redis.call('SET', p .. 'once:' .. ARGV[5], id .. ' ' .. ARGV[6], 'PX', ARGV[7])
  end
  -- Jobs of one call have times in the order in which they came.
  local at = stamp(now + created / 1000000)
  local fields = {unpack(ARGV, 8)}
  if ARGV[4] ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'deadline', stamp(now + tonumber(ARGV[4]))
  end
  redis.call('HSET', key, 'created_at', at, unpack(fields))
  if ARGV[3] ~= '' then
    redis.call('HSET', p .. 'max_running', owner, ARGV[3])
  elseif owner ~= '' and redis.call('HDEL', p .. 'max_running', owner) == 1 then
    redis.call('DEL', p .. 'running:' .. owner)
  end
  local group, priority, _, deadline = placement()
  if created == 0 then line_before = anybody_waits({group}) end
  if group ~= last_group then redis.call('SADD', p .. 'groups', group) end
  last_group = group
  redis.call('ZADD', p .. 'jobs', at, id)
  redis.call('ZADD', p .. 'jobs:' .. owner, at, id)
  redis.call('SADD', active, id)
  join_line(at, group, priority, owner, deadline)
  record_event('status', 'queued')
  created = created + 1
  return at
end
