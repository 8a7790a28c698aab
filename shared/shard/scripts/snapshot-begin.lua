-- SNAPSHOT, begin a chunk: what is read from now on may be written, unless a change comes in between.
--   KEYS  stamp
--   ARGV  token, followed table, rings (see mirror.lua), shape, time that the chunk may take (ms),
--         "take": out of another's hands, as the first chunk of a run is; "keep": only if it is still ours;
--         "anew": like "take", and what an earlier run has done does not count;
--         turn, of "keep" (see mirror.lua)
--   ->    {"off"}     no stamp, or table or ring are not followed
--         {"lost"}    another has taken it over, or the shard has lost some of what was done
--         {"void"}    of "keep": what was written so far counts as absent by now
--         {"begun", S0, origin, since, walk, chunk, cursor}
--                     since: the snapshot brings every row as of this or later; walk: the token that it began under;
--                     chunk, cursor: how far it has come
-- For who takes it, the snapshot's own state is dropped where it is of no use any more: it was for another shape or ring,
-- or what it has written so far counts as absent by now. Who keeps it has to stop then: its walk is past those rows.
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[2], newestOf(ARGV[3]))
if not floor then
  return {'off'}
end
local state = snapshotKey(KEYS[1], ARGV[2])
local deleted, deletedBefore = deletedKey(KEYS[1], ARGV[2]), deletedBeforeKey(KEYS[1], ARGV[2])
ensureHash(state)
ensureHash(deleted)
local since = sinceIn(state)
local isOfUse = since and countsSince(stamp, since, floor) and redis.call('HGET', state, 'rings') == ARGV[3]
    and redis.call('HGET', state, 'shape') == ARGV[4]
if ARGV[6] == 'keep' then
  if not takeTurn(state, ARGV[1], ARGV[7]) then
    return {'lost'}
  end
  if not isOfUse then
    return {'void'}
  end
  -- The chunk before may be on its way still.
  redis.call('DEL', deletedBefore)
  if redis.call('EXISTS', deleted) == 1 then
    redis.call('RENAME', deleted, deletedBefore)
  end
else
  if ARGV[6] == 'anew' or not isOfUse then
    redis.call('DEL', state)
    redis.call('HSET', state, 'since', stamp.to, 'rings', ARGV[3], 'shape', ARGV[4], 'walk', ARGV[1],
      'chunk', '0', 'cursor', '')
  end
  redis.call('HSET', state, 'token', ARGV[1], 'turn', '1')
  redis.call('DEL', deleted, deletedBefore)
end
redis.call('HSET', deleted, ':since', stamp.to)
redis.call('PEXPIRE', deleted, ARGV[5])
local progress = redis.call('HMGET', state, 'since', 'walk', 'chunk', 'cursor')
local to, origin = stamp.to, stamp.origin
local mark = stamp.complete[ARGV[2]]
if mark then
  -- What the sweep is to remove may belong here by the others.
  local kept = ringsInBoth(mark.rings, ARGV[3])
  if kept ~= mark.rings then
    stamp.complete[ARGV[2]] = kept ~= '' and {rings = kept, shape = mark.shape, since = mark.since} or nil
    writeStamp(KEYS[1], stamp)
  end
end
return {'begun', to, origin, progress[1], progress[2], progress[3], progress[4]}
