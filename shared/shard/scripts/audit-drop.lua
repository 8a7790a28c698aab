-- AUDIT, drop entries that are wrong, each only if it is still what was judged.
--   KEYS  entries
--   ARGV  for each what was judged (sync-worker/audit/held.ts, markOf):
--         "row " and the field :row of a mirrored row; "string " and the SHA-1 of a string;
--         "not mirrored": no mirrored row; "not cached": a string that is no entry; "no string"
--   ->    for each: 1 dropped, 0 something else by now
local function isStill(key, judged)
  local word, mark = string.match(judged, '^(%a+) (.+)$')
  if word == 'row' then
    return redis.pcall('HGET', key, MIRROR_FIELD) == mark
  end
  if judged == 'not mirrored' then
    return not mirroredVersion(key)
  end
  if judged == 'no string' then
    return redis.call('TYPE', key).ok ~= 'string'
  end
  if judged == 'not cached' then
    return redis.call('TYPE', key).ok == 'string' and not readHeader(key)
  end
  local stored = redis.pcall('GET', key)
  return word == 'string' and type(stored) == 'string' and redis.sha1hex(stored) == mark
end

local dropped = {}
for index, key in ipairs(KEYS) do
  dropped[index] = isStill(key, ARGV[index]) and redis.call('UNLINK', key) or 0
end
return dropped
