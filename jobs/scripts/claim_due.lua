-- The first members of a set that are due, for one process alone for so many seconds: who fails or
-- dies leaves them to the next. Of results the record says from now on that they may be gone.
-- ARGV: set, seconds ago, most, seconds of the claim
local set, most = p .. ARGV[1], tonumber(ARGV[3])
local claims, ids, scored = set .. ':claimed', {}, {}
redis.call('ZREMRANGEBYSCORE', claims, '-inf', stamp(now))
local found = redis.call('ZRANGEBYSCORE', set, '-inf', stamp(now - tonumber(ARGV[2])), 'LIMIT', 0,
  most + redis.call('ZCARD', claims))
for _, job_id in ipairs(found) do
  if #ids == most then break end
  if not redis.call('ZSCORE', claims, job_id) then
    ids[#ids + 1] = job_id
    scored[#scored + 1], scored[#scored + 2] = stamp(now + tonumber(ARGV[4])), job_id
    select_job(job_id)
    if ARGV[1] == 'final' and redis.call('EXISTS', key) == 1 then
      redis.call('HSETNX', key, 'erase', '0')
    end
  end
end
if #ids > 0 then redis.call('ZADD', claims, unpack(scored)) end
return ids
