-- Count an acquire or a find that found nothing free. Last in its script, and left undone where the
-- server refuses it (memory full): an answer is never lost to its being counted. O(1).
local function note_miss(pool)
  redis.pcall('HINCRBY', pool, 'miss', 1)
end
