-- running → final, by the holder of the lease. ARGV: token, status, fields of the record
local function move(ARGV)
  if not holds(ARGV[1]) or get('status') ~= 'running' then return 0 end
  if #ARGV > 2 then redis.call('HSET', key, unpack(ARGV, 3)) end
  finish_job(ARGV[2], get('erase'))
  return 1
end
