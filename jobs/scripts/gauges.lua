-- What operators watch: of each priority, and of all waiting jobs, how many there are and the age of
-- the oldest; then counts, and the server's memory. ARGV: lifetime of results in seconds
local lines = {}
local function add(count, oldest)
  lines[#lines + 1] = count
  lines[#lines + 1] = stamp(oldest and math.max(now - tonumber(oldest), 0) or 0)
end
local groups = redis.call('SMEMBERS', p .. 'groups')
for _, priority in ipairs(PRIORITIES) do
  local count, oldest = 0, nil
  for _, group in ipairs(groups) do
    for _, owner in ipairs(redis.call('ZRANGE', turns_key(group, priority), 0, -1)) do
      local line = waiting_key(group, priority, owner)
      local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')[2]
      count = count + redis.call('ZCARD', line)
      if first and (not oldest or tonumber(first) < tonumber(oldest)) then oldest = first end
    end
  end
  add(count, oldest)
end
add(redis.call('ZCARD', p .. 'queued'), redis.call('ZRANGE', p .. 'queued', 0, 0, 'WITHSCORES')[2])

local memory = redis.call('INFO', 'memory')
local function bytes(name) return tonumber(string.match(memory, name .. ':(%d+)') or '0') end
return {lines, {
  redis.call('ZCARD', p .. 'leased'),
  redis.call('ZCARD', p .. 'suspects'),
  redis.call('ZCARD', p .. 'delayed'),
  redis.call('ZCOUNT', p .. 'final', '-inf', stamp(now - tonumber(ARGV[1]))),
  redis.call('ZCOUNT', p .. 'webhooks', '-inf', stamp(now)),
  redis.call('ZCOUNT', p .. 'alive', stamp(now), '+inf'),
  bytes('used_memory'), bytes('maxmemory'),
}}
