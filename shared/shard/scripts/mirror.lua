-- What the scripts of mirrors share; shared/entry/mirror-entry.ts has the field.

local MIRROR_FIELD = ':row'

-- The version of a mirrored row; nil where there is none, or something else under its key.
local function mirroredVersion(key)
  local field = redis.pcall('HGET', key, MIRROR_FIELD)
  if type(field) == 'string' and string.len(field) == 54 then
    return string.sub(field, 2, 46)
  end
  return nil
end

-- `kind` as in the field; `texts`: the columns' texts as JSON, none where the row is too large.
local function writeMirrored(key, kind, version, shape, texts)
  redis.call('UNLINK', key)
  local fields = {MIRROR_FIELD, kind .. version .. shape}
  if kind == 'R' then
    for name, text in pairs(cjson.decode(texts)) do
      fields[#fields + 1] = name
      fields[#fields + 1] = text
    end
  end
  -- So many arguments fit on the stack; a table may have 4,096 columns.
  for first = 1, #fields, 1000 do
    redis.call('HSET', key, unpack(fields, first, math.min(first + 999, #fields)))
  end
end

-- Beside the stamp: how far a snapshot of this table has come; what was deleted since its chunk began, and when; and
-- the same of the chunk before.
local function snapshotKey(stampKey, followed)
  return stampKey .. ':snapshot:' .. followed
end

local function deletedKey(stampKey, followed)
  return stampKey .. ':deleted:' .. followed
end

local function deletedBeforeKey(stampKey, followed)
  return stampKey .. ':deleted-before:' .. followed
end

-- Whatever else than a hash lies under a key of these goes: it would fail every script that has to do with the table.
local function ensureHash(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('UNLINK', key)
  end
end

local function dropSnapshot(stampKey, followed)
  redis.call('DEL', snapshotKey(stampKey, followed), deletedKey(stampKey, followed),
    deletedBeforeKey(stampKey, followed))
end

-- Whether a snapshot is still this run's, and all that the run has done so far is here: each of its scripts has a number,
-- one more than the last. A server that comes back, or a replica that takes over, may lack the last of them, rows that are
-- counted as written too; and who goes on there must not notice it by a closed connection alone.
local function takeTurn(state, token, turn)
  ensureHash(state)
  local ours = redis.call('HMGET', state, 'token', 'turn')
  if ours[1] ~= token or ours[2] ~= turn then
    return false
  end
  redis.call('HINCRBY', state, 'turn', 1)
  return true
end

-- From which version on a snapshot's rows are; nothing where that is none.
local function sinceIn(state)
  local since = redis.call('HGET', state, 'since')
  return isVersion(since) and since
end

-- Whether what was written as of this version or later counts, all of it.
local function countsSince(stamp, since, floor)
  if since < floor then
    return false
  end
  for _, hole in ipairs(stamp.holes) do
    if since < hole[2] then
      return false
    end
  end
  return true
end

-- The definitions of a ring by which a snapshot places rows travel as one text, the newest first, joined by commas.
local function newestOf(rings)
  return string.match(rings, '^[^,]*')
end

local function ringsInBoth(rings, others)
  local both = {}
  for ring in string.gmatch(rings, '[^,]+') do
    if string.find(',' .. others .. ',', ',' .. ring .. ',', 1, true) then
      both[#both + 1] = ring
    end
  end
  return table.concat(both, ',')
end
