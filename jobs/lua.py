"""The moves of a job as Lua. KEYS[1] is the prefix, the other keys are ids of jobs; ARGV holds for
each of them how many arguments its move has, and these. Times are the server's.

A script is atomic, and each job's move in it stands for itself: the answers are in the order of the
ids, an error in the place of one that failed. What they publish is one message, a line for each.
"""

from __future__ import annotations

from jobs.events import KEPT_EVENTS

_HEAD = """
local p = KEYS[1]
local id, key
local published = {}
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local function stamp(x) return string.format('%.6f', x) end
local function owner() return redis.call('HGET', key, 'owner') or '' end
local function publish(notice) published[#published + 1] = notice end
local function note(...)
  redis.call('XADD', p .. 'events:' .. id, 'MAXLEN', KEPT_EVENTS, '*', ...)
end
local function tell(...)
  note(...)
  publish(id)
end
local function settle(status, erase)
  redis.call('HSET', key, 'status', status, 'finished_at', stamp(now))
  redis.call('HDEL', key, 'token', 'lease')
  redis.call('ZREM', p .. 'unfinished', id)
  redis.call('ZREM', p .. 'queued', id)
  redis.call('SREM', p .. 'active:' .. owner(), id)
  redis.call('ZADD', p .. 'final', (erase == '1') and '0' or stamp(now), id)
  if erase ~= '1' and redis.call('HEXISTS', key, 'webhook') == 1 then
    redis.call('HSET', key, 'webhook_state', 'pending', 'webhook_event', status)
    redis.call('ZADD', p .. 'webhooks', stamp(now), id)
  end
  note('status', status)
  publish(id .. ' ' .. status)
end
local function held(token)
  return redis.call('HGET', key, 'status') == 'running' and redis.call('HGET', key, 'token') ==
  token
end
local function lease_dead()
  return tonumber(redis.call('HGET', key, 'lease') or '0') < now
end
""".replace("KEPT_EVENTS", str(KEPT_EVENTS))

_CREATE = """
if redis.call('EXISTS', key) == 1 then return 0 end
if ARGV[3] ~= '' and not redis.call('SET', p .. 'once:' .. ARGV[3], id .. ' ' .. ARGV[4], 'NX',
'PX', ARGV[5]) then return 0 end
redis.call('HSET', key, unpack(ARGV, 6))
redis.call('ZADD', p .. 'unfinished', stamp(now + tonumber(ARGV[2])), id)
redis.call('ZADD', p .. 'queued', ARGV[1], id)
redis.call('ZADD', p .. 'jobs', ARGV[1], id)
redis.call('ZADD', p .. 'jobs:' .. owner(), ARGV[1], id)
redis.call('SADD', p .. 'active:' .. owner(), id)
note('status', 'queued')
return 1
"""

_START = """
local status = redis.call('HGET', key, 'status')
if not (status == 'queued' or (status == 'running' and lease_dead())) then return false end
if ARGV[3] == '1' and redis.call('HGET', key, 'attempts') ~= '0' then return false end
local lease = now + tonumber(ARGV[2])
redis.call('HINCRBY', key, 'attempts', 1)
redis.call('HSET', key, 'status', 'running', 'token', ARGV[1], 'lease', stamp(lease), 'started_at',
stamp(now), 'done', '0')
redis.call('ZADD', p .. 'unfinished', stamp(lease), id)
redis.call('ZREM', p .. 'queued', id)
local created = redis.call('HGET', key, 'created_at')
local newest = redis.call('GET', p .. 'newest')
if not newest or tonumber(newest) < tonumber(created) then redis.call('SET', p .. 'newest',
created) end
tell('status', 'running')
return redis.call('HGETALL', key)
"""

_RENEW = """
if not held(ARGV[1]) then return 'lost' end
local lease = now + tonumber(ARGV[2])
redis.call('HSET', key, 'lease', stamp(lease))
redis.call('ZADD', p .. 'unfinished', stamp(lease), id)
if redis.call('HGET', key, 'cancel_requested') == '1' then return 'cancel' end
return 'held'
"""

_PROGRESS = """
if not held(ARGV[1]) then return 0 end
redis.call('HSET', key, 'done', ARGV[2])
tell('done', ARGV[2], 'total', ARGV[3])
return 1
"""

# A run that was handed back and ended all the same was an attempt after all.
_FINISH = """
if not held(ARGV[1]) then return 0 end
if redis.call('HGET', key, 'lease') == '0' then redis.call('HINCRBY', key, 'attempts', 1) end
if #ARGV > 2 then redis.call('HSET', key, unpack(ARGV, 3)) end
settle(ARGV[2], redis.call('HGET', key, 'erase'))
return 1
"""

_RELEASE = """
if not held(ARGV[1]) then return 0 end
redis.call('HSET', key, 'lease', '0')
redis.call('HINCRBY', key, 'attempts', -1)
redis.call('ZADD', p .. 'unfinished', stamp(now), id)
return 1
"""

_CANCEL = """
local status = redis.call('HGET', key, 'status')
if not status then return false end
if ARGV[1] == '1' then redis.call('HSET', key, 'erase', '1') end
if status == 'queued' or (status == 'running' and lease_dead()) then
  settle('canceled', redis.call('HGET', key, 'erase'))
  return 'canceled'
end
if status == 'running' then
  if redis.call('HSET', key, 'cancel_requested', '1') == 1 then tell('status', 'cancel_requested')
  end
elseif ARGV[1] == '1' and status ~= 'expired' then
  redis.call('ZADD', p .. 'final', '0', id)
end
return status
"""

_GIVE_UP = """
local status = redis.call('HGET', key, 'status')
local lost = ARGV[1] == 'lost' and status == 'running' and lease_dead()
local late = ARGV[1] == 'expired' and status == 'queued'
if not (lost or late) then return 0 end
redis.call('HSET', key, 'error', ARGV[2])
settle('failed', redis.call('HGET', key, 'erase'))
return 1
"""

_EXPIRE = """
local status = redis.call('HGET', key, 'status')
if not status or status == 'queued' or status == 'running' then return 0 end
local kept = {}
local function keep(...)
  for _, name in ipairs({...}) do
    local value = redis.call('HGET', key, name)
    if value then kept[#kept + 1] = name; kept[#kept + 1] = value end
  end
end
local whose = owner()
keep('id', 'task', 'created_at', 'owner')
if redis.call('HGET', key, 'erase') == '1' then
  redis.call('ZREM', p .. 'webhooks', id)
elseif redis.call('ZSCORE', p .. 'webhooks', id) then
  keep('finished_at', 'webhook', 'webhook_state', 'webhook_event', 'webhook_attempts',
  'webhook_detail')
end
redis.call('DEL', key, p .. 'events:' .. id)
redis.call('HSET', key, 'status', 'expired', unpack(kept))
redis.call('EXPIRE', key, ARGV[1])
redis.call('ZREM', p .. 'jobs', id)
redis.call('ZREM', p .. 'jobs:' .. whose, id)
redis.call('ZREM', p .. 'final', id)
publish(id)
return 1
"""

_CLAIM_WEBHOOK = """
local due = redis.call('ZSCORE', p .. 'webhooks', id)
if not due or tonumber(due) > now then return false end
if redis.call('HEXISTS', key, 'webhook') == 0 then
  redis.call('ZREM', p .. 'webhooks', id)
  return false
end
redis.call('ZADD', p .. 'webhooks', stamp(now + tonumber(ARGV[1])), id)
redis.call('HINCRBY', key, 'webhook_attempts', 1)
return redis.call('HGETALL', key)
"""

_SETTLE_WEBHOOK = """
if not redis.call('ZSCORE', p .. 'webhooks', id) then return 0 end
if redis.call('HGET', key, 'webhook_attempts') ~= ARGV[1] then return 0 end
redis.call('HSET', key, 'webhook_state', ARGV[2], 'webhook_detail', ARGV[3])
if ARGV[2] == 'pending' then
  redis.call('ZADD', p .. 'webhooks', stamp(now + tonumber(ARGV[4])), id)
else
  redis.call('ZREM', p .. 'webhooks', id)
  if redis.call('HGET', key, 'status') == 'expired' then
    redis.call('HDEL', key, 'finished_at', 'webhook', 'webhook_state', 'webhook_event',
    'webhook_attempts', 'webhook_detail')
  end
end
return 1
"""

_EACH = """
local answers, place = {}, 1
for n = 2, #KEYS do
  id, key = KEYS[n], p .. 'job:' .. KEYS[n]
  local count = tonumber(ARGV[place])
  local ok, answer = pcall(move, {unpack(ARGV, place + 1, place + count)})
  if not ok and type(answer) ~= 'table' then answer = {err = tostring(answer)} end
  answers[n - 1] = answer
  place = place + count + 1
end
if #published > 0 then redis.call('PUBLISH', p .. 'changed', table.concat(published, '\\n')) end
return answers
"""

SCRIPTS = {
    name: f"{_HEAD}\nlocal function move(ARGV)\n{text}\nend\n{_EACH}"
    for name, text in {
        "create": _CREATE,
        "start": _START,
        "renew": _RENEW,
        "progress": _PROGRESS,
        "finish": _FINISH,
        "release": _RELEASE,
        "cancel": _CANCEL,
        "give_up": _GIVE_UP,
        "expire": _EXPIRE,
        "claim_webhook": _CLAIM_WEBHOOK,
        "settle_webhook": _SETTLE_WEBHOOK,
    }.items()
}
