-- Takes a job from a worker whose lease is dead. One that was not begun waits again, unless that has
-- happened too often; any other is a suspect, or ends if its client wants that.
-- ARGV: most claims of a job that is never begun
local function move(ARGV)
  local lease = redis.call('ZSCORE', p .. 'leased', id)
  if not lease or tonumber(lease) > now then return 0 end
  local status = get('status')
  drop_lease(get('owner') or '')
  if status == 'running' and get('cancel_requested') == '1' then
    finish_job('canceled', ending_fields(), 0)
  elseif status == 'running' or tonumber(get('claims') or '0') >= tonumber(ARGV[1]) then
    redis.call('ZADD', p .. 'suspects', stamp(now), id)
  elseif status == 'queued' then
    join_line(get('created_at'), placement())
  end
  return 1
end
