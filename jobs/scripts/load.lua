-- Counts and memory in one answer: a client would parse all that INFO says, for each submission.
local memory = redis.call('INFO', 'memory')
local function bytes(name) return tonumber(string.match(memory, name .. ':(%d+)') or '0') end
local waiting = redis.call('ZCARD', p .. 'queued')
local held = redis.call('ZCARD', p .. 'leased') + redis.call('ZCARD', p .. 'suspects')
local workers = redis.call('ZCARD', p .. 'alive')
return {waiting, waiting + held, workers, bytes('used_memory'), bytes('maxmemory')}
