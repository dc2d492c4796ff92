-- Make the ZADDs that a batch of up to a hundred put off, a call for each key. O(ZADDs * log n).
local function catch_up(later)
  for _, key in ipairs(later) do
    redis.call('ZADD', key, unpack(later[key]))
  end
end
