-- What the scripts of followed tables share; shared/stamp/stamp.ts says it for the gateway, entry.ts has the header.

local function isVersion(value)
  return type(value) == 'string' and string.len(value) == 45 and not string.find(value, '[^0-9]')
end

-- The year 2200, in seconds since 1970; version.ts says why nothing is from later.
local EPOCH_MAX = 7258118400
-- stamp.ts, STAMP_BYTES_MAX.
local STAMP_BYTES_MAX = 8388608

local function isPlausibleVersion(value)
  return isVersion(value) and tonumber(string.sub(value, 1, 10)) <= EPOCH_MAX
end

-- As Number.isSafeInteger has it; infinity and NaN are none.
local function isInteger(value)
  return type(value) == 'number' and value % 1 == 0 and value > -2^53 and value < 2^53
end

local function areVersions(map)
  if type(map) ~= 'table' then
    return false
  end
  for _, version in pairs(map) do
    if not isVersion(version) then
      return false
    end
  end
  return true
end

local function areHoles(list)
  if type(list) ~= 'table' then
    return false
  end
  for index, hole in pairs(list) do
    if type(index) ~= 'number' or not areVersions(hole) or #hole ~= 2 then
      return false
    end
  end
  return true
end

local function areCompletenesses(map)
  if type(map) ~= 'table' then
    return false
  end
  for _, mark in pairs(map) do
    if type(mark) ~= 'table' or type(mark.rings) ~= 'string' or type(mark.shape) ~= 'string'
        or not isVersion(mark.since) then
      return false
    end
  end
  return true
end

-- The shard's stamp; nil where there is none, or where it is not ours. What a stamp does not have, it is not given back.
local function readStamp(key)
  local stored = redis.pcall('GET', key)
  if type(stored) ~= 'string' or string.len(stored) > STAMP_BYTES_MAX then
    return nil
  end
  local decodes, found = pcall(cjson.decode, stored)
  if not decodes or type(found) ~= 'table' then
    return nil
  end
  local stamp = {plan = found.plan, to = found.to, floor = found.floor, asOf = found.asOf, origin = found.origin,
    gtid = found.gtid, rings = found.rings, tables = found.tables, holes = found.holes, complete = found.complete,
    again = found.again, lostAt = found.lostAt}
  if stamp.holes == nil then
    stamp.holes = {}
  end
  if stamp.complete == nil then
    stamp.complete = {}
  end
  if isInteger(stamp.plan) and stamp.plan >= 0 and stamp.plan <= EPOCH_MAX * 1000
      and isPlausibleVersion(stamp.to) and isPlausibleVersion(stamp.floor)
      and isInteger(stamp.asOf) and type(stamp.origin) == 'string' and type(stamp.gtid) == 'string'
      and areVersions(stamp.rings) and areVersions(stamp.tables) and areHoles(stamp.holes)
      and areCompletenesses(stamp.complete) and (stamp.again == nil or isInteger(stamp.again))
      and (stamp.lostAt == nil or isInteger(stamp.lostAt)) then
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

-- An empty list would be written as an empty object.
local function writeStamp(key, stamp)
  if #stamp.holes == 0 then
    stamp.holes = nil
  end
  if next(stamp.complete) == nil then
    stamp.complete = nil
  end
  redis.call('SET', key, cjson.encode(stamp))
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

-- `exactness` as in the header, `x` also as `X`: an inexact read may hold more than its version says, so also what was lost.
local function isInHole(stamp, version, exactness)
  for _, hole in ipairs(stamp.holes) do
    if (version > hole[1] or string.lower(exactness) ~= 'x') and version < hole[2] then
      return true
    end
  end
  return false
end
