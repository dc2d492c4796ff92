--- @include "parked"
-- The rank of a proxy under a selector: smaller is leased sooner, +inf is parked.
--   f  first_available   insertion number in the pool
--   u  least_used        min(load, 2047) * 2^42 + time of the last check in ms, clamped to 42 bits
--   r  round_robin       pool-wide counter at the last selection, 0 if never
--   l  lowest_latency    latest reachable latency in ms, 2^53 if none
-- All are integers below 2^53 + 1, so a score is exact; Redis breaks ties by member, the id.
local function score(selector, proxy, load)
  if parked(proxy, load) then
    return '+inf'
  end
  if selector == 'f' then
    return proxy.seq
  end
  if selector == 'u' then
    local checked = math.floor((tonumber(proxy.checked_us) or 0) / 1000)
    return math.min(load, 2047) * 4398046511104
      + math.max(0, math.min(checked, 4398046511103))
  end
  if selector == 'r' then
    return proxy.round or 0
  end
  local latency = tonumber(proxy.latency)
  if not latency then
    return 9007199254740992
  end
  return math.max(-9007199254740991, math.min(latency, 9007199254740991))
end
