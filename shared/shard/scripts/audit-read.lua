-- AUDIT, read what lies under a mirror's keys, and the stamp by which it is judged. One reply a row, not one a column: most
-- of an audit's time would go there.
--   KEYS  stamp, then any number of keys
--   ARGV  about how many bytes are enough
--   ->    {stamp, row...}  of as many keys as that: "" nothing; a hash as HGETALL has it, in MessagePack;
--                          "!" and the type of anything else; "!ours" a cached row, of when the table was no mirror
local found = {redis.pcall('GET', KEYS[1])}
if type(found[1]) ~= 'string' then
  found[1] = ''
end
local bytes, enough = 0, tonumber(ARGV[1])
for index = 2, #KEYS do
  local pairs = redis.pcall('HGETALL', KEYS[index])
  if pairs.err then
    found[index] = readHeader(KEYS[index]) and '!ours' or '!' .. redis.call('TYPE', KEYS[index]).ok
  elseif #pairs == 0 then
    found[index] = ''
  else
    found[index] = cmsgpack.pack(pairs)
    bytes = bytes + #found[index]
  end
  if bytes > enough then
    break
  end
end
return found
