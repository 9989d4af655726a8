-- – → queued. Answers the time of creation, -1 when the job exists or its idempotency key has been
-- used, and a quota of its owner that is used up, with how much of it is.
-- ARGV: owner, most unfinished jobs of it, most running ones, most records, most bytes of its
-- pictures, bytes that this job may come to, seconds until the deadline, idempotency key, its
-- fingerprint, its lifetime in milliseconds, batch, fields of the record
local function over_quota(ARGV)
  local owner = ARGV[1]
  if owner == '' then return nil end  -- everybody's
  local function over(name, most, used, more)
    if most ~= '' and used + more > tonumber(most) then return name .. ' ' .. used end
  end
  return over('unfinished', ARGV[2], redis.call('SCARD', p .. 'active:' .. owner), 1)
    or over('records', ARGV[4], redis.call('ZCARD', p .. 'jobs:' .. owner), 1)
    or over('stored', ARGV[5], tonumber(redis.call('HGET', p .. 'stored', owner) or 0),
      tonumber(ARGV[6]))
end

local function batch_refusal(batch, owner)
  local f = redis.call('HMGET', p .. 'job:' .. batch, 'owner', 'most_jobs', 'total', 'closed_at')
  if f[1] ~= owner or not f[2] or f[4] or tonumber(f[3]) >= tonumber(f[2]) then
    return 'batch ' .. (f[3] or 0)
  end
end
local function join_batch(batch, owner, at)
  redis.call('ZADD', p .. 'members:' .. batch, at, id)
  redis.call('HINCRBY', p .. 'job:' .. batch, 'total', 1)
  if redis.call('HINCRBY', p .. 'job:' .. batch, 'unfinished', 1) > 1 then return end
  for _, name in ipairs(batch_keys(batch)) do redis.call('PERSIST', name) end
  redis.call('ZADD', p .. 'batches:' .. owner, '+inf', batch)
end

local function move(ARGV)
  created = created or 0
  local owner, once, batch = ARGV[1], ARGV[8], ARGV[11]
  if redis.call('EXISTS', key) == 1 then return '-1' end
  if once ~= '' and redis.call('EXISTS', p .. 'once:' .. once) == 1 then return '-1' end
  local refusal = over_quota(ARGV) or (batch ~= '' and batch_refusal(batch, owner))
  if refusal then return refusal end
  -- Jobs of one call have times in the order in which they came.
  local at = stamp(now + created / 1000000)
  local fields = {unpack(ARGV, 12)}
  local function add(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
  if once ~= '' then
    redis.call('SET', p .. 'once:' .. once, id .. ' ' .. ARGV[9], 'PX', ARGV[10])
    add('once', once)
  end
  if ARGV[7] ~= '' then add('deadline', stamp(now + tonumber(ARGV[7]))) end
  if ARGV[5] ~= '' then
    add('stored', ARGV[6])
    count_stored(owner, tonumber(ARGV[6]))
  end
  redis.call('HSET', key, 'created_at', at, unpack(fields))
  if ARGV[3] ~= (redis.call('HGET', p .. 'max_running', owner) or '') then
    if ARGV[3] ~= '' then
      redis.call('HSET', p .. 'max_running', owner, ARGV[3])
    else
      redis.call('HDEL', p .. 'max_running', owner)
      redis.call('DEL', p .. 'running:' .. owner)
    end
    join_all_turns(owner)
  end
  choose_group()
  local group, priority, _, deadline = placement()
  if created == 0 then line_before = anybody_waits({group}) end
  if group ~= last_group then redis.call('SADD', p .. 'groups', group) end
  last_group = group
  redis.call('ZADD', p .. 'jobs', at, id)
  redis.call('ZADD', p .. 'jobs:' .. owner, at, id)
  redis.call('SADD', p .. 'active:' .. owner, id)
  join_line(at, group, priority, owner, deadline)
  record_event('status', 'queued')
  if batch ~= '' then join_batch(batch, owner, at) end
  created = created + 1
  return at
end
