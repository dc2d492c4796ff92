-- How many of a proxy's holds are claims. The hash's `claim` is only a hint to look; one that
-- turned out stale is taken away, so call this after the script's first write. O(log n).
local function count_claims(pool, proxy)
  if not proxy.claim then
    return 0
  end
  local first = 'p' .. proxy.id
  local claims = redis.call('ZLEXCOUNT', pool .. ':claims', '[' .. first .. ':', '(' .. first .. ';')
  if claims == 0 then
    redis.call('HDEL', pool .. ':proxy:' .. proxy.id, 'claim')
  end
  return claims
end
