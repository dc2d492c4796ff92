-- The number of ms in `text` if it is whole and from `least` to ten years, else nil: a later
-- PEXPIREAT of anything else would fail after the writes before it.
local function valid_span(text, least)
  local span = string.match(text, '^%d+$') and tonumber(text)
  if span and span >= least and span <= 315576000000 then
    return span
  end
  return nil
end
