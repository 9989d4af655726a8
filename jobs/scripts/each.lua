-- Runs `move` for each job: ARGV holds its id, how many arguments its move has, and these. Each
-- job's move stands for itself: an error takes the place of the answer of the one that failed.
local answers, place = {}, 1
while place <= #ARGV do
  select_job(ARGV[place])
  local count = tonumber(ARGV[place + 1])
  local ok, answer = pcall(move, {unpack(ARGV, place + 2, place + 1 + count)})
  if not ok and type(answer) ~= 'table' then answer = {err = tostring(answer)} end
  answers[#answers + 1] = answer
  place = place + 2 + count
end
send_published()
-- Where a line was before, workers have no room, or a wake-up is on its way.
if created then answers[#answers + 1] = line_before and 0 or missing_wakeups(any_worker and 1e6 or created) end
return answers
