-- What was uploaded for a job that is over has been erased.
local function move(_)
  redis.call('HDEL', key, 'inputs')
  redis.call('ZREM', p .. 'inputs', id)
  redis.call('ZREM', p .. 'inputs:claimed', id)
  return 1
end
