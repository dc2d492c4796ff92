--- @include "free_head"
--- @include "read_program"
--- @include "walk"
--- @include "register_view"
--- @include "fill_view"
--- @include "note_turn"
--- @include "turn_wait"
--- @include "start_watch"
-- The part of choose that a complete view never needs: fills the registered view `name` from
-- `cursor` on, walks, registers. A registered view that is not complete is filled by whoever has
-- the pool's turn (one chunk at a time, see fill_view); meanwhile, and for filters that are not
-- registered, a walk over the selector's unfiltered view may find a match. Only who has the turn
-- walks further than 100 proxies. A walk of a batch goes on behind its last lease, and `began` is
-- where its first was begun. A filter is registered when its caller has seen it before, or when a
-- walk found nothing in its chunk. Bounded by chunk_us.
local function search(ask, name, cursor)
  local pool, selector, digest = ask.pool, ask.selector, ask.digest
  local id
  ask.searched = true
  local program = read_program(ask)
  if program == false then
    return nil, 'malformed'
  end
  local wait = turn_wait(redis.call('HGET', pool, 'fill_at'), ask.us)
  local my_turn, watch = wait == 0, ask.watch or start_watch(ask.us)
  if name and my_turn then
    cursor, wait = fill_view(ask, watch, name, digest, program, cursor)
    ask.page = nil
    id = free_head(ask, name, cursor)
    if id then
      return id
    end
    if cursor == '*' then
      return nil, 'none'
    end
  end
  if digest == '' then
    if not name then
      register_view(ask, '', '')
    end
    return nil, 'again', wait
  end

  local base = redis.call('HGET', pool, 'v:' .. selector .. ':')
  local complete = base and string.sub(base, -1) == '*'
    and redis.call('EXISTS', pool .. ':view:' .. selector .. '0') == 1
  if complete then
    local from, long, found, us = ask.from, not name and my_turn, nil, 0
    found, ask.from, us = walk(pool, selector .. '0', program, from, 1, watch,
      long and ask.chunk_us or 0, ask.skip)
    if long and us > 0 then
      note_turn(pool, ask.us, us)
      wait = us
    end
    if found[1] then
      if not name and ask.seen then
        register_view(ask, digest, ask.program)
      end
      return found[1]
    end
    if (ask.began or from) == '' and ask.from == '' then
      return nil, 'none'
    end
  end
  if name then
    return nil, 'again', wait
  end
  if complete and ask.from ~= '' and not my_turn and not ask.seen then
    return nil, 'again', wait
  end
  if register_view(ask, digest, ask.program) then
    return nil, 'again', wait
  end
  if complete then
    return nil, ask.from == '' and 'none' or 'again', wait
  end
  -- No room for the filter, and no complete unfiltered view to walk: that one must be filled.
  if not base then
    register_view(ask, '', '')
  elseif my_turn then
    local there = redis.call('EXISTS', pool .. ':view:' .. selector .. '0') == 1
    cursor = there and string.match(base, '%S+$') or '0'
    redis.call('ZADD', pool .. ':view:' .. selector .. '0', '+inf', '~')
    cursor, wait = fill_view(ask, watch, selector .. '0', '', nil, cursor)
  end
  return nil, 'again', wait
end
