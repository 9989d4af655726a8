-- running with a dead lease → failed `lost`; queued past its deadline → failed `expired`.
-- ARGV: the error's code, the error
local function move(ARGV)
  local status = get('status')
  local lost = ARGV[1] == 'lost' and status == 'running' and lease_dead()
  local late = ARGV[1] == 'expired' and status == 'queued'
    and tonumber(get('deadline') or '1e300') < now and not get('token')
  if not (lost or late) then return 0 end
  finish_job('failed', ending_fields(), 0, 'error', ARGV[2])
  return 1
end
