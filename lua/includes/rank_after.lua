-- The place right behind (score, id) in a sorted set, whether or not that member still stands
-- there: a scan that resumes by rank would skip or repeat when others move. Ties are searched by
-- halving, in the order of bytes, as Redis sorts (Lua's own order follows a locale). O(log^2 n).
local function rank_after(key, score, id)
  local function behind(member)
    for i = 1, #id do
      local a, b = string.byte(member, i) or -1, string.byte(id, i)
      if a ~= b then
        return a > b
      end
    end
    return #member > #id
  end
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if behind(redis.call('ZRANGE', key, middle, middle)[1]) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end
