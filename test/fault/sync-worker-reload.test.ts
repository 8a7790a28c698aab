/**
 * The sync worker's configuration is reloaded (SIGHUP) while rows are written and read: no change is lost, no answer is an
 * error or older than the bound, nothing that the shards hold is dropped. What cannot be used is refused, and it goes on
 * as before.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { Config } from '../../shared/config/schema.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { until } from '../support/broker.ts';
import { StalenessWatch } from '../support/staleness-watch.ts';
import { testStack } from '../support/stack.ts';
import { HEARTBEAT_MS, raised, STALENESS_BOUND_MS, SyncWorld } from '../support/sync-world.ts';

const RELOADS = 5;

const world = await SyncWorld.open({ stack: await testStack() });
const file = join(world.worker.folder, 'ringfill.yml');
const first = JSON.parse(readFileSync(file, 'utf8')) as Config;
let floors: Record<string, string>;

before(async () => {
  await world.caughtUp();
  await world.warm();
  floors = await world.floors();
});

interface Change {
  readonly sync?: object;
  readonly tables?: Config['tables'];
}

/** The file as it was at first, with this instead. */
async function reload({ sync, ...change }: Change): Promise<string> {
  writeFileSync(file, JSON.stringify({ ...first, ...change, sync: { ...first.sync, ...sync } }));
  return await world.worker.reload();
}

async function assertRight(): Promise<void> {
  await world.caughtUp();
  const { wrong, dropped } = await world.audit();
  assert.deepEqual(wrong, [], 'answers and entries that MySQL contradicts');
  assert.deepEqual(raised(floors, await world.floors()), [], 'shards whose floors have risen');
  assert.deepEqual([...new Set(Object.values(dropped))], [0], 'entries that were dropped');
}

describe('the sync worker', () => {
  test('reloads while rows are written: no change is lost, and nothing is dropped', async (t) => {
    const watch = new StalenessWatch(world);
    t.after(() => watch.stop());
    watch.start();
    for (let n = 1; n <= RELOADS; n += 1) {
      await world.change(`before reload ${n}`, n, 100 + n);
      const startedAt = performance.now();
      assert.equal(await reload({ sync: { heartbeatMs: 400 + n } }), 'loaded');
      const tookMs = performance.now() - startedAt;
      await world.change(`after reload ${n}`, n, 100 + n);
      await world.applied();
      t.diagnostic(
        `reload ${n} took ${tookMs.toFixed(0)} ms; all applied ${(performance.now() - startedAt).toFixed(0)} ms after the signal`,
      );
    }
    await world.caughtUp();
    const { reads, commits, oldestMs, details, failed } = await watch.stop();
    t.diagnostic(
      `${reads} reads, ${commits} commits, the oldest answer ${oldestMs.toFixed(0)} ms; ${JSON.stringify(details)}`,
    );
    assert.deepEqual(failed.slice(0, 3), [], 'answers that are errors');
    assert.ok(oldestMs <= STALENESS_BOUND_MS + HEARTBEAT_MS, `an answer was ${oldestMs} ms old`);
    await assertRight();
    const resumed = world.decisions().slice(1);
    assert.deepEqual(
      resumed,
      Array.from({ length: RELOADS }, () => 'resume same-binlog'),
    );
    const { configSha256 } = (await world.status()) as { configSha256?: string };
    assert.match(String(configSha256), /^[0-9a-f]{64}$/);
  });

  test('a table that is added is followed from then on, and one that is removed no more', async () => {
    await world.run('CREATE TABLE more (id INT PRIMARY KEY, v VARCHAR(60) NOT NULL)');
    const more = `${world.db}.more`;
    assert.equal(await reload({ tables: { ...first.tables, [more]: {} } }), 'loaded');
    await world.applied();
    for (const shard of world.shardNames) {
      assert.ok(Object.hasOwn((await world.stamp(shard))?.tables ?? {}, `${more}(id)`), shard);
    }
    assert.equal(await reload({}), 'loaded');
    await world.applied();
    for (const shard of world.shardNames) {
      assert.ok(!Object.hasOwn((await world.stamp(shard))?.tables ?? {}, `${more}(id)`), shard);
    }
    await assertRight();
  });

  test('what cannot be used is refused, and changes are applied as before', async () => {
    const pid = world.worker.pid;
    const wrong: [what: string, code: string, change: Change][] = [
      [
        'a table that MySQL does not have',
        'table-missing',
        { tables: { ...first.tables, [`${world.db}.nowhere`]: {} } },
      ],
      ['two heartbeats past the bound', 'config-invalid', { sync: { heartbeatMs: 2_000 } }],
      [
        'queues of another type',
        'broker-topology-differs',
        { sync: { broker: { ...first.sync?.broker, queueType: 'classic' } } },
      ],
    ];
    for (const [what, code, change] of wrong) {
      assert.equal(await reload(change), 'refused', what);
      await until(
        `${code} is told`,
        () => world.logged(world.worker, 'configuration refused').at(-1)?.['code'] === code,
      );
      await world.change(`after ${what}`, 7, 120);
      await world.applied();
      await assertRight();
    }
    const originUrl = `mysql://nobody:wrong@${new URL(first.origin.url).host}`;
    assert.equal(await reload({ sync: { originUrl } }), 'given-up', 'an account that may not follow');
    await world.change('after it was given up', 7, 120);
    await assertRight();
    const why = () => world.logged(world.worker, 'configuration given up').map(({ reason }) => String(reason));
    await until('it says why', () => why().some((reason) => reason.includes('Access denied')));
    assert.equal(world.worker.pid, pid);
  });

  test('a broker that is not there is waited for, until the next file says where it is', async () => {
    const broker = { ...first.sync?.broker, url: `amqp://127.0.0.1:${await chooseFreePort()}` };
    writeFileSync(file, JSON.stringify({ ...first, sync: { ...first.sync, broker } }));
    world.worker.kill('SIGHUP');
    const refused = () =>
      world.logged(world.worker, 'broker').some(({ reason }) => /ECONNREFUSED/.test(String(reason)));
    await until('it asks the broker that is not there', refused);
    await world.change('while there is no broker', 8, 130);
    assert.equal(await reload({}), 'superseded');
    await assertRight();
  });
});
