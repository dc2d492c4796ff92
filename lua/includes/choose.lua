--- @include "free_head"
-- Which proxy does a selector offer to a filter now?
--   id                        the best free match
--   nil, 'none'               nothing free matches: final, once no lease of the pool is due
--   nil, 'again', wait_us     it cannot be told yet: ask again after that long, with ask.from
-- A complete view answers by its head, in O(log n). All else is a search.
local function choose(ask, state)
  local pool = ask.pool
  local name, cursor
  if state then
    name, cursor = string.match(state, '^(%S+) (%S+)$')
    ask.view = name
    local id, lost = free_head(ask, name, cursor)
    if id then
      return id
    end
    if lost then
      redis.call('ZADD', pool .. ':view:' .. name, '+inf', '~')
      redis.call('HSET', pool, 'v:' .. ask.selector .. ':' .. ask.digest, name .. ' 0')
      cursor = '0'
    elseif cursor == '*' then
      return nil, 'none'
    end
  end
  --- @include "search"
  return search(ask, name, cursor)
end
