-- The head of a view if it can be trusted as the best free match, and whether the view is lost
-- (its key is gone, with its sentinel: evicted or deleted by hand). A view that is being filled
-- can be trusted up to its cursor where insertion order is its order. Proxies in ask.skip are
-- passed over: those that a batch has leased and that have room stand in front. O(skipped + log n).
local function free_head(ask, name, cursor)
  local key, rank = ask.pool .. ':view:' .. name, ask.ahead or 0
  local head = redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')
  while ask.skip and ask.skip[head[1]] and head[2] ~= 'inf' do
    local page = redis.call('ZRANGE', key, rank + 1, rank + 50, 'WITHSCORES')
    local at = 1
    rank = rank + 1
    while page[at + 2] and ask.skip[page[at]] and page[at + 1] ~= 'inf' do
      at, rank = at + 2, rank + 1
    end
    head = {page[at], page[at + 1]}
  end
  if not head[1] then
    return nil, true
  end
  if head[2] == 'inf' then
    return nil, false
  end
  if cursor == '*' or (ask.selector == 'f' and tonumber(head[2]) <= tonumber(cursor)) then
    ask.ahead = rank
    return head[1], false
  end
  return nil, false
end
