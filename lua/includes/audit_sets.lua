--- @include "parked"
-- A proxy in the sets that figures are made of: idle, reserved, extra; and the mark that it has
-- claims. Of more than a thousand leases `extra` is looked at from the n-th on, and where to go on
-- is returned. O(log n), and O(leases) up to a thousand.
local function audit_sets(pool, proxy, load, from, tell, repair)
  local id, first = proxy.id, 'p' .. proxy.id
  local claims = redis.call('ZLEXCOUNT', pool .. ':claims', '[' .. first .. ':', '(' .. first .. ';')
  local leases = load - claims
  if not proxy.hidden then
    local idle = redis.call('SISMEMBER', pool .. ':idle', id) == 1
    if idle ~= (proxy.status ~= 'active') then
      if repair then
        redis.call(idle and 'SREM' or 'SADD', pool .. ':idle', id)
      end
      tell('wrong-idle', id, proxy.status, repair)
    end
    local reserved = redis.call('SISMEMBER', pool .. ':reserved', id) == 1
    if reserved ~= (parked(proxy, load) and not parked(proxy, leases)) then
      if repair then
        redis.call(reserved and 'SREM' or 'SADD', pool .. ':reserved', id)
      end
      tell('wrong-reserved', id, '', repair)
    end
    if claims > 0 and proxy.claim ~= '1' then
      if repair then
        redis.call('HSET', pool .. ':proxy:' .. id, 'claim', '1')
      end
      tell('hidden-claim', id, '', repair)
    end
  end
  local names, upto = {}, math.min(leases, from + 999)
  for n = from, upto do
    names[#names + 1] = id .. ':' .. n
  end
  if names[1] then
    for at, there in ipairs(redis.call('SMISMEMBER', pool .. ':extra', unpack(names))) do
      if there == 0 then
        if repair then
          redis.call('SADD', pool .. ':extra', names[at])
        end
        tell('wrong-extra', names[at], 'missing', repair)
      end
    end
  end
  return upto < leases and upto + 1 or nil
end
