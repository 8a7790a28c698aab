-- A mirror's shard is not trusted to hold what was written to it, such as when its server may evict rows: what it had of
-- the mirror does not make it complete any more, nor does what a snapshot that is under way has brought so far.
--   KEYS  stamp
--   ARGV  followed table
--   ->    1 if it was complete
local stamp = readStamp(KEYS[1])
dropSnapshot(KEYS[1], ARGV[1])
if not stamp or not stamp.complete[ARGV[1]] then
  return 0
end
stamp.complete[ARGV[1]] = nil
writeStamp(KEYS[1], stamp)
return 1
