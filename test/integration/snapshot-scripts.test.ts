/** The snapshot's scripts on a real Redis: each outcome by its name, what they leave, and what makes a snapshot worthless. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { type ChangeBatch, decodeBatch, encodeBatch } from '../../shared/change/change-batch.ts';
import type { ChangeOp, VersionedChange } from '../../shared/change/change.ts';
import { encodeEntry } from '../../shared/entry/entry.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { segmentOf } from '../../shared/key/row-id.ts';
import { Shard } from '../../shared/shard/shard.ts';
import { decodeStamp } from '../../shared/stamp/stamp.ts';
import { versionOf } from '../../shared/version/version.ts';
import { type SnapshotProgress, SnapshotLost, SnapshotShard } from '../../sync-worker/snapshot/snapshot-shard.ts';
import { testStack } from '../support/stack.ts';
import { redisUrl } from '../support/least-privilege.ts';

const SHAPE = 'shape--1';
const TABLE = 'shop.users(id) mirror x2';
const RING = 'ring-hash-01';
const schema = {
  key: [{ column: 'id', type: { kind: 'integer', min: 0n, max: 1_000_000n } }] as const,
  shape: SHAPE,
};
const stack = await testStack();
const port = stack.redis[0]?.port as number;
const redis = new Redis({ host: '127.0.0.1', port });
after(() => redis.disconnect());

const at = (position: number, ordinal?: number) => versionOf(1, { file: 'b.7', position }, ordinal);
const id = (n: number) => ({ segment: segmentOf([String(n)]), parts: [String(n)] });

let places = 0;

/** A shard that nobody else uses, as far as 100. */
class Place {
  readonly prefix = `snapshot-${process.pid}-${(places += 1)}:`;
  readonly stamp = stampKey(this.prefix);
  readonly state = `${this.stamp}:snapshot:${TABLE}`;
  readonly deleted = `${this.stamp}:deleted:${TABLE}`;
  readonly shard = new Shard({
    name: 'r1',
    ring: 'primary',
    endpoint: redisUrl(port),
    followed: { stampKey: this.stamp },
    timeoutMs: 2_000,
    failuresToOpen: 3,
    onChange: () => undefined,
  });

  static async open(): Promise<Place> {
    const place = new Place();
    after(() => place.shard.stop());
    await place.shard.start();
    await place.apply({ from: at(0), to: at(100), rings: [RING], tables: [TABLE] });
    return place;
  }

  key(n: number): string {
    return `${this.prefix}shop_users_${n}`;
  }

  run(token = 'first'): SnapshotShard {
    const { shard, prefix: keyPrefix } = this;
    return new SnapshotShard({ shard, rings: RING, keyPrefix, followedName: TABLE, schema, token });
  }

  async apply(batch: Partial<ChangeBatch>, force = false): Promise<void> {
    const whole = { plan: 1, from: at(100), to: at(100), asOf: 5_000, origin: 'o', gtid: 'g', changes: [], ...batch };
    const { kind } = await this.shard.apply(decodeBatch(encodeBatch(whole)), force);
    assert.equal(kind, 'applied');
  }

  change(n: number, version: string, op: ChangeOp = 'put'): VersionedChange {
    const body = Buffer.from(op === 'put' ? '{"id":"1","v":"changed"}' : '');
    return { op, table: TABLE, key: this.key(n), shape: SHAPE, version, body };
  }

  row(n: number, version: string) {
    return { key: this.key(n), kind: 'row' as const, version, texts: Buffer.from('{"id":"1","v":"read"}') };
  }

  async text(n: number): Promise<string | null> {
    return await redis.hget(this.key(n), 'v');
  }
}

function progress(chunk: number, upTo: number, more: Partial<SnapshotProgress> = {}): SnapshotProgress {
  return { chunk, upTo: id(upTo), isAtEnd: false, rows: chunk, leftOver: [], ...more };
}

const lostFor = (why: SnapshotLost['why']) => (error: unknown) => {
  assert.ok(error instanceof SnapshotLost, String(error));
  assert.equal(error.why, why);
  return true;
};

describe('a row that was read is written', () => {
  test('unless the shard has it newer, or deleted it after that', async () => {
    const place = await Place.open();
    const run = place.run();
    await run.begin('take');
    await place.apply({
      to: at(300),
      changes: [place.change(1, at(300, 0)), place.change(2, at(300, 1), 'delete'), place.change(3, at(300, 2))],
    });
    await run.write(
      [1, 2, 3, 4].map((n) => place.row(n, n === 3 ? at(400) : at(200))),
      progress(1, 4),
    );
    assert.deepEqual(await Promise.all([1, 2, 3, 4].map((n) => place.text(n))), ['changed', null, 'read', 'read']);
  });

  test('also where the next chunk has begun meanwhile: what was deleted since its own is still known', async () => {
    const place = await Place.open();
    const run = place.run();
    await run.begin('take');
    await place.apply({ to: at(300), changes: [place.change(1, at(300, 0), 'delete')] });
    const next = await run.begin('keep');
    assert.equal(next.to, at(300));
    await place.apply({ from: at(300), to: at(400), changes: [place.change(2, at(400, 0), 'delete')] });
    await run.write(
      [1, 2, 3].map((n) => place.row(n, at(200))),
      progress(1, 3),
    );
    assert.deepEqual(await Promise.all([1, 2, 3].map((n) => place.text(n))), [null, null, 'read']);
    await run.begin('keep');
    await assert.rejects(run.write([place.row(1, at(200))], undefined), lostFor('early'), 'two chunks later it is not');
  });

  test('not where it does not include what the shard had by then', async () => {
    const place = await Place.open();
    const run = place.run();
    await run.begin('take');
    await assert.rejects(run.write([place.row(1, at(99))], undefined), lostFor('early'));
    assert.equal(await place.text(1), null);
  });

  test('not where what was deleted is not noted any more', async () => {
    const place = await Place.open();
    const run = place.run();
    await run.begin('take');
    await run.begin('keep');
    await redis.del(place.deleted);
    await assert.rejects(run.write([place.row(1, at(200))], undefined), lostFor('lost'), 'it took too long');
  });
});

describe('a snapshot is worth nothing any more', () => {
  test('when the table’s floor has risen, between two chunks, amid one, or at the end', async () => {
    for (const when of ['begin', 'write', 'complete'] as const) {
      const place = await Place.open();
      const run = place.run();
      const { since } = await run.begin('take');
      await run.write([place.row(1, at(200))], progress(1, 1));
      await run.begin('keep');
      await place.apply({ to: at(300), floors: { [TABLE]: at(300) } });
      const goesOn = {
        begin: () => run.begin('keep'),
        write: () => run.write([place.row(2, at(400))], progress(2, 2)),
        complete: () => run.complete(),
      };
      await assert.rejects(goesOn[when](), lostFor('void'), when);
      // Whoever takes it up begins with the first row.
      const again = await place.run('second').begin('take');
      assert.ok(again.since > since);
      assert.equal(again.walk, 'second');
      assert.deepEqual(again.progress, { chunk: 0, upTo: undefined, isAtEnd: false, rows: 0, leftOver: [] });
    }
  });

  test('when changes were lost, or the rings are others', async () => {
    const gap = await Place.open();
    const run = gap.run();
    await run.begin('take');
    await gap.apply({ from: at(200), to: at(300) }, true);
    await assert.rejects(run.begin('keep'), lostFor('void'));
    const moved = await Place.open();
    const other = moved.run();
    await other.begin('take');
    await moved.apply({ to: at(200), plan: 2, rings: ['another-ring'], tables: [TABLE] });
    await assert.rejects(other.begin('keep'), lostFor('off'));
  });
});

describe('a run ends', () => {
  test('when another has taken the snapshot over, which goes on from where it was', async () => {
    const place = await Place.open();
    const first = place.run('first');
    const { since, walk } = await first.begin('take');
    await first.write([place.row(1, at(200))], progress(1, 1, { rows: 1, leftOver: [id(7), id(8)] }));
    const taken = await place.run('second').begin('take');
    assert.deepEqual([taken.since, taken.walk], [since, walk]);
    assert.deepEqual(taken.progress, progress(1, 1, { rows: 1, leftOver: [id(7), id(8)] }));
    await assert.rejects(first.write([place.row(2, at(200))], undefined), lostFor('lost'));
    await assert.rejects(first.begin('keep'), lostFor('lost'));
    await assert.rejects(first.sweep([place.key(1)], 'older'), lostFor('lost'));
    await assert.rejects(first.complete(), lostFor('lost'));
    const anew = await place.run('third').begin('anew');
    assert.equal(anew.walk, 'third');
    assert.equal(anew.progress.chunk, 0);
  });

  // A replica takes over without the last moment, and nobody's connection need have been in use just then.
  for (const next of ['begin', 'write', 'sweep', 'complete'] as const) {
    test(`when the shard has lost the last thing that was done, and ${next} is the next`, async () => {
      const place = await Place.open();
      const run = place.run();
      await run.begin('take');
      const before = await redis.dumpBuffer(place.state);
      await run.write([place.row(1, at(200))], progress(1, 1));
      await redis.del(place.key(1));
      await redis.restore(place.state, 0, before as Buffer, 'REPLACE');
      const goesOn = {
        begin: () => run.begin('keep'),
        write: () => run.write([place.row(2, at(200))], progress(2, 2)),
        sweep: () => run.sweep([place.key(3)], 'older'),
        complete: () => run.complete(),
      };
      await assert.rejects(goesOn[next](), lostFor('lost'));
      assert.equal((await place.run('second').begin('take')).progress.chunk, 0, 'the row is read again');
    });
  }

  test('when the shard was emptied, or its server may have evicted rows', async () => {
    const emptied = await Place.open();
    const run = emptied.run();
    await run.begin('take');
    await redis.del(emptied.stamp, emptied.state, emptied.deleted);
    await assert.rejects(run.begin('keep'), lostFor('off'));
    const evicting = await Place.open();
    const other = evicting.run();
    await other.begin('take');
    await other.write([evicting.row(1, at(200))], progress(1, 1));
    await evicting.shard.run('snapshot', (client) => client.mirrorIncomplete(evicting.stamp, TABLE));
    await assert.rejects(other.write([evicting.row(2, at(200))], undefined), lostFor('lost'));
    assert.equal((await evicting.run('second').begin('take')).progress.chunk, 0);
  });
});

test('the sweep removes rows that were not written since, and what the table left as a cache; nothing else', async () => {
  const place = await Place.open();
  await place.apply({ to: at(150), changes: [place.change(1, at(150, 0)), place.change(2, at(150, 1))] });
  const cached = encodeEntry({
    kind: 'row',
    exactness: 'exact',
    isSecondHand: false,
    version: at(120),
    shape: SHAPE,
    readAtMs: Date.now(),
    ttlSeconds: 300,
    body: Buffer.from('{}'),
  });
  await redis.set(place.key(3), cached);
  await redis.set(place.key(4), 'of another application');
  await redis.hset(place.key(5), 'v', 'of another application');
  const run = place.run();
  await run.begin('take');
  await run.write([place.row(1, at(200))], undefined);
  await place.apply({ from: at(150), to: at(300), changes: [place.change(6, at(300, 0))] });
  const keys = [1, 2, 3, 4, 5, 6, 7].map((n) => place.key(n));
  assert.deepEqual(await run.sweep(keys, 'older'), { removed: 2, unsure: [] });
  const left = await Promise.all(keys.map((key) => redis.exists(key)));
  assert.deepEqual(left, [1, 0, 0, 1, 1, 1, 0]);
  await run.complete();
});

test('rows of an earlier snapshot may be as of the same place: those are asked about, and removed by name', async () => {
  const place = await Place.open();
  const first = place.run('first');
  await first.begin('take');
  await first.write(
    [1, 2, 3].map((n) => place.row(n, at(100))),
    undefined,
  );
  await first.complete();
  const second = place.run('second');
  await second.begin('take');
  await second.write([place.row(1, at(100))], undefined);
  await place.apply({ to: at(200), changes: [place.change(3, at(200, 0))] });
  const keys = [1, 2, 3].map((n) => place.key(n));
  assert.deepEqual(await second.sweep(keys, 'older'), { removed: 0, unsure: [place.key(1), place.key(2)] });
  assert.deepEqual(await second.sweep([place.key(2), place.key(3)], 'same'), { removed: 1, unsure: [] });
  assert.deepEqual(await Promise.all(keys.map((key) => redis.exists(key))), [1, 0, 1]);
});

test('at the end the stamp says so, and nothing else is left beside it', async () => {
  const place = await Place.open();
  const run = place.run();
  const { since } = await run.begin('take');
  await run.write([place.row(1, at(200))], progress(1, 1));
  await run.begin('keep');
  await run.complete();
  const stamp = decodeStamp((await redis.getBuffer(place.stamp)) as Buffer);
  assert.deepEqual(stamp?.complete, { [TABLE]: { rings: RING, shape: SHAPE, since } });
  assert.deepEqual((await redis.keys(`${place.prefix}*`)).toSorted(), [place.stamp, place.key(1)].toSorted());
});

test('how far it has come is not trusted: what cannot be read begins with the first row', async () => {
  for (const cursor of [
    '12 8',
    '{}',
    '{"rows":1,"upTo":"x","isAtEnd":false,"leftOver":[]}',
    '{"rows":1,"upTo":null,"isAtEnd":false,"leftOver":[]}',
  ]) {
    const place = await Place.open();
    await place.run().begin('take');
    await redis.hset(place.state, 'cursor', cursor, 'chunk', '4');
    const { progress: from } = await place.run('second').begin('take');
    assert.deepEqual(from, { chunk: 0, upTo: undefined, isAtEnd: false, rows: 0, leftOver: [] }, cursor);
  }
});
