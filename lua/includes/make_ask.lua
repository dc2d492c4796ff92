-- What acquire, find and candidates ask for, from their arguments: `limits` is "chunk_us
-- view_bound view_idle_ms"; `hints` holds "s" when the caller has seen the filter before and "t"
-- when the view's use is to be noted. nil when one is malformed: nothing is written then.
local function make_ask(pool, ms, us, selector, digest, program, hints, limits, from, wanted)
  local chunk_us, bound, idle_ms = string.match(limits, '^(%d+) (%d+) (%d+)$')
  if not chunk_us or not string.match(selector, '^[furl]$') or string.find(digest, '%s')
      or (from ~= '' and not string.match(from, '^%-?[%d.e+]+ %S+$')) then
    return nil
  end
  return {
    pool = pool, ms = ms, us = us, selector = selector, digest = digest, program = program,
    seen = string.find(hints, 's', 1, true) ~= nil, touch = string.find(hints, 't', 1, true) ~= nil,
    chunk_us = tonumber(chunk_us), view_bound = tonumber(bound), view_idle_ms = tonumber(idle_ms),
    from = from, wanted = wanted,
  }
end
