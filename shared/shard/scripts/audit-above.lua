-- AUDIT: which mirrored rows have versions above all that has been applied here?
--   KEYS  stamp, then any number of keys
--   ->    those keys; none where there is no stamp
local stamp = readStamp(KEYS[1])
local above = {}
for index = 2, stamp and #KEYS or 0 do
  local version = mirroredVersion(KEYS[index])
  if version and version > stamp.to then
    above[#above + 1] = KEYS[index]
  end
end
return above
