-- Note that a filtered view was asked, when the caller says it is time to. On a miss this may be the
-- first write: full memory must not make an error of it.
local function note_use(ask)
  if ask.touch and ask.view and ask.digest ~= '' then
    redis.pcall('ZADD', ask.pool .. ':used', 'XX', ask.ms, ask.view)
  end
end
