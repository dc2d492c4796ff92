--- @include "now"
--- @include "sweep_due"
-- Sweep further within the call's chunk: whether more may be due, nil when the time is up.
local function sweep_more(ask)
  local _, us = now()
  if us - ask.us >= ask.chunk_us then
    return nil
  end
  local _, more = sweep_due(ask.pool, ask.ms, 50)
  return more
end
