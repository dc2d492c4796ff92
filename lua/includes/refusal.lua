-- What to answer when a server would not look at two of a pool's keys: its own words if it is the
-- caller who may not, else that the slot is on the move (see moving). O(1).
local function refusal(pool, answer)
  if string.find(answer.err, 'ACL failure', 1, true)
      or string.find(answer.err, 'user executing the script', 1, true) then
    return answer
  end
  return redis.error_reply('TRYAGAIN ' .. pool)
end
