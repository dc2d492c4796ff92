--- @include "elapsed"
--- @include "start_watch"
--- @include "sweep_due"
-- Sweep on, by fifty at a time within the call's chunk and at least once: whether more may be due,
-- and nil when the time is up before that is known.
local function sweep_more(ask)
  ask.watch = ask.watch or start_watch(ask.us)
  ask.swept = (ask.swept or 0) + 50
  local _, more = sweep_due(ask.pool, ask.ms, 50)
  if more and elapsed(ask.watch, 5 * ask.swept) >= ask.chunk_us then
    return nil
  end
  return more
end
