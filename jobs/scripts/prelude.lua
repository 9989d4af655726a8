-- Shared by all scripts. KEYS[1] is the prefix of every key; ids of jobs travel in ARGV. Times are
-- this server's, in seconds since 1970; what clients pass are durations.
local p = KEYS[1]
local id, key  -- of the job that moves
local published = {}
local created, line_before  -- jobs that were made by this call, and whether others waited before
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000

local function stamp(x) return string.format('%.6f', x) end
local function select_job(job_id)
  id, key = job_id, p .. 'job:' .. job_id
end
local function get(name) return redis.call('HGET', key, name) end

-- What happened, for those who follow the job.
local function publish(notice) published[#published + 1] = notice end
local function record_event(...)
  redis.call('XADD', p .. 'events:' .. id, 'MAXLEN', 64, '*', ...)
end
local function announce(...)
  record_event(...)
  publish(id)
end
local function send_published()
  if #published > 0 then redis.call('PUBLISH', p .. 'changed', table.concat(published, '\n')) end
end

-- Who waits. An owner's jobs wait in a set of their own, by the time of their creation. `turns` holds
-- each owner with waiting jobs once, by the pictures that it was charged so far; whoever joins is
-- charged what the others are, so that nobody saves up turns.
local PRIORITIES = {'high', 'normal', 'low'}
local function waiting_key(group, priority, owner)
  return p .. 'waiting:' .. group .. ':' .. priority .. ':' .. owner
end
local function turns_key(group, priority) return p .. 'turns:' .. group .. ':' .. priority end
local function placement()
  local f = redis.call('HMGET', key, 'group', 'priority', 'owner', 'pictures')
  return f[1] or 'default', f[2] or 'normal', f[3] or '', tonumber(f[4] or '1')
end
local function at_cap(owner)
  if owner == '' then return false end
  local cap = redis.call('HGET', p .. 'max_running', owner)
  return cap and redis.call('SCARD', p .. 'running:' .. owner) >= tonumber(cap)
end
local function join_turns(group, priority, owner)
  if at_cap(owner) then return end
  local charged = redis.call('HGET', p .. 'charged', group .. ':' .. priority) or '0'
  redis.call('ZADD', turns_key(group, priority), 'NX', charged, owner)
end
local function join_line(score)
  local group, priority, owner = placement()
  redis.call('ZADD', waiting_key(group, priority, owner), score, id)
  redis.call('ZADD', p .. 'queued', score, id)
  local deadline = get('deadline')
  if deadline then redis.call('ZADD', p .. 'deadlines', deadline, id) end
  join_turns(group, priority, owner)
end
local function leave_line()
  local group, priority, owner = placement()
  local line = waiting_key(group, priority, owner)
  redis.call('ZREM', p .. 'queued', id)
  redis.call('ZREM', p .. 'deadlines', id)
  redis.call('ZREM', p .. 'delayed', id)
  if redis.call('ZREM', line, id) == 1 and redis.call('EXISTS', line) == 0 then
    redis.call('ZREM', turns_key(group, priority), owner)
  end
end

-- Who holds what. A job with a lease is in `leased`; one that died with a worker in `suspects`.
local function take_lease(token, seconds)
  local owner = get('owner') or ''
  local lease = stamp(now + tonumber(seconds))
  redis.call('HSET', key, 'token', token, 'lease', lease)
  redis.call('HINCRBY', key, 'claims', 1)
  redis.call('ZADD', p .. 'leased', lease, id)
  if owner ~= '' then redis.call('SADD', p .. 'running:' .. owner, id) end
end
local function drop_lease()
  redis.call('HDEL', key, 'token', 'lease', 'begun')
  redis.call('ZREM', p .. 'leased', id)
  local owner = get('owner') or ''
  if owner == '' or redis.call('SREM', p .. 'running:' .. owner, id) == 0 then return end
  if not redis.call('HGET', p .. 'max_running', owner) then return end
  for _, group in ipairs(redis.call('SMEMBERS', p .. 'groups')) do
    for _, priority in ipairs(PRIORITIES) do
      if redis.call('EXISTS', waiting_key(group, priority, owner)) == 1 then
        join_turns(group, priority, owner)
      end
    end
  end
end
local function holds(token) return get('token') == token end
local function lease_dead() return tonumber(get('lease') or '0') < now end

local function finish_job(status, erase)
  if get('status') == 'queued' then leave_line() end
  redis.call('HSET', key, 'status', status, 'finished_at', stamp(now))
  drop_lease()
  redis.call('ZREM', p .. 'suspects', id)
  redis.call('SREM', p .. 'active:' .. (get('owner') or ''), id)
  redis.call('ZADD', p .. 'final', (erase == '1') and '0' or stamp(now), id)
  if erase ~= '1' and redis.call('HEXISTS', key, 'webhook') == 1 then
    redis.call('HSET', key, 'webhook_state', 'pending', 'webhook_event', status)
    redis.call('ZADD', p .. 'webhooks', stamp(now), id)
  end
  record_event('status', status)
  publish(id .. ' ' .. status)
end

local function anybody_waits(groups)
  for _, group in ipairs(groups) do
    for _, priority in ipairs(PRIORITIES) do
      if redis.call('EXISTS', turns_key(group, priority)) == 1 then return true end
    end
  end
  return false
end

-- How many wake-ups to send for so many jobs: no more than there are workers and not on their way.
local function missing_wakeups(jobs)
  local workers = redis.call('ZCOUNT', p .. 'alive', stamp(now), '+inf')
  return math.max(math.min(jobs, workers) - redis.call('LLEN', p .. 'celery:wakeups'), 0)
end
