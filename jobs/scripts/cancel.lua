-- queued → canceled; running → cancel requested, or canceled where no worker could follow.
-- ARGV: whether to erase the job once it is final
local function move(ARGV)
  local status = get('status')
  if not status then return false end
  if ARGV[1] == '1' then redis.call('HSET', key, 'erase', '1') end
  if status == 'queued' or (status == 'running' and lease_dead()) then
    finish_job('canceled', ending_fields(), 0)
    return 'canceled'
  end
  if status == 'running' then
    if redis.call('HSET', key, 'cancel_requested', '1') == 1 then
      announce('status', 'cancel_requested')
    end
  elseif ARGV[1] == '1' and status ~= 'expired' then
    redis.call('ZADD', p .. 'final', '0', id)
  end
  return status
end
