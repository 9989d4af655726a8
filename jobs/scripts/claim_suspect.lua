-- Gives a worker that has the turn one job that died with a worker, so that it runs alone.
-- ARGV: worker, id of this claim, seconds of the lease, seconds for which the turn is kept, groups
local turn, remembered = p .. 'suspect:turn', p .. 'claim:' .. ARGV[2]
if redis.call('GET', turn) ~= ARGV[1] then return false end
redis.call('PEXPIRE', turn, math.floor(tonumber(ARGV[4]) * 1000))
local before = redis.call('GET', remembered)
if before then
  select_job(before)
  return holds(ARGV[2] .. ':1') and redis.call('HGETALL', key)
end
local first = first_suspect({unpack(ARGV, 5)})
if not first then return false end
select_job(first)
redis.call('ZREM', p .. 'suspects', id)
local owner, lease = get('owner') or '', stamp(now + tonumber(ARGV[3]))
redis.call('HSET', key, 'token', ARGV[2] .. ':1', 'lease', lease)
redis.call('HINCRBY', key, 'claims', 1)
redis.call('ZADD', p .. 'leased', lease, id)
if cap_of(owner) then redis.call('SADD', p .. 'running:' .. owner, id) end
redis.call('SET', remembered, id, 'PX', 60000)
return redis.call('HGETALL', key)
