-- AUDIT, write rows of a mirror, each as of the place that its read is known to include exactly.
--   KEYS  stamp, then one entry a row
--   ARGV  token, S0 as it began, followed table, ring, shape, "more" or "end": of what was begun,
--         then for each row: kind (R or T) and version (45); texts
--   ->    {"lost"}   another has begun since, or it took too long
--         {"off"}    no stamp, or table or ring are not followed
--         {"done", outcome...}  for each: "written"; "newer": a change has brought a later one; "deleted": it was, since;
--                    "early": the read is not known to include what was applied before, or counts no more
local FIRST = 7
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[3], ARGV[4])
if not floor then
  return {'off'}
end
local deleted = deletedKey(KEYS[1], ARGV[3])
ensureHash(deleted)
if redis.call('HGET', deleted, ':audit') ~= ARGV[1] then
  return {'lost'}
end
local outcomes = {'done'}
for index = 2, #KEYS do
  local entry, head, texts = KEYS[index], ARGV[FIRST + 2 * (index - 2)], ARGV[FIRST + 1 + 2 * (index - 2)]
  local version = string.sub(head, 2, 46)
  local present = mirroredVersion(entry)
  local deletedAt = redis.call('HGET', deleted, entry)
  if version < ARGV[2] or version < floor or isInHole(stamp, version, 'x') then
    outcomes[index] = 'early'
  elseif present and present > version then
    outcomes[index] = 'newer'
  elseif deletedAt and deletedAt > version then
    outcomes[index] = 'deleted'
  else
    writeMirrored(entry, string.sub(head, 1, 1), version, ARGV[5], texts)
    outcomes[index] = 'written'
  end
end
if ARGV[6] == 'end' then
  redis.call('HDEL', deleted, ':audit')
  if redis.call('HEXISTS', deleted, ':since') == 0 then
    redis.call('DEL', deleted)
  end
end
return outcomes
