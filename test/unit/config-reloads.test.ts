/** Reloads of the configuration: never two at once, the last file wins, and none of them ends the process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { ConfigReloads, NotInTime } from '../../shared/config/config-reloads.ts';
import { type LoadedConfig, parseConfig } from '../../shared/config/load.ts';
import { unlessAborted } from '../../shared/lifecycle/unless-aborted.ts';
import { continuumOf } from '../../shared/ring/continua.ts';
import { ConfigMetrics } from '../../shared/telemetry/config-metrics.ts';
import { memoryLog } from '../support/broker.ts';

const config = parseConfig(
  JSON.stringify({
    origin: { url: 'mysql://nobody@127.0.0.1' },
    rings: [{ name: 'primary', shards: { r1: 'redis://127.0.0.1' } }],
    tables: { 'test.users': {} },
  }),
  'test',
);

// Else it would be placed in a thread first, and the steps be harder to follow.
continuumOf(['r1'], 'balanced');

const file = (sha256: string) => (): LoadedConfig => ({ config, sha256 });

/** Adopts when it is told to, and remembers what and when. */
function reloadsByHand() {
  const steps: string[] = [];
  const waiting: { settle: () => void; fail: (error: Error) => void }[] = [];
  let atOnce = 0;
  const registry = new Registry();
  const { log, events } = memoryLog();
  const reloads = new ConfigReloads({
    metrics: new ConfigMetrics(registry),
    log,
    adopt: async ({ sha256 }, signal) => {
      steps.push(`begins ${sha256}`);
      atOnce += 1;
      assert.equal(atOnce, 1, 'two at once');
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiting.push({ settle: resolve, fail: reject });
      try {
        await unlessAborted(promise, signal);
      } catch (error) {
        atOnce -= 1;
        throw error;
      }
      return async () => {
        steps.push(`ends ${sha256}`);
        atOnce -= 1;
      };
    },
  });
  const next = () => waiting.shift() as (typeof waiting)[number];
  const begun = () => new Promise<void>((resolve) => void setImmediate(resolve));
  return { reloads, steps, next, begun, events, registry };
}

test('whoever asks while one is under way interrupts it; of several only the last file is taken', async () => {
  const { reloads, steps, next, begun, registry } = reloadsByHand();
  const a = reloads.ask(file('a'));
  await begun();
  const [b, c] = [reloads.ask(file('b')), reloads.ask(file('c'))];
  assert.equal(await a, 'superseded');
  await begun();
  next();
  next().settle();
  assert.deepEqual(await Promise.all([b, c]), ['loaded', 'loaded']);
  const d = reloads.ask(file('d'));
  await begun();
  next().settle();
  assert.equal(await d, 'loaded');
  await reloads.stop();
  assert.deepEqual(steps, ['begins a', 'begins c', 'ends c', 'begins d', 'ends d']);
  const text = await registry.metrics();
  for (const [outcome, count] of Object.entries({ loaded: 2, refused: 0, 'given-up': 0, superseded: 1 })) {
    assert.match(text, new RegExp(`^ringfill_config_reloads_total\\{outcome="${outcome}"\\} ${count}$`, 'm'));
  }
  assert.match(text, /^ringfill_config_info\{sha256="d"\} 1$/m);
});

test('a mistake of our own is refused and told, like one in the file; and one that is late is given up', async () => {
  const { reloads, next, begun, events } = reloadsByHand();
  for (const [error, outcome] of [
    [new NotInTime('MySQL is away', 10), 'given-up'],
    [new TypeError('a mistake'), 'refused'],
  ] as const) {
    const asked = reloads.ask(file('a'));
    await begun();
    next().fail(error);
    assert.equal(await asked, outcome);
  }
  const told = events.filter(({ level }) => level === 50).map(({ reason, code }) => reason ?? code);
  assert.deepEqual(told, ['not ready within 10 ms: MySQL is away', 'internal']);
});

test('once it is stopped, no more is begun', async () => {
  const { reloads, steps, begun } = reloadsByHand();
  const a = reloads.ask(file('a'));
  await begun();
  const b = reloads.ask(file('b'));
  await reloads.stop();
  assert.deepEqual(await Promise.all([a, b]), ['superseded', 'superseded']);
  assert.deepEqual(steps, ['begins a']);
});
