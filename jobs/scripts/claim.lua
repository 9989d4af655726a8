-- Gives jobs that wait to a worker: a lease, not yet an attempt. Owners take turns, charged in
-- pictures; nothing is ever searched. What concerns all jobs of a claim is written once.
-- ARGV: id of this claim, most jobs, most pictures, whether the first job may have more, seconds of
-- the lease, whether the lowest priority goes first, groups
local claim, most_jobs, most_pictures = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local groups = {unpack(ARGV, 7)}
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
  join_line(get('created_at'), placement())
end

local lease, popped, leased = stamp(now + tonumber(ARGV[5])), {}, {}
local caps = redis.call('EXISTS', p .. 'max_running') == 1
local full = false  -- a job that has its turn has more pictures than there is room for

local function room() return not full and #ids < most_jobs and size < most_pictures end

-- Pictures of the owner's next job, which is the worker's from now on; nil when there is none. Where
-- it does not fit, nobody is let past: it goes first when there is room.
local function take(group, priority, owner, capped)
  local first = redis.call('ZPOPMIN', waiting_key(group, priority, owner))
  if #first == 0 then return nil end
  select_job(first[1])
  local record, status, claims, pictures = redis.call('HGETALL', key), nil, 0, 1
  for n = 1, #record, 2 do
    local name, value = record[n], record[n + 1]
    if name == 'status' then status = value
    elseif name == 'claims' then claims = value
    elseif name == 'pictures' then pictures = tonumber(value) end
  end
  if size + pictures > most_pictures and (#ids > 0 or ARGV[4] == '0') then
    redis.call('ZADD', waiting_key(group, priority, owner), first[2], id)
    full = true
    return 0
  end
  popped[#popped + 1] = id
  if status ~= 'queued' then return 0 end
  ids[#ids + 1] = id
  local token = claim .. ':' .. #ids
  redis.call('HSET', key, 'token', token, 'lease', lease, 'claims', claims + 1)
  leased[#leased + 1], leased[#leased + 2] = lease, id
  if capped then redis.call('SADD', p .. 'running:' .. owner, id) end
  record[#record + 1], record[#record + 2] = 'token', token
  records[#records + 1] = record
  return pictures
end

-- Puts an owner behind those that were charged no more.
local function insert(line, entry)
  local place = #line
  while place > 0 and line[place].charged > entry.charged do place = place - 1 end
  table.insert(line, place + 1, entry)
end

-- A round of the owners that were charged least, as many as there may be jobs.
local function round(turns, group, priority)
  local line, moved = {}, {}
  local front = redis.call('ZRANGE', turns, 0, most_jobs - #ids - 1, 'WITHSCORES')
  for n = 1, #front, 2 do
    line[#line + 1] = {owner = front[n], charged = tonumber(front[n + 1])}
  end
  if #line == 0 then return false end
  local last
  while #line > 0 and room() do
    local entry = table.remove(line, 1)
    moved[entry] = true
    entry.cap = entry.cap or caps and cap_of(entry.owner)
    -- At its cap it joins again when one of its jobs ends.
    local pictures = not reached(entry.cap, entry.owner)
      and take(group, priority, entry.owner, entry.cap)
    if pictures then
      if not full then last = entry.charged end
      size, entry.charged = size + pictures, entry.charged + pictures
      insert(line, entry)
    else
      entry.gone = true
    end
  end
  local scores, gone = {}, {}
  for entry in pairs(moved) do
    if entry.gone or redis.call('EXISTS', waiting_key(group, priority, entry.owner)) == 0 then
      gone[#gone + 1] = entry.owner
    else
      scores[#scores + 1], scores[#scores + 2] = entry.charged, entry.owner
    end
  end
  if #scores > 0 then redis.call('ZADD', turns, unpack(scores)) end
  if #gone > 0 then redis.call('ZREM', turns, unpack(gone)) end
  if last then redis.call('HSET', p .. 'charged', group .. ':' .. priority, last) end
  return true
end

for place = 1, #PRIORITIES do
  local priority = PRIORITIES[ARGV[6] == '1' and #PRIORITIES + 1 - place or place]
  for _, group in ipairs(groups) do
    local turns, more = turns_key(group, priority), true
    while more and room() do
      more = round(turns, group, priority)
    end
  end
end
if #popped > 0 then
  redis.call('ZREM', p .. 'queued', unpack(popped))
  redis.call('ZREM', p .. 'deadlines', unpack(popped))
end
if #ids > 0 then
  redis.call('ZADD', p .. 'leased', unpack(leased))
  redis.call('SET', remembered, table.concat(ids, ' '), 'PX', 60000)
end
return answer()
