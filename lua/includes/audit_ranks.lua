--- @include "matches"
--- @include "score"
-- A proxy in the pool's views: it must be a member, by its rank, of each that accepts it, as far
-- as that is filled, and of no other, and have the names of those it is in. A repair puts it into
-- the first view (f0), which figures are counted in, also before that is filled so far.
-- O(views * log n).
local function audit_ranks(pool, proxy, load, views, tell, repair)
  local member = {}
  for _, view in ipairs(views) do
    local key, name = pool .. ':view:' .. view.name, view.name
    local there = redis.call('ZSCORE', key, proxy.id)
    if not view.program or matches(view.program, proxy.raw) then
      local rank = score(string.sub(name, 1, 1), proxy, load)
      local behind = tonumber(proxy.seq) > view.upto
      if not there and (not behind or repair and name == 'f0') then
        if repair then
          redis.call('ZADD', key, rank, proxy.id)
          member[#member + 1] = name
        end
        if not behind then
          tell('not-in-view', proxy.id, name, repair)
        end
      elseif there then
        if tonumber(there) ~= tonumber(rank) then
          if repair then
            redis.call('ZADD', key, rank, proxy.id)
          end
          tell('wrong-rank', proxy.id, name .. ' ' .. there, repair)
        end
        member[#member + 1] = name
      end
    elseif there then
      if repair then
        redis.call('ZREM', key, proxy.id)
      end
      tell('strange-in-view', proxy.id, name, repair)
    end
  end
  for _, name in ipairs(member) do
    if not string.find(' ' .. proxy.views .. ' ', ' ' .. name .. ' ', 1, true) then
      if repair then
        redis.call('HSET', pool .. ':proxy:' .. proxy.id, 'views', table.concat(member, ' '))
      end
      tell('unknown-view', proxy.id, name, repair)
      return
    end
  end
end
