-- What the scripts of followed tables share; shared/stamp/stamp.ts says it for the gateway, entry.ts has the header.

-- The shard's stamp; nil where there is none, or where it is not ours.
local function readStamp(key)
  local stored = redis.pcall('GET', key)
  if type(stored) ~= 'string' then
    return nil
  end
  local decodes, stamp = pcall(cjson.decode, stored)
  if decodes and type(stamp) == 'table' and type(stamp.to) == 'string' and type(stamp.floor) == 'string'
      and type(stamp.plan) == 'number' and type(stamp.rings) == 'table' and type(stamp.tables) == 'table' then
    stamp.holes = stamp.holes or {}
    return stamp
  end
  return nil
end

-- The first 70 bytes of an entry; nil where there is no entry of ours (any other value counts as absent).
local function readHeader(key)
  local header = redis.pcall('GETRANGE', key, 0, 69)
  if type(header) == 'string' and string.len(header) == 70 and string.sub(header, 1, 1) == '1' then
    return header
  end
  return nil
end

local function versionOf(header)
  return string.sub(header, 4, 48)
end

-- From which version on entries of this table, placed by this ring, count; nil where they are not followed.
local function floorOf(stamp, followed, ring)
  local since, tableFloor = stamp.rings[ring], stamp.tables[followed]
  if not since or not tableFloor then
    return nil
  end
  local floor = stamp.floor
  if since > floor then floor = since end
  if tableFloor > floor then floor = tableFloor end
  return floor
end

-- `exactness` as in the header: an inexact read may hold more than its version says, so also what was lost.
local function isInHole(stamp, version, exactness)
  for _, hole in ipairs(stamp.holes) do
    if (version > hole[1] or exactness ~= 'x') and version < hole[2] then
      return true
    end
  end
  return false
end
