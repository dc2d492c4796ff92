-- The head of a view if it can be trusted as the best free match, and whether the view is lost
-- (its key is gone, with its sentinel: evicted or deleted by hand). A view that is being filled
-- can be trusted up to its cursor where insertion order is its order. A batch passes over the
-- proxies in ask.skip, which stand in front: it reads a page of heads, ask.page, and goes on in it
-- until somebody clears it because the order may have changed. O(skipped + log n).
local function free_head(ask, name, cursor)
  local key, page, at = ask.pool .. ':view:' .. name, nil, 1
  if not ask.skip then
    page = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  else
    if ask.page and ask.page.key == key then
      page, at = ask.page, ask.page.at
    else
      page = redis.call('ZRANGE', key, 0, 49, 'WITHSCORES')
      page.rank = 0
    end
    while ask.skip[page[at]] and page[at + 1] ~= 'inf' do
      at = at + 2
      if at == 101 then
        local rank = page.rank + 50
        page, at = redis.call('ZRANGE', key, rank, rank + 49, 'WITHSCORES'), 1
        page.rank = rank
      end
    end
    page.key, page.at = key, at
    ask.page = page
  end
  local id, score = page[at], page[at + 1]
  if not id then
    return nil, true
  end
  if score == 'inf' then
    return nil, false
  end
  if cursor == '*' or (ask.selector == 'f' and tonumber(score) <= tonumber(cursor)) then
    return id, false
  end
  return nil, false
end
