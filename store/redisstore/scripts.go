package redisstore

import (
	"crypto/sha1"
	"encoding/hex"
)

// script is a Lua script and the name under which servers cache it.
type script struct {
	text, sha string
	// again says that it may be sent again when an answer was lost. One that
	// may have changed something must not: the second answer would deny the
	// first one's success.
	again bool
}

func newScript(text string) *script {
	text = prelude + text
	sum := sha1.Sum([]byte(text)) // the protocol's choice; nothing secret or forged here
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

func newReadingScript(text string) *script {
	s := newScript(text)
	s.again = true
	return s
}

// scripts are all there are. Each is one step that nothing comes between. A
// script that changes nothing, because its condition does not hold, answers
// nil. Positions in records count from 1 here, see record.go for the layout.
//
// Numbers are doubles in Lua: milliseconds and versions stay below 2^53, and
// what may be larger (nonces) is compared as bytes.
type scripts struct {
	insert, read, confirm, update, end, sweep, list, walk *script
	insertGrant, consumeGrant, deleteGrants               *script
	spend, deleteLimits                                   *script
}

func newScripts() *scripts {
	return &scripts{
		insert:       newScript(refuseLua + keepLua + insertLua),
		read:         newReadingScript(refuseLua + readLua),
		confirm:      newScript(refuseLua + confirmLua),
		update:       newScript(refuseLua + keepLua + tellLua + updateLua),
		end:          newScript(getLua + tellLua + endLua),
		sweep:        newScript(getLua + sweepLua),
		list:         newReadingScript(getLua + listLua),
		walk:         newReadingScript(getLua + walkLua),
		insertGrant:  newScript(refuseLua + insertGrantLua),
		consumeGrant: newScript(refuseLua + consumeGrantLua),
		deleteGrants: newScript(deleteGrantsLua),
		spend:        newScript(spendLua),
		deleteLimits: newScript(deleteLimitsLua),
	}
}

// prelude makes Redis 6.2 replicate what a script did and not the script: less
// to write to replicas and file, and allowed after commands whose answer may
// differ there. Newer servers always do.
const prelude = `if redis.replicate_commands then redis.replicate_commands() end
`

// refuseLua defines refuse: the answer nil, after a write that changes nothing.
// A server that has become a replica, and may be behind, says READONLY to that
// instead of refusing in the primary's name.
const refuseLua = `
local function refuse(key)
  redis.call('SETRANGE', key, 0, '')
  return false
end
`

// getLua defines get: a record that the script found by its id. It asks for the
// set that named it as well, which makes the difference while a Cluster moves
// the slot: a node that does not have all of several keys refuses, but denies a
// single one that the other node still has. We would take a session for gone.
const getLua = `
local function get(key)
  return redis.call('MGET', key, KEYS[1])[1]
end
`

// keepLua defines keep: a key lives for ttl more milliseconds at least.
const keepLua = `
local function keep(key, ttl)
  local left = redis.call('PTTL', key)
  if left ~= -2 and left < tonumber(ttl) then
    redis.call('PEXPIRE', key, ttl)
  end
end
`

// tellLua defines tell: append to the feed, at the time that the entry tells or
// right behind the last entry if that is later. The last id outlives the
// entries, so ids never come again nor go backwards, whatever was trimmed and
// whichever node's clock is behind.
const tellLua = `
local function tell(feed, at, entry)
  local last, seq = 0, 0
  if redis.call('EXISTS', feed) == 1 then
    local info = redis.call('XINFO', 'STREAM', feed)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        last, seq = string.match(info[i + 1], '(%d+)-(%d+)')
        last, seq = tonumber(last), tonumber(seq)
      end
    end
  end
  local id
  if at > last then
    id = string.format('%.0f-0', at)
  else
    id = string.format('%.0f-%.0f', last, seq + 1)
  end
  redis.call('XADD', feed, id, 'r', entry)
end
`

// insertLua: KEYS record, user's index, sweep; ARGV record, ttl, id, dead since.
const insertLua = `
if redis.call('EXISTS', KEYS[1]) == 1 then return refuse(KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[3])
keep(KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[3])
return 1
`

// readLua: KEYS record. It answers the record.
const readLua = `
return redis.call('GET', KEYS[1]) or refuse(KEYS[1])
`

// confirmLua: KEYS record; ARGV generation and nonce that must be there, now,
// bytes 10 to 69 that come there. It answers the record as it was: the caller
// knows what has changed. A session bound to a key (format 2) is not confirmed. SETRANGE leaves the time to live alone.
const confirmLua = `
local r = redis.call('GET', KEYS[1])
if not r or string.byte(r) ~= 1 or string.sub(r, 10, 21) ~= ARGV[1] then return refuse(KEYS[1]) end
local idle, expires, ended, held = struct.unpack('>i8i8i8i8', r, 62)
local now = tonumber(ARGV[2])
if ended ~= 0 or held ~= 0 or now >= idle or now >= expires then return refuse(KEYS[1]) end
local version = struct.unpack('>i8', r, 2)
redis.call('SETRANGE', KEYS[1], 1, struct.pack('>i8', version + 1) .. ARGV[3])
return r
`

// updateLua: KEYS record, sweep, feed; ARGV version that must be there, head,
// tail, ttl, id, dead since, prefix of indexes, and to tell: time, entry. The
// index is not among KEYS and comes first: a Cluster that is moving it would
// stop the script there, and what it has done stays done.
const updateLua = `
local r = redis.call('GET', KEYS[1])
if not r or string.byte(r) > 2 or string.sub(r, 2, 9) ~= ARGV[1] then return refuse(KEYS[1]) end
local user = struct.unpack('>I2c0', r, 110)
local kept = string.sub(r, 102, 111 + #user)
keep(ARGV[7] .. user, ARGV[4])
redis.call('SET', KEYS[1], ARGV[2] .. kept .. ARGV[3], 'PX', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[5])
if ARGV[9] then tell(KEYS[3], tonumber(ARGV[8]), ARGV[9]) end
return 1
`

// endLua: KEYS user's index, sweep, feed; ARGV prefix of records, id to spare,
// device, at, the same as bytes, reason with its length, end of the feed's
// entry, ttl, the only id or "". It changes nothing before it has understood
// all. Where there is nothing to end it writes to the index all the same: for
// the reason of refuse, and so that waiting for replicas covers an end that was
// made before and answered with an outage.
const endLua = `
local at, ending = tonumber(ARGV[4]), {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local named = id ~= ARGV[2] and (ARGV[9] == '' or ARGV[9] == id)
  local r = named and get(ARGV[1] .. id)
  if r then
    if string.byte(r) > 2 then return redis.error_reply('ERR a record of unknown format') end
    local expires, ended = struct.unpack('>i8i8', r, 70)
    local user = struct.unpack('>I2c0', r, 110)
    local reason = struct.unpack('>I2c0', r, 112 + #user)
    local device = struct.unpack('>I2c0', r, 114 + #user + #reason)
    if ended == 0 and at < expires and (ARGV[3] == '' or ARGV[3] == device) then
      local version = struct.unpack('>i8', r, 2)
      table.insert(ending, {id, string.sub(r, 1, 1) .. struct.pack('>i8', version + 1) ..
        string.sub(r, 10, 77) .. ARGV[5] .. string.sub(r, 86, 111 + #user) .. ARGV[6] ..
        string.sub(r, 114 + #user + #reason)})
    end
  end
end
for _, s in ipairs(ending) do
  redis.call('SET', ARGV[1] .. s[1], s[2], 'PX', ARGV[8])
  redis.call('ZADD', KEYS[2], ARGV[4], s[1])
  tell(KEYS[3], at, s[1] .. ARGV[7])
end
if #ending == 0 then
  redis.call('ZREM', KEYS[1], '')
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
end
return #ending
`

// sweepLua: KEYS sweep; ARGV t, how many to look at, prefix of records, prefix
// of indexes. It answers how many it removed and looked at.
const sweepLua = `
local t, removed = tonumber(ARGV[1]), 0
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  local r = get(ARGV[3] .. id)
  if not r then
    redis.call('ZREM', KEYS[1], id)
  elseif string.byte(r) > 2 then
    return redis.error_reply('ERR a record of unknown format')
  else
    local idle, expires, ended = struct.unpack('>i8i8i8', r, 62)
    local dead = ended ~= 0 and ended or math.min(idle, expires)
    if dead < t then
      redis.call('DEL', ARGV[3] .. id)
      redis.call('ZREM', ARGV[4] .. struct.unpack('>I2c0', r, 110), id)
      redis.call('ZREM', KEYS[1], id)
      removed = removed + 1
    else
      redis.call('ZADD', KEYS[1], dead, id)
    end
  end
end
return {removed, #due}
`

// listLua: KEYS user's index; ARGV prefix of records, last id of the page
// before, limit. It answers ids and records in turn, and takes out of the index
// those whose records have gone by themselves.
const listLua = `
local found, after, left = {}, '(' .. ARGV[2], tonumber(ARGV[3])
while left > 0 do
  local ids = redis.call('ZRANGEBYLEX', KEYS[1], after, '+', 'LIMIT', 0, left)
  if #ids == 0 then break end
  for _, id in ipairs(ids) do
    local r = get(ARGV[1] .. id)
    if r then
      table.insert(found, id)
      table.insert(found, r)
      left = left - 1
    else
      redis.call('ZREM', KEYS[1], id)
    end
  end
  after = '(' .. ids[#ids]
end
return found
`

// walkLua: KEYS sweep; ARGV prefix of records, run id of the server that the
// cursor is from, cursor, how many about. It answers run id and next cursor,
// then ids and records in turn. A cursor counts buckets of a hash table that
// each process lays out in its own way: from another one, after a fail-over or
// a restart, it would pass over some, so the part begins again.
const walkLua = `
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local cursor = ARGV[2] == run and ARGV[3] or '0'
local page = redis.call('ZSCAN', KEYS[1], cursor, 'COUNT', ARGV[4])
local found = {run, page[1]}
for i = 1, #page[2], 2 do
  local r = get(ARGV[1] .. page[2][i])
  if r then
    table.insert(found, page[2][i])
    table.insert(found, r)
  end
end
return found
`

// insertGrantLua: KEYS grant, grants; ARGV record, ttl, id, expiry.
const insertGrantLua = `
if redis.call('EXISTS', KEYS[1]) == 1 then return refuse(KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
return 1
`

// consumeGrantLua: KEYS grant; ARGV time of use as bytes. It answers the record
// as it was, in which a time of use says that this one came too late.
const consumeGrantLua = `
local r = redis.call('GET', KEYS[1])
if not r then return refuse(KEYS[1]) end
if string.byte(r) ~= 1 then return redis.error_reply('ERR a record of unknown format') end
if string.sub(r, 2, 9) == string.rep('\0', 8) then
  redis.call('SETRANGE', KEYS[1], 1, ARGV[1])
else
  refuse(KEYS[1])
end
return r
`

// deleteGrantsLua: KEYS grants; ARGV t, limit, prefix of grants.
const deleteGrantsLua = `
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  redis.call('DEL', ARGV[3] .. id)
  redis.call('ZREM', KEYS[1], id)
end
return #due
`

// spendLua: KEYS limits; ARGV key, now, cost, capacity. It answers whether it
// fits, and when the bucket is empty.
const spendLua = `
local now, cost, capacity = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local stored = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or nil)
local empty = math.max(now, stored or now) + cost
if empty > now + capacity then return {0, stored or now} end
redis.call('ZADD', KEYS[1], empty, ARGV[1])
return {1, empty}
`

// deleteLimitsLua: KEYS limits; ARGV t, limit.
const deleteLimitsLua = `
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, key in ipairs(due) do redis.call('ZREM', KEYS[1], key) end
return #due
`
