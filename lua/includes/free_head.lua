-- The head of a view if it can be trusted as the best free match, and whether the view is lost
-- (its key is gone, with its sentinel: evicted or deleted by hand). A view that is being filled
-- can be trusted up to its cursor where insertion order is its order. O(log n).
local function free_head(pool, selector, name, cursor)
  local head = redis.call('ZRANGE', pool .. ':view:' .. name, 0, 0, 'WITHSCORES')
  if not head[1] then
    return nil, true
  end
  if head[2] == 'inf' then
    return nil, false
  end
  if cursor == '*' or (selector == 'f' and tonumber(head[2]) <= tonumber(cursor)) then
    return head[1], false
  end
  return nil, false
end
