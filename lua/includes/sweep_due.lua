-- End up to `limit` leases and claims that are over at `ms`. Returns how many were leases (the
-- pool's `swept` counts them), and whether more may be due. A lease's record needs no change: its
-- end is written in it. O(limit log n).
local function sweep_due(pool, ms, limit)
  local due = redis.call('ZRANGEBYSCORE', pool .. ':expiry', '-inf', ms, 'LIMIT', 0, limit)
  if #due == 0 then
    return 0, false
  end
  --- @include "end_hold"
  local leases = 0
  for _, member in ipairs(due) do
    local holder, id = string.match(member, '^(.*):(.-)$')
    end_hold(pool, holder, id)
    if string.sub(holder, 1, 1) ~= '!' then
      leases = leases + 1
    end
  end
  if leases > 0 then
    redis.call('HINCRBY', pool, 'swept', leases)
  end
  return leases, #due == limit
end
