--- @include "end_hold"
-- Let go of what a caller's earlier find still holds in this pool. That would let every later write
-- through when memory is full, so a write that changes nothing asks before. O(log n).
local function drop_claim(pool, token)
  local first = 't' .. token
  local claims = redis.call('ZRANGEBYLEX', pool .. ':claims', '[' .. first .. ':', '(' .. first .. ';')
  if claims[1] then
    redis.call('ZADD', pool .. ':claims', 'XX', 0, claims[1])
  end
  for _, entry in ipairs(claims) do
    end_hold(pool, '!' .. token, string.sub(entry, #first + 2))
  end
end
