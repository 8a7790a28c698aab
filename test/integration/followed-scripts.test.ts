/** LEASE, FILL, APPLY and release of followed tables on a real Redis: each outcome by its name, and what they leave. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Redis } from 'ioredis';
import { type ChangeBatch, decodeBatch, encodeBatch } from '../../shared/change/change-batch.ts';
import type { ChangeOp } from '../../shared/change/change.ts';
import { decodeEntry, type Entry, VERSION_ZERO } from '../../shared/entry/entry.ts';
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import { leaseKey, stampKey } from '../../shared/key/cache-key.ts';
import type { LeaseOver } from '../../shared/shard/fill-scripts.ts';
import { type LeaseOutcome, Shard } from '../../shared/shard/shard.ts';
import { decodeStamp } from '../../shared/stamp/stamp.ts';
import { epochStart, versionOf } from '../../shared/version/version.ts';
import { startRedis } from '../../stack/redis.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { redisUrl } from '../support/least-privilege.ts';

const SHAPE = 'shape--1';
const TABLE = 'shop.users(id)';
const RING = 'ring-hash-01';
const stack = await testStack();
const port = stack.redis[0]?.port as number;
const redis = new Redis({ host: '127.0.0.1', port });
after(() => redis.disconnect());

/** The version of a place, or of a change there. */
const at = (position: number, ordinal?: number, epoch = 1) => versionOf(epoch, { file: 'b.7', position }, ordinal);

interface Place {
  readonly shard: Shard;
  readonly stamp: string;
  readonly key: string;
}

let places = 0;

/** A shard that nobody else uses: the keys begin anew. */
async function newPlace(onPort = port): Promise<Place> {
  const prefix = `followed-${process.pid}-${(places += 1)}:`;
  const shard = new Shard({
    name: 'r1',
    ring: 'primary',
    endpoint: redisUrl(onPort),
    followed: { stampKey: stampKey(prefix) },
    timeoutMs: 2_000,
    failuresToOpen: 3,
    onChange: () => undefined,
  });
  after(() => shard.stop());
  await shard.start();
  return { shard, stamp: stampKey(prefix), key: `${prefix}shop_users_1` };
}

function apply({ shard }: Place, batch: Partial<ChangeBatch>, force = false) {
  const whole = { plan: 1, from: at(0), to: at(100), asOf: 5_000, origin: 'o', gtid: 'g', changes: [], ...batch };
  return shard.apply(decodeBatch(encodeBatch(whole)), force);
}

const FOLLOWED_AS = { table: TABLE, ring: RING };
const PLAN = { rings: [RING], tables: [TABLE] };

async function followed(batch: Partial<ChangeBatch> = {}, onPort?: number): Promise<Place> {
  const place = await newPlace(onPort);
  assert.deepEqual(await apply(place, { ...PLAN, ...batch }), {
    kind: 'applied',
    to: batch.to ?? at(100),
    readBack: [],
  });
  return place;
}

function change(key: string, version: string, op: ChangeOp = 'write', body = '{"v":2}') {
  return { op, table: TABLE, key, shape: SHAPE, version, body: Buffer.from(op === 'write' ? body : '') };
}

const entry = (version: string, fields: Partial<Entry> = {}): Entry => ({
  kind: 'row',
  exactness: 'exact',
  isSecondHand: false,
  version,
  shape: SHAPE,
  readAtMs: Date.now(),
  ttlSeconds: 600,
  body: Buffer.from('{"v":1}'),
  ...fields,
});

const lease = ({ shard, key }: Place, over: LeaseOver = 'nothing', leaseTtlMs = 10_000): Promise<LeaseOutcome> =>
  shard.lease(key, { followedAs: FOLLOWED_AS, shape: SHAPE, leaseTtlMs, over });

async function tokenOf(place: Place, over?: LeaseOver): Promise<string> {
  const outcome = await lease(place, over);
  assert.equal(outcome.kind, 'lease');
  return outcome.kind === 'lease' ? outcome.token : '';
}

const fill = ({ shard, key }: Place, token: string, filled: Entry, ttlMs = 600_000) =>
  shard.fill(key, token, filled, ttlMs, { table: TABLE, ring: RING });

async function stored(place: Place, filled: Entry, ttlMs?: number): Promise<void> {
  assert.equal(await fill(place, await tokenOf(place, 'lease'), filled, ttlMs), 'stored');
}

async function stampOf({ stamp }: Place) {
  const bytes = await redis.getBuffer(stamp);
  return bytes === null ? undefined : decodeStamp(bytes);
}

async function entryOf({ key }: Place) {
  const bytes = await redis.getBuffer(key);
  return bytes === null ? undefined : decodeEntry(bytes);
}

test('LEASE off: no stamp, a corrupt one, another ring, another table', async () => {
  const place = await newPlace();
  assert.deepEqual(await lease(place), { kind: 'off' });
  for (const corrupt of [
    '',
    '{',
    '[]',
    'null',
    '7',
    '{"plan":1}',
    '{"plan":"1","to":"","floor":"","rings":{},"tables":{}}',
  ]) {
    await redis.set(place.stamp, corrupt);
    assert.deepEqual(await lease(place), { kind: 'off' }, corrupt);
  }
  await redis.del(place.stamp);
  await redis.hset(place.stamp, 'not', 'a stamp');
  assert.deepEqual(await lease(place), { kind: 'off' });
  for (const plan of [{ rings: ['other'] }, { tables: ['shop.users(uid)'] }]) {
    assert.deepEqual(await lease(await followed(plan)), { kind: 'off' });
  }
});

test('LEASE lease, busy, entry: one fills, and says from which stamp on; the others wait for the entry', async () => {
  const place = await followed();
  const first = await lease(place);
  assert.ok(first.kind === 'lease');
  assert.deepEqual(first.base, { to: at(100), origin: 'o', gtid: 'g' });
  assert.deepEqual(await lease(place), { kind: 'busy' });
  assert.deepEqual(await lease(place, 'entry'), { kind: 'busy' });
  assert.equal(await fill(place, first.token, entry(at(100))), 'stored');
  const faster = await lease(place);
  assert.equal(faster.kind === 'entry' && decodeEntry(faster.stored)?.body.toString(), '{"v":1}');
});

test('LEASE is given over an entry that does not count: another shape, expired, below a floor, in a hole', async () => {
  const cases: [Partial<Entry>, Partial<ChangeBatch>][] = [
    [{ shape: 'shape--2' }, {}],
    [{ readAtMs: Date.now() - 601_000 }, {}],
    [{}, { floors: { [TABLE]: at(150) } }],
    [{}, { hole: [at(99), epochStart(2)] }],
    [{ exactness: 'inexact' }, { hole: [at(140), epochStart(2)] }],
    [{ exactness: 'inexact', isSecondHand: true }, { hole: [at(140), epochStart(2)] }],
  ];
  for (const [fields, batch] of cases) {
    const place = await followed();
    await stored(place, entry(at(120), fields));
    await apply(place, { from: at(100), to: at(110), ...batch });
    assert.equal((await lease(place)).kind, 'lease', JSON.stringify([fields, batch]));
  }
  const place = await followed();
  await stored(place, entry(at(120)));
  await apply(place, { from: at(100), to: at(110), hole: [at(140), epochStart(2)] });
  assert.equal((await lease(place)).kind, 'entry', 'exact, and from before the hole');
});

test('LEASE over `lease` takes it out of another’s hands, whose fill is lost', async () => {
  const place = await followed();
  const earlier = await tokenOf(place);
  const later = await tokenOf(place, 'lease');
  assert.equal(await fill(place, earlier, entry(at(100))), 'lost');
  assert.equal(await fill(place, later, entry(at(100))), 'stored');
});

test('FILL lost: the lease ran out, was given back, was taken by a change, or is no lease', async () => {
  const place = await followed();
  assert.equal(await fill(place, 'nobody', entry(at(100))), 'lost');
  const released = await tokenOf(place);
  await place.shard.release(place.key, released, 'keep');
  assert.equal(await fill(place, released, entry(at(100))), 'lost');
  const overtaken = await tokenOf(place);
  await apply(place, { from: at(100), to: at(200), changes: [change(place.key, at(200, 1))] });
  assert.equal(await fill(place, overtaken, entry(at(200))), 'lost');
  assert.equal(await redis.exists(place.key), 0, 'what nobody has read is not written');
  const spoilt = await tokenOf(place);
  await redis.del(leaseKey(place.key));
  await redis.hset(leaseKey(place.key), 'not', 'a lease');
  assert.equal(await fill(place, spoilt, entry(at(200))), 'lost');
  await redis.set(leaseKey(place.key), 'short');
  assert.equal(await fill(place, spoilt, entry(at(200))), 'lost');
});

test('FILL off, early, older: each takes the lease along and leaves what is there', async () => {
  const off = await followed();
  const offToken = await tokenOf(off);
  await apply(off, { plan: 2, from: at(100), to: at(110), rings: ['other'], tables: [TABLE] });
  assert.equal(await fill(off, offToken, entry(at(110))), 'off');
  assert.equal(await redis.exists(leaseKey(off.key)), 0);

  const early = await followed();
  assert.equal(await fill(early, await tokenOf(early), entry(at(99))), 'early', 'below S0');
  const floored = await tokenOf(early);
  await apply(early, { from: at(100), to: at(110), floors: { [TABLE]: at(110) } });
  assert.equal(await fill(early, floored, entry(at(105))), 'early', 'below a floor');
  const holed = await tokenOf(early);
  await apply(early, { from: at(110), to: at(0, undefined, 2), hole: [at(110), epochStart(2)] });
  assert.equal(await fill(early, holed, entry(at(150))), 'early', 'in a hole');
  assert.equal(await redis.exists(leaseKey(early.key)), 0);
  assert.equal(await redis.exists(early.key), 0);

  const older = await followed();
  await stored(older, entry(at(150)));
  assert.equal(await fill(older, await tokenOf(older, 'entry'), entry(at(149))), 'older');
  assert.equal((await entryOf(older))?.version, at(150));
  assert.equal(await redis.exists(leaseKey(older.key)), 0);
});

test('FILL stored: at S0 itself, over an equal version, and over a value of another type', async () => {
  const place = await followed();
  await stored(place, entry(at(100)));
  await stored(place, entry(at(100), { body: Buffer.from('{"v":9}') }));
  assert.equal((await entryOf(place))?.body.toString(), '{"v":9}');
  await redis.del(place.key);
  await redis.hset(place.key, 'not', 'an entry');
  await stored(place, entry(at(100)));
  assert.equal((await entryOf(place))?.body.toString(), '{"v":1}');
});

test('release gives back and drops under the own lease only', async () => {
  const place = await followed();
  await stored(place, entry(at(100)));
  const held = await tokenOf(place, 'entry');
  await place.shard.release(place.key, `${held}0`, 'drop');
  await place.shard.release(place.key, held.slice(0, -1), 'drop');
  assert.equal(await redis.exists(place.key, leaseKey(place.key)), 2);
  await place.shard.release(place.key, held, 'drop');
  assert.equal(await redis.exists(place.key, leaseKey(place.key)), 0);
});

test('APPLY makes a stamp where there is none, or a corrupt one: floor, rings and tables from `from` on', async () => {
  for (const before of [undefined, '{"plan":9']) {
    const place = await newPlace();
    if (before !== undefined) await redis.set(place.stamp, before);
    const early = Date.now();
    await apply(place, { ...PLAN, from: at(50) });
    const { lostAt = 0, ...stamp } = (await stampOf(place)) ?? {};
    assert.ok(lostAt >= early && lostAt <= Date.now(), 'when it was found so');
    assert.deepEqual(stamp, {
      plan: 1,
      to: at(100),
      floor: at(50),
      asOf: 5_000,
      origin: 'o',
      gtid: 'g',
      rings: { [RING]: at(50) },
      tables: { [TABLE]: at(50) },
      holes: [],
      complete: {},
    });
  }
  const place = await newPlace();
  await apply(place, {});
  const stamp = await stampOf(place);
  assert.deepEqual([stamp?.rings, stamp?.tables], [{}, {}], 'until a message brings the plan');
});

test('APPLY overwrites an exact entry: the change’s version, shape and body; time of reading and TTL as they were', async () => {
  const place = await followed();
  const readAtMs = Date.now() - 5_000;
  await stored(place, entry(at(100), { readAtMs, ttlSeconds: 77 }), 50_000);
  const shaped = { ...change(place.key, at(200, 3)), shape: 'shape--2' };
  await apply(place, { from: at(100), to: at(200), changes: [shaped] });
  const bytes = await redis.getBuffer(place.key);
  assert.equal(bytes?.toString('latin1', 0, 56), `1Rx${at(200, 3)}shape--2`);
  assert.deepEqual(bytes && decodeEntry(bytes), {
    kind: 'row',
    exactness: 'exact',
    isSecondHand: false,
    version: at(200, 3),
    shape: 'shape--2',
    readAtMs,
    ttlSeconds: 77,
    body: Buffer.from('{"v":2}'),
  });
  const left = await redis.pttl(place.key);
  assert.ok(left > 0 && left <= 50_000, `TTL ${left}`);

  await apply(place, { from: at(200), to: at(300), changes: [change(place.key, at(300, 1), 'absent')] });
  const negative = await redis.getBuffer(place.key);
  assert.equal(negative?.length, 70);
  assert.equal(negative && decodeEntry(negative)?.kind, 'negative');
});

test('what is second-hand stays so: an exact one when it is overwritten, an inexact one goes', async () => {
  const place = await followed();
  await stored(place, entry(at(100), { isSecondHand: true }));
  await apply(place, { from: at(100), to: at(200), changes: [change(place.key, at(200, 3))] });
  const bytes = (await redis.getBuffer(place.key)) as Buffer;
  assert.equal(bytes.toString('latin1', 0, 48), `1RX${at(200, 3)}`);

  const other = await followed();
  await stored(other, entry(at(100), { exactness: 'inexact', isSecondHand: true }));
  await apply(other, { from: at(100), to: at(200), changes: [change(other.key, at(200, 3))] });
  assert.equal(await redis.exists(other.key), 0);
});

test('APPLY removes: op remove and refresh, an inexact entry, one below a floor; only refresh is to be read back', async () => {
  const cases: [ChangeOp, Partial<Entry>, Partial<ChangeBatch>][] = [
    ['remove', {}, {}],
    ['refresh', {}, {}],
    ['write', { exactness: 'inexact' }, {}],
    ['absent', { exactness: 'inexact' }, {}],
    ['write', {}, { floors: { [TABLE]: at(150) } }],
  ];
  for (const [op, fields, batch] of cases) {
    const place = await followed();
    await stored(place, entry(at(100), fields));
    const changes = [change(place.key, at(200, 1), op)];
    const outcome = await apply(place, { from: at(100), to: at(200), ...batch, changes });
    const readBack = op === 'refresh' ? [place.key] : [];
    assert.deepEqual(outcome, { kind: 'applied', to: at(200), readBack });
    assert.equal(await redis.exists(place.key), 0, op);
  }
});

test('APPLY leaves a newer entry, writes nothing where nothing is, and removes what it cannot read', async () => {
  const newer = await followed();
  await stored(newer, entry(at(250)));
  await apply(newer, { from: at(100), to: at(200), changes: [change(newer.key, at(200, 1))] });
  assert.equal((await entryOf(newer))?.version, at(250));

  for (const spoilt of ['hash', 'short', 'another layout'] as const) {
    const place = await followed();
    if (spoilt === 'hash') await redis.hset(place.key, 'not', 'an entry');
    else await redis.set(place.key, spoilt === 'short' ? '1Rx' : '2'.repeat(100));
    await apply(place, { from: at(100), to: at(200), changes: [change(place.key, at(200, 1))] });
    assert.equal(await redis.exists(place.key), 0, spoilt);
  }
});

test('APPLY fenced: a lower plan changes nothing', async () => {
  const place = await followed({ plan: 2 });
  const before = await stampOf(place);
  assert.deepEqual(await apply(place, { plan: 1, from: at(100), to: at(200), asOf: 9_000 }), { kind: 'fenced' });
  assert.deepEqual(await stampOf(place), before);
});

test('APPLY gap: nothing changes; forced, what was before counts as absent', async () => {
  const place = await followed();
  await stored(place, entry(at(100)));
  const before = await stampOf(place);
  assert.deepEqual(await apply(place, { from: at(150), to: at(200) }), { kind: 'gap', to: at(100) });
  assert.deepEqual(await stampOf(place), before);
  assert.equal((await apply(place, { from: at(150), to: at(200) }, true)).kind, 'applied');
  const after = await stampOf(place);
  assert.deepEqual([after?.to, after?.floor], [at(200), at(150)]);
  assert.equal((await lease(place)).kind, 'lease');
});

test('APPLY of a message once more, or of one that overlaps, has no effect but what is new', async () => {
  const place = await followed();
  await apply(place, {
    from: at(100),
    to: at(200),
    changes: [change(place.key, at(150, 1))],
    asOf: 6_000,
    gtid: 'later',
  });
  const token = await tokenOf(place);
  const repeat = { from: at(100), to: at(200), changes: [change(place.key, at(150, 1))], asOf: 5_500, gtid: 'earlier' };
  await apply(place, { ...repeat, to: at(180) });
  const stamp = await stampOf(place);
  assert.deepEqual([stamp?.to, stamp?.asOf, stamp?.gtid], [at(200), 6_000, 'later']);
  assert.equal(await fill(place, token, entry(at(200))), 'stored', 'a repeat takes no lease');
  await apply(place, {
    from: at(150),
    to: at(300),
    changes: [change(place.key, at(150, 1)), change(place.key, at(250, 1))],
  });
  assert.equal((await entryOf(place))?.version, at(250, 1));
});

test('APPLY of a new plan: what is in both keeps its floor, what is new begins here, the rest is gone', async () => {
  const place = await followed({ from: at(10), rings: [RING, 'old'], tables: [TABLE, 'old'] });
  await apply(place, { plan: 2, from: at(100), to: at(200), rings: [RING, 'new'], tables: [TABLE, 'new'] });
  const stamp = await stampOf(place);
  assert.deepEqual(stamp?.rings, { [RING]: at(10), new: at(100) });
  assert.deepEqual(stamp?.tables, { [TABLE]: at(10), new: at(100) });
  await apply(place, { plan: 3, from: at(200), to: at(300) });
  assert.deepEqual((await stampOf(place))?.rings, {}, 'the message that brought plan 3 was lost');
});

test('APPLY keeps a table’s highest floor, and each hole once', async () => {
  const place = await followed();
  const hole = [at(110), epochStart(2)] as const;
  await apply(place, { from: at(100), to: at(110), floors: { [TABLE]: at(110), unknown: at(110) } });
  await apply(place, { from: at(110), to: at(0, undefined, 2), floors: { [TABLE]: at(105) }, hole });
  await apply(place, { from: at(110), to: at(0, undefined, 2), hole });
  const stamp = await stampOf(place);
  assert.deepEqual(stamp?.tables, { [TABLE]: at(110) });
  assert.deepEqual(stamp?.holes, [[...hole]]);
});

test('APPLY of a later epoch does not keep what was known as of a time in the one before', async () => {
  const place = await followed({ asOf: 9_000 });
  await apply(place, { from: at(100), to: at(20, undefined, 2), asOf: 3_000 });
  assert.equal((await stampOf(place))?.asOf, 3_000);
  await apply(place, { from: at(20, undefined, 2), to: at(20, undefined, 2), asOf: 2_000 });
  assert.equal((await stampOf(place))?.asOf, 3_000, 'within an epoch it only grows');
});

test('APPLY of a later epoch that begins elsewhere marks that changes are told again, until all up to now are told', async () => {
  const place = await followed({ asOf: Date.now() });
  const again = async () => decodeStamp((await redis.getBuffer(place.stamp)) as Buffer)?.again;
  await apply(place, { from: at(100), to: at(200, undefined, 2), asOf: 1_000 });
  assert.equal(await again(), undefined, 'it goes on from where it was');
  const startedAt = Date.now();
  await apply(place, { from: at(50), to: at(60, undefined, 3), asOf: 2_000 });
  const noticedAt = (await again()) as number;
  assert.ok(noticedAt >= startedAt && noticedAt <= Date.now(), `${noticedAt}`);
  await apply(place, { from: at(60, undefined, 3), to: at(70, undefined, 3), asOf: noticedAt - 1 });
  assert.equal(await again(), noticedAt);
  await apply(place, { from: at(70, undefined, 3), to: at(70, undefined, 3), asOf: noticedAt });
  assert.equal(await again(), undefined);
});

test('APPLY of what lies below the stamp does not make it young, whatever its time', async () => {
  const place = await followed({ from: at(0, undefined, 2), to: at(100, undefined, 2) });
  const lower = { from: at(100), to: at(200), asOf: 9_000, changes: [change(place.key, at(200, 1))] };
  assert.equal((await apply(place, lower)).kind, 'applied');
  const stamp = await stampOf(place);
  assert.deepEqual([stamp?.to, stamp?.asOf], [at(100, undefined, 2), 5_000]);
});

test('APPLY takes what does not decode for no stamp', async () => {
  const place = await followed({ hole: [at(10), at(20)] });
  const good = JSON.parse((await redis.get(place.stamp)) ?? '') as Record<string, unknown>;
  const spoilt: Record<string, unknown[]> = {
    plan: ['1', null],
    to: ['', 'x'.repeat(45), 7],
    floor: ['0', null],
    asOf: ['5000', null, {}],
    origin: [7, null],
    gtid: [{}, null],
    rings: [7, { [RING]: 7 }, { [RING]: 'x' }],
    tables: [null, { [TABLE]: {} }],
    holes: [7, null, [7], [[at(10)]], [[at(10), at(20), at(30)]], [[at(10), 'x']], { 0: [at(10), at(20)] }],
  };
  for (const [field, values] of Object.entries(spoilt)) {
    for (const value of values) {
      const text = JSON.stringify({ ...good, [field]: value });
      assert.equal(decodeStamp(Buffer.from(text)), undefined, text);
      await redis.set(place.stamp, text);
      assert.deepEqual(await lease(place), { kind: 'off' }, text);
      assert.equal((await apply(place, { ...PLAN, from: at(50) })).kind, 'applied', text);
      assert.equal((await stampOf(place))?.floor, at(50), text);
    }
  }
});

test('APPLY forgets holes that lie below the floor', async () => {
  const place = await followed();
  await apply(place, { from: at(100), to: at(0, undefined, 2), hole: [at(100), epochStart(2)] });
  assert.equal((await stampOf(place))?.holes.length, 1);
  await apply(place, { from: at(50, undefined, 2), to: at(60, undefined, 2) }, true);
  const stamp = await stampOf(place);
  assert.deepEqual([stamp?.floor, stamp?.holes], [at(50, undefined, 2), []]);
});

test('APPLY keeps sixteen holes; past them the floor rises over the oldest', async () => {
  const place = await followed();
  for (let epoch = 2; epoch <= 21; epoch += 1) {
    const from = at(100, undefined, epoch - 1);
    await apply(place, { from, to: at(100, undefined, epoch), hole: [from, epochStart(epoch)] });
  }
  const stamp = await stampOf(place);
  assert.equal(stamp?.holes.length, 16);
  assert.deepEqual(stamp?.holes[0], [at(100, undefined, 5), epochStart(6)]);
  assert.equal(stamp?.floor, epochStart(5));
});

test('a fill without sync into a followed shard is below every floor', async () => {
  const place = await newPlace();
  const unsynced = { shape: SHAPE, leaseTtlMs: 10_000, over: 'nothing' as const };
  const taken = await place.shard.lease(place.key, unsynced);
  assert.ok(taken.kind === 'lease');
  await place.shard.fill(place.key, taken.token, entry(VERSION_ZERO, { exactness: 'inexact' }), 60_000);
  await apply(place, PLAN);
  assert.equal((await lease(place)).kind, 'lease');
});

test('at maxmemory with noeviction, changes are applied and fills are refused', async () => {
  const full = await startRedis({
    folder: temporaryFolder(),
    name: 'full',
    args: ['--maxmemory-policy', 'noeviction'],
  });
  after(() => full.stop());
  const admin = new Redis(full.url);
  after(() => admin.disconnect());
  const place = await followed({}, full.port);
  await stored(place, entry(at(100)));
  await admin.config('SET', 'maxmemory', '1');
  await assert.rejects(lease({ ...place, key: `${place.key}1` }), ShardUnavailable);
  const outcome = await apply(place, { from: at(100), to: at(200), changes: [change(place.key, at(200, 1))] });
  assert.equal(outcome.kind, 'applied');
  const bytes = await admin.getBuffer(place.key);
  assert.equal(bytes && decodeEntry(bytes)?.version, at(200, 1));
});

test('invalidate: the entry is gone, and a fill whose read began before is refused, though nobody has changed the row', async () => {
  const place = await followed();
  const { shard, key } = place;
  assert.equal(await shard.fill(key, await tokenOf(place), entry(at(100)), 60_000, FOLLOWED_AS), 'stored');
  const old = await tokenOf(place, 'entry');
  const { token, was } = await shard.invalidate(key, 10_000);
  assert.equal(was, true);
  assert.equal((await shard.read(key)).stored, null);
  assert.equal(await shard.fill(key, old, entry(at(100)), 60_000, FOLLOWED_AS), 'lost');
  assert.equal((await lease(place)).kind, 'busy', 'nobody fills it meanwhile');
  await shard.release(key, token, 'keep');
  assert.equal(await shard.fill(key, await tokenOf(place), entry(at(100)), 60_000, FOLLOWED_AS), 'stored');
});

test('invalidate: a read that begins meanwhile may take the lease over, and is stored; giving back lets it be', async () => {
  const place = await followed();
  const { shard, key } = place;
  const { token, was } = await shard.invalidate(key, 10_000);
  assert.equal(was, false);
  const newer = await tokenOf(place, 'lease');
  await shard.release(key, token, 'keep');
  assert.equal(await shard.fill(key, newer, entry(at(100)), 60_000, FOLLOWED_AS), 'stored');
});

test('invalidate: where Redis is full and takes no rows, too', async () => {
  const server = await startRedis({ folder: temporaryFolder(), name: 'full' });
  after(() => server.stop());
  const place = await followed({}, server.port);
  const { shard, key } = place;
  assert.equal(await shard.fill(key, await tokenOf(place), entry(at(100)), 60_000, FOLLOWED_AS), 'stored');
  const client = new Redis({ host: '127.0.0.1', port: server.port });
  after(() => client.disconnect());
  await client.config('SET', 'maxmemory', '1');
  await assert.rejects(lease(place, 'entry'), ShardUnavailable);
  assert.equal((await shard.invalidate(key, 10_000)).was, true);
  assert.equal(await client.exists(key), 0);
});
