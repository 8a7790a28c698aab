/** Transactions -> batches: whatever comes, no shard misses a change, and each shard's batches follow on one another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChangeBatch, decodeBatch, encodeBatch } from '../../shared/change/change-batch.ts';
import { Layers } from '../../shared/ring/layers.ts';
import { epochStart, versionOf } from '../../shared/version/version.ts';
import { Batcher, type Saying } from '../../sync-worker/capture/batcher.ts';
import type { PlacedChange, Transaction } from '../../sync-worker/capture/assembler/transaction.ts';

const EPOCH = 1_000;
const TABLES = ['shop.items(id)', 'shop.orders(id)'] as const;
const CHANGES_MAX = 7;
const BYTES_MAX = 1_000;
const said: Saying = { asOf: 5, origin: 'origin', gtid: '' };

interface Lane {
  readonly ring: string;
  readonly shard: string;
}

const layers = new Layers<Lane>(
  [
    { name: 'primary', shards: ['r1', 'r2', 'r3'] },
    { name: 'fallback', shards: ['r1', 'f2'] },
  ].map(({ name, shards }) => ({
    name,
    placement: 'ketama' as const,
    shards: new Map(shards.map((shard) => [shard, { ring: name, shard }])),
  })),
);
const laneNames = layers.layers.flatMap((layer) => [...layer.shards.values()].map(nameOf));

type Unplaced = Omit<PlacedChange, 'ordinal'>;

/** As rows have them: growing, and with holes. */
function ordinalOf(index: number): number {
  return 3 * index + 1;
}

function nameOf({ ring, shard }: Lane): string {
  return `${ring}/${shard}`;
}

function position(n: number) {
  return { file: 'mysql-bin.000001', position: n * 10 };
}

function transaction(
  n: number,
  changes: readonly Unplaced[],
  floors: readonly string[],
  spilled: boolean,
): Transaction {
  async function* fromDisk() {
    await Promise.resolve();
    yield* placed;
  }
  const placed = changes.map((one, index): PlacedChange => ({ ...one, ordinal: ordinalOf(index) }));
  return {
    end: position(n),
    gtid: undefined,
    committedAtMicros: undefined,
    count: changes.length,
    changes: () => (spilled ? fromDisk() : placed),
    discard: () => undefined,
    floors,
    restart: position(n),
  };
}

const change = fc
  .record({
    op: fc.constantFrom('write' as const, 'absent' as const, 'remove' as const, 'refresh' as const),
    table: fc.constantFrom(...TABLES),
    key: fc.nat({ max: 60 }).map((id) => `shop_items_${id}`),
    bytes: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 200 }) }, { weight: 1, arbitrary: fc.nat({ max: 3_000 }) }),
  })
  .map(({ op, table, key, bytes }): Unplaced => ({
    op,
    table,
    key,
    shape: '8letters',
    body: Buffer.alloc(bytes, 120),
  }));

type Step =
  | { readonly kind: 'transaction'; readonly changes: Unplaced[]; readonly floors: string[]; readonly spilled: boolean }
  | { readonly kind: 'flush'; readonly whom: 'changed' | 'all' }
  | { readonly kind: 'hole' }
  | { readonly kind: 'announce' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('transaction' as const),
      changes: fc.array(change, { maxLength: 25 }),
      floors: fc.oneof(
        { weight: 5, arbitrary: fc.constant<string[]>([]) },
        { weight: 1, arbitrary: fc.subarray([...TABLES]) },
      ),
      spilled: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('flush' as const),
      whom: fc.constantFrom('changed' as const, 'all' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'hole' } as const, { kind: 'announce' } as const) },
);

test('for every sequence of transactions, flushes, plans and holes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const sent = new Map<string, ChangeBatch[]>(laneNames.map((name) => [name, []]));
      const start = versionOf(EPOCH, position(0));
      let plan = { plan: 1, rings: ['ring'], tables: [...TABLES] as string[] };
      const batcher = new Batcher<Lane>({
        layers,
        plan,
        from: start,
        changesMax: CHANGES_MAX,
        bytesMax: BYTES_MAX,
        emit: (lane, batch) => sent.get(nameOf(lane))?.push(batch),
      });
      const wanted = new Map<string, { version: string; change: Unplaced }[]>(laneNames.map((name) => [name, []]));
      const floors = new Map<string, string>();
      const holes: (readonly [string, string])[] = [];
      let n = 0;
      const flush = (whom: 'changed' | 'all') => {
        const to = versionOf(EPOCH, position(n));
        batcher.flush(to, said, whom);
        assert.ok(!batcher.isPending);
        // To all: every shard stands there, so it is a place to read on from.
        if (whom === 'all') for (const batches of sent.values()) assert.equal(batches.at(-1)?.to, to);
        if (whom === 'all') for (const batches of sent.values()) assert.deepEqual(batches.at(-1)?.tables, plan.tables);
        // Whatever was added is out, floors to every shard.
        for (const [name, batches] of sent) {
          assert.equal(batches.flatMap(({ changes }) => changes).length, wanted.get(name)?.length);
          const risen: Record<string, string> = {};
          for (const batch of batches) Object.assign(risen, batch.floors);
          assert.deepEqual(risen, Object.fromEntries(floors));
        }
      };
      for (const each of steps) {
        switch (each.kind) {
          case 'transaction': {
            n += 1;
            await batcher.add(
              transaction(n, each.changes, each.floors, each.spilled),
              EPOCH,
              () => said,
              () => Promise.resolve(),
            );
            for (const table of each.floors) floors.set(table, versionOf(EPOCH, position(n)));
            for (const [ordinal, one] of each.changes.entries()) {
              const version = versionOf(EPOCH, position(n), ordinalOf(ordinal));
              for (const { shard } of layers.candidates(one.key))
                wanted.get(nameOf(shard))?.push({ version, change: one });
            }
            break;
          }
          case 'flush':
            flush(each.whom);
            break;
          case 'hole':
            holes.push([versionOf(EPOCH, position(n)), epochStart(EPOCH + 1)]);
            batcher.tellHole(holes.at(-1) as [string, string]);
            flush('all');
            break;
          case 'announce':
            plan = { ...plan, plan: plan.plan + 1, tables: [...plan.tables, `t${plan.plan}`] };
            batcher.announce(plan);
            break;
        }
      }
      flush('all');

      for (const [name, batches] of sent) {
        let at = start;
        let planAt = 0;
        for (const batch of batches) {
          assert.equal(batch.from, at, `${name}: the chain is broken`);
          assert.ok(batch.to >= batch.from);
          at = batch.to;
          // A plan's first message says what it is.
          assert.ok(batch.plan >= planAt);
          if (batch.plan > planAt) assert.ok(batch.rings !== undefined && batch.tables !== undefined);
          planAt = batch.plan;
          for (const { version } of batch.changes) assert.ok(version > batch.from && version <= batch.to);
          // No stamp passes a floor without having raised it.
          const bytes = batch.changes.reduce((sum, { key, body }) => sum + 64 + key.length + body.length, 0);
          assert.ok(batch.changes.length <= CHANGES_MAX);
          assert.ok(bytes <= BYTES_MAX || batch.changes.length === 1);
          assert.doesNotThrow(() => decodeBatch(encodeBatch(batch)));
        }
        const changes = batches.flatMap((batch) => batch.changes);
        assert.deepEqual(
          changes.map(({ version, key, op, table, body }) => ({ version, key, op, table, body })),
          wanted.get(name)?.map(({ version, change: { key, op, table, body } }) => ({ version, key, op, table, body })),
        );
        assert.deepEqual(
          batches.flatMap(({ hole }) => (hole === undefined ? [] : [hole])),
          holes,
        );
        const raised = new Map<string, string>();
        for (const batch of batches) {
          for (const [table, floor] of Object.entries(batch.floors ?? {})) raised.set(table, floor);
          for (const [table, floor] of floors) {
            if (batch.to >= floor) assert.equal(raised.get(table), floor, `${name}: ${batch.to} passes a floor`);
          }
        }
      }
    }),
    { numRuns: 400 },
  );
});

test('a transaction larger than a message is cut at ordinals, and each cut waits for room', async () => {
  const batches: ChangeBatch[] = [];
  const one = new Layers<Lane>([
    { name: 'primary', placement: 'ketama', shards: new Map([['r1', { ring: 'primary', shard: 'r1' }]]) },
  ]);
  const batcher = new Batcher<Lane>({
    layers: one,
    plan: { plan: 1, rings: [], tables: [] },
    from: versionOf(EPOCH, position(0)),
    changesMax: 10,
    emit: (_, batch) => batches.push(batch),
  });
  const changes = Array.from({ length: 25 }, (_, id): Unplaced => {
    return { op: 'remove', table: TABLES[0], key: `k${id}`, shape: '8letters', body: Buffer.alloc(0) };
  });
  let waits = 0;
  await batcher.add(
    transaction(1, changes, [], true),
    EPOCH,
    () => ({ ...said, gtid: 'with this one' }),
    () => {
      waits += 1;
      return Promise.resolve();
    },
  );
  batcher.flush(versionOf(EPOCH, position(1)), said, 'changed');
  assert.equal(waits, 2);
  assert.deepEqual(
    batches.map(({ to, gtid, changes: { length } }) => [to, gtid, length]),
    [
      [versionOf(EPOCH, position(1), ordinalOf(9)), 'with this one', 10],
      [versionOf(EPOCH, position(1), ordinalOf(19)), 'with this one', 10],
      [versionOf(EPOCH, position(1)), '', 5],
    ],
  );
});
