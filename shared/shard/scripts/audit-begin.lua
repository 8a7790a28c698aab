-- AUDIT, begin to mend rows of a mirror: what is read from now on may be written, unless a change comes in between.
--   KEYS  stamp
--   ARGV  token, followed table, ring, time that it may take (ms)
--   ->    {"off"}              no stamp, or table or ring are not followed
--         {"begun", S0, origin}
-- What is deleted meanwhile is noted where it is for snapshots (mirror.lua). Their own notes are kept, should there be any;
-- whoever makes new ones takes ours away, and the mark that says that all since S0 are there.
local stamp = readStamp(KEYS[1])
if not stamp or not floorOf(stamp, ARGV[2], ARGV[3]) then
  return {'off'}
end
local deleted = deletedKey(KEYS[1], ARGV[2])
ensureHash(deleted)
redis.call('HSET', deleted, ':audit', ARGV[1])
if redis.call('PTTL', deleted) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', deleted, ARGV[4])
end
return {'begun', stamp.to, stamp.origin}
