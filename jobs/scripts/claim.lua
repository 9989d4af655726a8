-- Gives jobs that wait to a worker: a lease, not yet an attempt. Owners take turns, charged in
-- pictures; nothing is ever searched.
-- ARGV: id of this claim, most jobs, most pictures (the last job may go beyond), seconds of the
-- lease, whether the lowest priority goes first, groups
local claim, most_jobs, most_pictures = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local groups = {unpack(ARGV, 6)}
local remembered = p .. 'claim:' .. claim
local records, ids, size = {}, {}, 0

local function answer()
  local left = anybody_waits(groups)
  local suspects = redis.call('ZCOUNT', p .. 'suspects', '-inf', stamp(now))
  return {records, left and 1 or 0, left and missing_wakeups(1) or 0, suspects}
end

-- An answer that got lost is given again.
local before = redis.call('GET', remembered)
if before then
  local number = 0
  for job_id in string.gmatch(before, '%S+') do
    number = number + 1
    select_job(job_id)
    if holds(claim .. ':' .. number) then records[#records + 1] = redis.call('HGETALL', key) end
  end
  return answer()
end

for _, job_id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'delayed', '-inf', stamp(now), 'LIMIT', 0,
32)) do
  select_job(job_id)
  redis.call('ZREM', p .. 'delayed', id)
  join_line(get('created_at'))
end

local function take(group, priority, owner)
  local first = redis.call('ZPOPMIN', waiting_key(group, priority, owner))
  if #first == 0 then return 0 end
  select_job(first[1])
  redis.call('ZREM', p .. 'queued', id)
  redis.call('ZREM', p .. 'deadlines', id)
  if get('status') ~= 'queued' then return 0 end
  ids[#ids + 1] = id
  take_lease(claim .. ':' .. #ids, ARGV[4])
  records[#records + 1] = redis.call('HGETALL', key)
  return tonumber(get('pictures') or '1')
end

local function take_from(group, priority)
  local turns, charged = turns_key(group, priority), nil
  while #ids < most_jobs and size < most_pictures do
    local front = redis.call('ZPOPMIN', turns)
    if #front == 0 then break end
    local owner = front[1]
    charged = front[2]
    if not at_cap(owner) then  -- else it joins again when one of its jobs ends
      local pictures = take(group, priority, owner)
      size = size + pictures
      if redis.call('EXISTS', waiting_key(group, priority, owner)) == 1 then
        redis.call('ZADD', turns, tonumber(charged) + pictures, owner)
      end
    end
  end
  if charged then redis.call('HSET', p .. 'charged', group .. ':' .. priority, charged) end
end

for place = 1, #PRIORITIES do
  local number = ARGV[5] == '1' and #PRIORITIES + 1 - place or place
  for _, group in ipairs(groups) do take_from(group, PRIORITIES[number]) end
end
if #ids > 0 then redis.call('SET', remembered, table.concat(ids, ' '), 'PX', 60000) end
return answer()
