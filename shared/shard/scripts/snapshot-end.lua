-- SNAPSHOT, the end: every row has been written that belongs here.
--   KEYS  stamp
--   ARGV  token, followed table, rings, shape, turn (see mirror.lua)
--   ->    "complete", "lost", "void" as for its writes
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[2], newestOf(ARGV[3]))
local state = snapshotKey(KEYS[1], ARGV[2])
if not takeTurn(state, ARGV[1], ARGV[5]) then
  return 'lost'
end
local since = sinceIn(state) or ''
if not floor or not countsSince(stamp, since, floor) then
  return 'void'
end
stamp.complete[ARGV[2]] = {rings = ARGV[3], shape = ARGV[4], since = since}
writeStamp(KEYS[1], stamp)
dropSnapshot(KEYS[1], ARGV[2])
return 'complete'
