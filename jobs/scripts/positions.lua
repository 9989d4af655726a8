-- Estimates how many jobs are claimed before each of those that wait: those before it in its owner's
-- line, as many of each other owner as have turns before it, and those of higher priorities. Of each
-- priority 200 owners are looked at. false for a job that does not wait. ARGV: ids
local lines = {}
local function line_of(group, priority)
  local name = group .. ':' .. priority
  if not lines[name] then
    local found, total = {}, 0
    local turns = redis.call('ZRANGE', turns_key(group, priority), 0, 199, 'WITHSCORES')
    for n = 1, #turns, 2 do
      local count = redis.call('ZCARD', waiting_key(group, priority, turns[n]))
      found[#found + 1] = {owner = turns[n], charged = tonumber(turns[n + 1]), count = count}
      total = total + count
    end
    lines[name] = {owners = found, total = total}
  end
  return lines[name]
end

local function position()
  local group, priority, owner = placement()
  local rank = redis.call('ZRANK', waiting_key(group, priority, owner), id)
  if not rank then return get('status') == 'queued' and 0 or false end
  local mine = tonumber(redis.call('ZSCORE', turns_key(group, priority), owner) or '0')
  local before = rank
  for _, other in ipairs(line_of(group, priority).owners) do
    if other.owner ~= owner then
      local turns = other.charged < mine and rank + 1 or rank
      before = before + math.min(other.count, turns)
    end
  end
  for _, higher in ipairs(PRIORITIES) do
    if higher == priority then break end
    before = before + line_of(group, higher).total
  end
  return before
end

local answers = {}
for n, job_id in ipairs(ARGV) do
  select_job(job_id)
  answers[n] = position()
end
return answers
