-- running → final, by the holder of the lease. ARGV: token, status, bytes of its results, fields of
-- the record
local function move(ARGV)
  local f = ending_fields()
  if f[3] ~= ARGV[1] or f[1] ~= 'running' then return 0 end
  finish_job(ARGV[2], f, tonumber(ARGV[3]), unpack(ARGV, 4))
  return 1
end
