-- The filter that a caller sent, decoded: nil when there is none, false when it cannot be read (such
-- a program must not become a view's: every later save would run it).
local function read_program(ask)
  if ask.digest == '' then
    return nil
  end
  if ask.node == nil then
    local read, program = pcall(cjson.decode, ask.program)
    ask.node = read and type(program) == 'table' and program
  end
  return ask.node
end
