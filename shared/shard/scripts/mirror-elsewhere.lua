-- What a mirrored table has left in a shard where its rows do not lie (any more): it was a cache, or a mirror of more
-- copies. Nobody asks for it here, and hashes would stay for ever.
--   KEYS  stamp, then any keys of the table's, and nobody else's
--   ARGV  followed table, as whoever asks knows it
--   ->    how many were removed; none where the shard follows the table under another name, by which they may lie here
local stamp = readStamp(KEYS[1])
if not stamp or not stamp.tables[ARGV[1]] then
  return 0
end
local removed = 0
for index = 2, #KEYS do
  if mirroredVersion(KEYS[index]) or readHeader(KEYS[index]) then
    redis.call('UNLINK', KEYS[index])
    removed = removed + 1
  end
end
return removed
