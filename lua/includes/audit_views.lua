-- The pool's registered views as an audit looks at them: those whose sentinel is there and whose
-- program and filling state can be read, each with its decoded filter and the insertion number up
-- to which it is filled. The others are audit_pool's to tell. O(views).
local function audit_views(pool)
  local raw, states, views = redis.call('HGETALL', pool), {}, {}
  for i = 1, #raw, 2 do
    if string.find(raw[i], '^v:') then
      local name, cursor = string.match(raw[i + 1], '^(%S+) (%S+)$')
      states[name or ''] = cursor == '*' and math.huge or tonumber(cursor)
    end
  end
  local entries = redis.call('HGETALL', pool .. ':views')
  for i = 1, #entries, 2 do
    local name, program = entries[i], string.match(entries[i + 1], '^%S* (.*)$')
    local read, node = pcall(cjson.decode, program ~= '' and program or '{}')
    local sentinel = redis.pcall('ZSCORE', pool .. ':view:' .. name, '~')
    if program and read and type(node) == 'table' and states[name] and sentinel
        and type(sentinel) ~= 'table' then
      views[#views + 1] = {
        name = name, program = program ~= '' and node or nil, upto = states[name],
      }
    end
  end
  return views
end
