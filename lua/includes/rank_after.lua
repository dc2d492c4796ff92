-- The place right behind (score, id) in a sorted set, whether or not that member still stands
-- there: a scan that resumes by rank would skip or repeat when others move. Ties are searched
-- by halving. O(log^2 n).
local function rank_after(key, score, id)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', key, middle, middle)[1] <= id then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end
