/** The drills' harness, end to end on servers of its own: a drill that holds, and one in which someone tampers with a shard. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientOf } from '../../bench/drills/harness/dumps.ts';
import { ORIGIN_WELL } from '../../bench/drills/harness/claims.ts';
import type { Drill } from '../../bench/drills/harness/drill.ts';
import { Ground } from '../../bench/drills/harness/ground.ts';
import { type DrillResult, runDrill } from '../../bench/drills/harness/run-drill.ts';
import { htmlReport } from '../../bench/watch/html-report.ts';
import { resultTable } from '../../bench/watch/text-report.ts';
import { kill } from '../../stack/faults.ts';
import * as ringfill from '../../stack/ringfill-process.ts';
import { temporaryFolder } from '../support/stack.ts';

const SEED = 20_261_122;
const SECONDS = 5;
const folder = temporaryFolder();
let ground: Ground;

before(async () => {
  const { signal } = new AbortController();
  ground = await Ground.start({ folder, shards: { primary: 2, fallback: 1 }, onProgress: () => undefined, signal });
});
after(() => ground.stop());

function drill(name: string, run: Drill['run']): Promise<DrillResult> {
  const tried: Drill = {
    name,
    title: name,
    done: name,
    world: { primary: 2, fallback: 1, gateways: 1, onSyncLost: 'origin' },
    load: { kind: 'open', perSecond: 300 },
    seconds: SECONDS,
    claims: ORIGIN_WELL,
    run,
  };
  return runDrill({
    ground,
    product: ringfill,
    drill: tried,
    seed: SEED,
    seconds: SECONDS,
    folder: join(folder, name),
    keepLogsIn: join(folder, 'kept'),
    signal: new AbortController().signal,
  });
}

test('a shard that is killed and started again: every claim holds, and the report tells of it', async (t) => {
  const result = await drill('killed', async ({ world, harmed, mark, until }) => {
    const { server } = world.shard('r2');
    await kill(server);
    harmed('kill -9 of r2', { shards: ['r2'] });
    await until(0.5);
    await server.restart();
    mark('r2 started again');
  });
  t.diagnostic(resultTable([result]));
  assert.deepEqual(
    result.claims.filter(({ holds }) => !holds),
    [],
  );
  assert.ok(result.seen.answers.requests > 0);
  assert.ok(result.seen.figures.detectedMs !== undefined);
  assert.ok(result.seen.figures.hitRatioWorst < result.seen.figures.hitRatioBefore);
  assert.deepEqual(
    result.seen.recorded.marks.map(({ words }) => words),
    ['kill -9 of r2', 'r2 started again'],
  );
  const html = htmlReport({ results: [result], seed: SEED, startedAt: new Date(0) });
  assert.match(html, /kill -9 of r2/);
  // It works offline.
  assert.doesNotMatch(html, /(?:src|href)="(?!#)/);
});

test('a shard in which someone puts old entries back turns the drill red', async () => {
  const result = await drill('tampered', async ({ world, harmed, seconds, wait }) => {
    const redis = ['r1', 'r2'].map((name) => clientOf(world.shard(name).server));
    const keys = Array.from(
      { length: 20 },
      (_, index) => `drill_tampered:${world.table.replace('.', '_')}_${index + 1}`,
    );
    const old = await Promise.all(redis.map((one) => one.mgetBuffer(keys)));
    harmed('old entries are put back, again and again');
    for (const until = performance.now() + seconds * 1_000; performance.now() < until; await wait(20)) {
      for (const [index, one] of redis.entries()) {
        const present = keys.flatMap((key, at) => {
          const entry = old[index]?.[at];
          return entry ? [[key, entry] as const] : [];
        });
        await Promise.all(present.map(([key, entry]) => one.set(key, entry, 'KEEPTTL')));
      }
    }
    for (const one of redis) one.disconnect();
  });
  const { stale, backward, error } = result.seen.answers.faults;
  assert.ok(stale > 0, 'stale answers');
  assert.ok(backward > 0, 'answers that go back');
  assert.equal(error, 0);
  assert.equal(result.passed, false);
  assert.ok(result.seen.answers.examples.every(({ cacheStatus }) => cacheStatus?.startsWith('ringfill; hit')));
});
