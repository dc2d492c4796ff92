-- The pool's turn of heavy work was taken for `us` microseconds: the next may come when as many
-- have passed again, so that however many callers push, other clients get every second moment.
local function note_turn(pool, started_us, us)
  redis.call('HSET', pool, 'fill_at', string.format('%.0f', started_us + 2 * us))
end
