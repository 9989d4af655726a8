-- ARGV: token, pictures done, of how many
local function move(ARGV)
  if not holds(ARGV[1]) then return 0 end
  redis.call('HSET', key, 'done', ARGV[2])
  announce('done', ARGV[2], 'total', ARGV[3])
  return 1
end
