-- APPLY: one message, whole: the changes of one span of the binlog, and the stamp that says so.
--   KEYS  stamp, then one entry a change
--   ARGV  the message's head (JSON: BatchHead, changeTables, and `now`: ms since 1970, by the applier's clock),
--         force ("1": go on over a gap),
--         then for each change: op (1) version (45) shape (8) table's number (4); body
--   ->    {"applied", to, key...}  the stamp's `to` now; the keys whose removed entries want to be read back, some of
--                                  them where there are very many
--         {"fenced", plan}         the message is of a plan that was replaced
--         {"gap", to}              what lies between the stamp's `to` and the message's `from` never came
-- A message that was applied before, or a part of it, is free of effect: each change is compared with the stamp.
local READ_BACK_MAX, HOLES_MAX = 1000, 16
local batch = cjson.decode(ARGV[1])
local stamp = readStamp(KEYS[1])
local toBefore, epochBefore = stamp and stamp.to, stamp and string.sub(stamp.to, 1, 10)
if stamp and batch.plan < stamp.plan then
  return {'fenced', string.format('%.0f', stamp.plan)}
end
if not stamp then
  -- Whatever lies here, nobody knows what it missed.
  stamp = {plan = 0, to = batch.from, floor = batch.from, asOf = 0, rings = {}, tables = {}, holes = {}, complete = {},
    lostAt = batch.now}
elseif batch.from > stamp.to then
  if ARGV[2] ~= '1' then
    return {'gap', stamp.to}
  end
  stamp.to = batch.from
  stamp.floor = batch.from
  stamp.lostAt = batch.now
end

-- Those in both keep since when they hold; new ones hold from now on; the others go.
local function renew(known, named)
  local renewed = {}
  for _, name in ipairs(named) do
    renewed[name] = known[name] or stamp.to
  end
  return renewed
end
if batch.plan > stamp.plan and not (batch.rings and batch.tables) then
  -- The message that brought the plan was lost; the next heartbeat brings it again.
  batch.rings, batch.tables = {}, {}
end
if batch.rings and batch.tables then
  stamp.rings = renew(stamp.rings, batch.rings)
  stamp.tables = renew(stamp.tables, batch.tables)
end
for followed in pairs(stamp.complete) do
  if not stamp.tables[followed] then
    stamp.complete[followed] = nil
  end
end
stamp.plan = batch.plan
for followed, floor in pairs(batch.floors or {}) do
  if stamp.tables[followed] and stamp.tables[followed] < floor then
    stamp.tables[followed] = floor
  end
end
if batch.hole then
  local known = false
  for _, hole in ipairs(stamp.holes) do
    known = known or (hole[1] == batch.hole[1] and hole[2] == batch.hole[2])
  end
  if not known then
    table.insert(stamp.holes, batch.hole)
  end
end
-- What lies below the floor counts for nobody anyway. Of too many the oldest goes, and all from before its end with it.
table.sort(stamp.holes, function(one, other) return one[2] < other[2] end)
if #stamp.holes > HOLES_MAX and stamp.holes[#stamp.holes - HOLES_MAX][2] > stamp.floor then
  stamp.floor = stamp.holes[#stamp.holes - HOLES_MAX][2]
end
while stamp.holes[1] and stamp.holes[1][2] <= stamp.floor do
  table.remove(stamp.holes, 1)
end

-- Under no ring would it be trusted.
local function isUntrusted(header, followed)
  local version = versionOf(header)
  if isInHole(stamp, version, string.sub(header, 3, 3)) then
    return true
  end
  for ring in pairs(stamp.rings) do
    local floor = floorOf(stamp, followed, ring)
    if floor and version >= floor then
      return false
    end
  end
  return true
end

-- Rows of an earlier epoch cannot be told to be newer than the changes of this one. Where these may be from before what
-- was read here, the mirrors say nothing until all that there was by now has been told. They are not where they go on from
-- the very place that had been told, unless a snapshot is ahead of it.
local function mayTellOlder()
  if batch.from ~= toBefore then
    return true
  end
  for followed in pairs(stamp.tables) do
    if redis.call('EXISTS', deletedKey(KEYS[1], followed)) == 1 then
      return true
    end
  end
  return false
end
if epochBefore and epochBefore < string.sub(batch.to, 1, 10) and mayTellOlder() then
  stamp.again = batch.now
end

local readBack = {}

local function changeCached(entry, op, version, shape, followed, body)
  local header = readHeader(entry)
  if not header then
    -- Nothing, or nothing that we can read: then it goes, like the lease under which something may be read just now
    -- that is from before this change.
    redis.call('UNLINK', entry .. ':lease', entry)
  else
    redis.call('DEL', entry .. ':lease')
  end
  if header and versionOf(header) < version then
    local exactness = string.sub(header, 3, 3)
    local isExact = string.lower(exactness) == 'x'
    if (op == 'W' or op == 'N') and isExact and not isUntrusted(header, followed) then
      -- When and where it was first read, and its TTL, stay what they were.
      local kind = op == 'W' and 'R' or 'N'
      local renewed = '1' .. kind .. exactness .. version .. shape .. string.sub(header, 57, 70)
      redis.call('SET', entry, renewed .. body, 'KEEPTTL')
    else
      redis.call('UNLINK', entry)
      if op == 'R' and #readBack < READ_BACK_MAX then table.insert(readBack, entry) end
    end
  end
end

-- A mirrored row is there or not, whatever was there before.
local function changeMirrored(entry, op, version, shape, followed, body)
  if op == 'X' then
    -- What a snapshot has read from before this change must not be written after it.
    local deleted = deletedKey(KEYS[1], followed)
    ensureHash(deleted)
    if redis.call('EXISTS', deleted) == 1 then
      redis.call('HSET', deleted, entry, version)
    end
  end
  local present = mirroredVersion(entry)
  if present and present >= version then
    return
  end
  if op == 'X' then
    redis.call('UNLINK', entry)
  else
    writeMirrored(entry, op == 'P' and 'R' or 'T', version, shape, body)
  end
end

for index = 2, #KEYS do
  local entry, head, body = KEYS[index], ARGV[2 * index - 1], ARGV[2 * index]
  local op, version, shape = string.sub(head, 1, 1), string.sub(head, 2, 46), string.sub(head, 47, 54)
  if version > stamp.to then
    local followed = batch.changeTables[tonumber(string.sub(head, 55, 58)) + 1]
    local change = (op == 'P' or op == 'T' or op == 'X') and changeMirrored or changeCached
    change(entry, op, version, shape, followed, body)
  end
end

if batch.to >= stamp.to then
  stamp.to = batch.to
  stamp.origin = batch.origin
  stamp.gtid = batch.gtid
  -- Below the stamp it is no word about what is here: a capture that resumed from before would make changes that are
  -- dropped look fresh. A later epoch may begin at a place that was passed before: what was known as of a time may be
  -- ahead again.
  if batch.asOf > stamp.asOf or (epochBefore and epochBefore < string.sub(stamp.to, 1, 10)) then
    stamp.asOf = batch.asOf
  end
end
if stamp.again and stamp.asOf >= stamp.again then
  stamp.again = nil
end
stamp.origin = stamp.origin or batch.origin
stamp.gtid = stamp.gtid or batch.gtid
writeStamp(KEYS[1], stamp)
return {'applied', stamp.to, unpack(readBack)}
