--- @include "end_hold"
-- Let go of what a caller's earlier find still holds in this pool. O(log n).
local function drop_claim(pool, token)
  local first = 't' .. token
  local claims = redis.call('ZRANGEBYLEX', pool .. ':claims', '[' .. first .. ':', '(' .. first .. ';')
  for _, entry in ipairs(claims) do
    end_hold(pool, '!' .. token, string.sub(entry, #first + 2))
  end
end
