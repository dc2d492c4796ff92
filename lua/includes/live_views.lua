-- The pool's registered views whose key (with its sentinel) is there, each with its decoded
-- filter: those that a save must keep right. O(views).
local function live_views(pool)
  local entries, views = redis.call('HGETALL', pool .. ':views'), {}
  for i = 1, #entries, 2 do
    local name, program = entries[i], string.match(entries[i + 1], '^%S* (.*)$')
    if redis.call('ZSCORE', pool .. ':view:' .. name, '~') then
      views[#views + 1] = {name = name, program = program ~= '' and cjson.decode(program) or nil}
    end
  end
  return views
end
