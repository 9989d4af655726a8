-- Shared by all scripts. KEYS[1] is the prefix of every key; ids of jobs travel in ARGV. Times are
-- this server's, in seconds since 1970; what clients pass are durations.
local p = KEYS[1]
local id, key  -- of the job that moves
local published = {}
local created, line_before  -- jobs that were made by this call, and whether others waited before
local last_group  -- of those
local any_worker = false  -- whether any worker may be the only one that claims from a job's group
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
  local f = redis.call('HMGET', key, 'group', 'priority', 'owner', 'deadline')
  return f[1] or 'default', f[2] or 'normal', f[3] or '', f[4]
end
-- How many jobs of the owner may run; false for any number. Only then they are counted.
local function cap_of(owner)
  return owner ~= '' and tonumber(redis.call('HGET', p .. 'max_running', owner) or nil) or false
end
local function reached(cap, owner)
  return cap and redis.call('SCARD', p .. 'running:' .. owner) >= cap
end
local function join_turns(group, priority, owner)
  if reached(cap_of(owner), owner) then return end
  local charged = redis.call('HGET', p .. 'charged', group .. ':' .. priority) or '0'
  redis.call('ZADD', turns_key(group, priority), 'NX', charged, owner)
end
-- An owner may have less running, or more: whichever of its lines left their turns come back.
local function join_all_turns(owner)
  for _, group in ipairs(redis.call('SMEMBERS', p .. 'groups')) do
    for _, priority in ipairs(PRIORITIES) do
      if redis.call('EXISTS', waiting_key(group, priority, owner)) == 1 then
        join_turns(group, priority, owner)
      end
    end
  end
end
local function join_line(score, group, priority, owner, deadline)
  redis.call('ZADD', waiting_key(group, priority, owner), score, id)
  redis.call('ZADD', p .. 'queued', score, id)
  if deadline then redis.call('ZADD', p .. 'deadlines', deadline, id) end
  join_turns(group, priority, owner)
end
-- A job that was begun in time and is put back waits anew: it has as long as at first.
local function renew_deadline()
  local f = redis.call('HMGET', key, 'deadline', 'start_within', 'created_at')
  if not f[1] then return end
  local seconds = f[2] or stamp(f[1] - f[3])
  redis.call('HSET', key, 'start_within', seconds, 'deadline', stamp(now + seconds))
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

-- Bundles that workers serve which serve no others have a group of their own, so that nobody looks
-- through jobs that it can't do. A job's record names its group from the moment on that there is one.
local function choose_group()
  if redis.call('EXISTS', p .. 'placed') == 0 then return end
  local bundle = not get('group') and cjson.decode(get('request') or '{}').bundle
  if bundle and redis.call('SISMEMBER', p .. 'placed', bundle) == 1 then
    leave_line()
    redis.call('HSET', key, 'group', 'bundle/' .. bundle)
  end
  any_worker = true
end

-- Who holds what. A job with a lease is in `leased`; one that died with a worker in `suspects`.
local function drop_lease(owner)
  redis.call('HDEL', key, 'token', 'lease', 'begun')
  redis.call('ZREM', p .. 'leased', id)
  if cap_of(owner) and redis.call('SREM', p .. 'running:' .. owner, id) == 1 then
    join_all_turns(owner)
  end
end
local function holds(token) return get('token') == token end
-- The first that is due and of one of these groups. There are few, so a search costs little.
local function first_suspect(groups)
  local mine, start, due = {}, 0, nil
  for _, group in ipairs(groups) do mine[group] = true end
  repeat
    due = redis.call('ZRANGEBYSCORE', p .. 'suspects', '-inf', stamp(now), 'LIMIT', start, 100)
    for _, job_id in ipairs(due) do
      if mine[redis.call('HGET', p .. 'job:' .. job_id, 'group') or 'default'] then return job_id end
    end
    start = start + 100
  until #due < 100
end
local function lease_dead() return tonumber(get('lease') or '0') < now end

-- Bytes of an owner's pictures, where they are limited.
local function count_stored(owner, change)
  if change ~= 0 and redis.call('HINCRBY', p .. 'stored', owner, change) <= 0 then
    redis.call('HDEL', p .. 'stored', owner)
  end
end

-- Batches: a record beside those of jobs, the events and the members of one. It expires some time
-- after its last unfinished job has ended.
local function batch_keys(batch)
  return {p .. 'job:' .. batch, p .. 'events:' .. batch, p .. 'members:' .. batch}
end
local function record_batch_event(batch, ...)
  redis.call('XADD', p .. 'events:' .. batch, '*', ...)
  publish(batch)
end
-- A batch without unfinished jobs has ended if it is closed.
local function end_batch(batch)
  local record = p .. 'job:' .. batch
  local f = redis.call('HMGET', record, 'unfinished', 'owner', 'lifetime', 'closed_at', 'webhook')
  if f[1] ~= '0' then return end
  if f[4] and redis.call('HSETNX', record, 'finished_at', stamp(now)) == 1 then
    record_batch_event(batch, 'status', 'ended')
    if f[5] then
      redis.call('HSET', record, 'webhook_state', 'pending', 'webhook_event', 'ended')
      redis.call('ZADD', p .. 'webhooks', stamp(now), batch)
    end
  end
  for _, name in ipairs(batch_keys(batch)) do redis.call('EXPIRE', name, f[3]) end
  redis.call('ZADD', p .. 'batches:' .. f[2], stamp(now + tonumber(f[3])), batch)
end
-- A job of it has ended; that is counted once.
local function leave_batch(batch, status)
  local record = p .. 'job:' .. batch
  if redis.call('HSETNX', key, 'counted', '1') == 0 then return end
  if redis.call('EXISTS', record) == 0 then return end  -- it was erased
  redis.call('HINCRBY', record, status, 1)
  redis.call('HINCRBY', record, 'unfinished', -1)
  record_batch_event(batch, 'job', id, 'status', status)
  end_batch(batch)
end

-- The job's end; more fields of its record may be given. `f`: what `ending_fields` found; `stored`:
-- bytes of its results. What was uploaded for it is erased soon.
local function ending_fields()
  return redis.call('HMGET', key, 'status', 'owner', 'token', 'erase', 'webhook', 'inputs', 'stored',
    'batch')
end
local function finish_job(status, f, stored, ...)
  local owner, erase, webhook = f[2] or '', f[4], f[5]
  if f[1] == 'queued' then leave_line() end
  redis.call('HSET', key, 'status', status, 'finished_at', stamp(now), ...)
  if f[6] then redis.call('ZADD', p .. 'inputs', stamp(now), id) end
  if f[7] then
    redis.call('HSET', key, 'stored', stored)
    count_stored(owner, stored - f[7])
  end
  drop_lease(owner)
  if not f[3] then redis.call('ZREM', p .. 'suspects', id) end
  redis.call('SREM', p .. 'active:' .. owner, id)
  redis.call('ZADD', p .. 'final', (erase == '1') and '0' or stamp(now), id)
  if erase ~= '1' and webhook then
    redis.call('HSET', key, 'webhook_state', 'pending', 'webhook_event', status)
    redis.call('ZADD', p .. 'webhooks', stamp(now), id)
  end
  record_event('status', status)
  publish(id .. ' ' .. status)
  if f[8] then leave_batch(f[8], status) end
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
-- One that is busy is woken, too: it looks by itself when some of its jobs are over, and that would
-- leave its networks without work until the next batch has been claimed and prepared.
local function missing_wakeups(jobs)
  local workers = redis.call('ZCOUNT', p .. 'alive', stamp(now), '+inf')
  return math.max(math.min(jobs, workers) - redis.call('LLEN', p .. 'celery:wakeups'), 0)
end
