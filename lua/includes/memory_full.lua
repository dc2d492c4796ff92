-- Whether the server has no memory for what a script would add: a write that changes nothing is
-- refused then. Ask before the first write, which lets all later ones through. O(1).
local function memory_full(pool)
  return type(redis.pcall('ZADD', pool .. ':expiry', 'XX', 0, '')) == 'table'
end
