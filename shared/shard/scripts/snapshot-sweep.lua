-- SNAPSHOT, sweep: what lies under the table's keys and was not written since the snapshot began, is of rows that are no
-- more, or is what the table left when it was not a mirror.
--   KEYS  stamp, then any keys of the table's, and nobody else's
--   ARGV  token, followed table, turn (see mirror.lua),
--         "older" removes what is from before the snapshot; "same": also what is as of its very beginning, for keys that
--         are known to be of no row
--   ->    {"lost"}              another has taken it over, or the shard has lost some of what was done: rows that are
--                               missing here may lie there under older versions
--         {"swept", n, key...}  so many were removed; of "older", the keys of rows that are as of the very beginning: on a
--                               server where nothing has happened since, those of an earlier snapshot are, too
local state = snapshotKey(KEYS[1], ARGV[2])
if not takeTurn(state, ARGV[1], ARGV[3]) then
  return {'lost'}
end
local since = redis.call('HGET', state, 'since')
local removed, asked = 0, {}
for index = 2, #KEYS do
  local key = KEYS[index]
  local version = mirroredVersion(key)
  if (version and version < since) or (version == since and ARGV[4] == 'same') or (not version and readHeader(key)) then
    redis.call('UNLINK', key)
    removed = removed + 1
  elseif version == since then
    asked[#asked + 1] = key
  end
end
return {'swept', removed, unpack(asked)}
