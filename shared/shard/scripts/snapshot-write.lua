-- SNAPSHOT, write rows of a chunk, each as of the place that its read is known to include exactly.
--   KEYS  stamp, then one entry a row
--   ARGV  token, followed table, rings, shape,
--         the chunk's number and cursor if it is done with these rows, else two empty ones,
--         turn (see mirror.lua),
--         then for each row: kind (R or T) and version (45); texts
--   ->    "written"
--         "lost"   another has taken it over, the shard has lost some of what was done, or the chunk took too long
--         "void"   what was written so far counts as absent by now
--         "early"  a row is not known to include what was applied before its chunk began
local FIRST = 8
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[2], newestOf(ARGV[3]))
local state = snapshotKey(KEYS[1], ARGV[2])
local deleted, deletedBefore = deletedKey(KEYS[1], ARGV[2]), deletedBeforeKey(KEYS[1], ARGV[2])
ensureHash(deleted)
ensureHash(deletedBefore)
if not takeTurn(state, ARGV[1], ARGV[7]) then
  return 'lost'
end
if not floor or not countsSince(stamp, redis.call('HGET', state, 'since'), floor) then
  return 'void'
end
-- From where on it is noted what was deleted. Both expire, and what expires may be evicted.
local notedBefore, noted = redis.call('HGET', deletedBefore, ':since'), redis.call('HGET', deleted, ':since')
if not noted then
  return 'lost'
end
noted = notedBefore or noted
for index = 2, #KEYS do
  if string.sub(ARGV[FIRST + 2 * (index - 2)], 2, 46) < noted then
    return 'early'
  end
end
for index = 2, #KEYS do
  local entry, head, texts = KEYS[index], ARGV[FIRST + 2 * (index - 2)], ARGV[FIRST + 1 + 2 * (index - 2)]
  local version = string.sub(head, 2, 46)
  local present = mirroredVersion(entry)
  local deletedAt = redis.call('HGET', deleted, entry) or (notedBefore and redis.call('HGET', deletedBefore, entry))
  if not (present and present > version) and not (deletedAt and deletedAt > version) then
    writeMirrored(entry, string.sub(head, 1, 1), version, ARGV[4], texts)
  end
end
if ARGV[5] ~= '' then
  redis.call('HSET', state, 'chunk', ARGV[5], 'cursor', ARGV[6])
end
return 'written'
