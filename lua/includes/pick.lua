--- @include "choose"
--- @include "sweep_due"
--- @include "read_proxy"
--- @include "rerank"
-- The proxy to lease or to claim: sweeps what is due, a few first and as much more as it takes
-- before it says that nothing is free, then chooses. Returns the proxy and its load, or nil, an
-- outcome of choose and a wait. A head that turns out not to be free (it cannot be, unless
-- somebody wrote to the view) is mended and passed over. With ask.wanted ("id revision") it is
-- that proxy or nil, 'taken'.
local function pick(ask, state)
  local pool = ask.pool
  local more = false
  if not ask.clean then
    local _
    _, more = sweep_due(pool, ask.ms, 8)
  end
  for _ = 1, 20 do
    local id, outcome, wait, revision
    if ask.wanted ~= '' then
      id, revision = string.match(ask.wanted, '^(%S+) (%S+)$')
      outcome = 'taken'
    else
      id, outcome, wait = choose(ask, state)
    end
    if not id then
      if outcome ~= 'none' or not more then
        return nil, outcome, wait
      end
      --- @include "sweep_more"
      more = sweep_more(ask)
      if more == nil then
        return nil, 'again', 0
      end
    else
      local proxy = read_proxy(pool, id)
      local load = proxy and redis.call('ZCARD', pool .. ':held:' .. id)
      if proxy and not parked(proxy, load) and (not revision or proxy.raw[11] == revision) then
        return proxy, load
      end
      if revision then
        if not more then
          return nil, 'taken', 0
        end
        --- @include "sweep_more"
        more = sweep_more(ask) or false
      elseif proxy then
        rerank(pool, proxy, load, load, 'furl')
        ask.page = nil
      else
        ask.page = nil
        redis.call('ZREM', pool .. ':view:' .. (ask.view or ask.selector .. '0'), id)
        redis.call('ZREM', pool .. ':view:' .. ask.selector .. '0', id)
      end
    end
  end
  return nil, 'again', 0
end
