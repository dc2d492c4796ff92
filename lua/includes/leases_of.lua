-- How many leases a proxy has: its holds without the claims. Reads only. O(log n).
local function leases_of(pool, proxy)
  local leases = redis.call('ZCARD', pool .. ':held:' .. proxy.id)
  if proxy.claim and leases > 0 then
    local first = 'p' .. proxy.id
    leases = leases
      - redis.call('ZLEXCOUNT', pool .. ':claims', '[' .. first .. ':', '(' .. first .. ';')
  end
  return leases
end
