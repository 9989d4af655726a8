-- running → final, by the holder of the lease. ARGV: token, status, fields of the record
local function move(ARGV)
  local f = redis.call('HMGET', key, 'token', 'status')
  if f[1] ~= ARGV[1] or f[2] ~= 'running' then return 0 end
  finish_job(ARGV[2], unpack(ARGV, 3))
  return 1
end
