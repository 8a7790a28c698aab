/**
 * Rings change again and again under load, while gateways and the sync worker go over to the new configuration one by one,
 * in any order, by reload or by restart, and sometimes back for a while. No answer may be an error, older than the bound,
 * or older than one before it from the same gateway and shard; and what a change does not move stays a hit.
 *
 *     RINGFILL_RING_CHANGES=…       how many changes there are
 *     RINGFILL_RING_MODE=mirror     of a mirror in one copy instead, which nobody but its shards may answer for
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, type RowDataPacket } from 'mysql2/promise';
import { Watch } from '../../bench/watch/watch.ts';
import { type Config, FORMER_RINGS_MAX } from '../../shared/config/schema.ts';
import { layersOf } from '../../shared/shard/shard-layers.ts';
import { seededRandom } from '../../stack/demo-data/seeded-random.ts';
import { kill } from '../../stack/faults.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import type { RedisServer } from '../../stack/redis.ts';
import { type RingfillProcess, startGateway, startSyncWorker } from '../../stack/ringfill-process.ts';
import { until } from '../support/broker.ts';
import { cacheStatusOf, gatewayConfig } from '../support/gateway.ts';
import { MysqlClient } from '../support/mysql-client.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { redisUrl, startOwnRedis } from '../support/least-privilege.ts';

const CHANGES = Number(process.env['RINGFILL_RING_CHANGES'] ?? 3);
const MODE = process.env['RINGFILL_RING_MODE'] ?? 'read-through';
const ROWS = 2_000;
const STALENESS_BOUND_MS = 2_000;
const HEARTBEAT_MS = 500;
/** A machine under load is late with its answers, and with its clock. */
const SLACK_MS = 500;
/** How long a change may take to reach everybody. */
const SETTLES_WITHIN_MS = 60_000;
/** Changes of rows go on: what is not stored at one moment is at the next. */
const UNMOVED_HITS_LEAST = 0.99;
/** As many as a configuration may name. */
const FORMERS = FORMER_RINGS_MAX;

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const random = seededRandom(seed);
process.stdout.write(`ring-changes: ${MODE}, seed ${seed}, ${CHANGES} changes\n`);

type Rings = Config['rings'];
type Placing = Pick<Rings[number], 'shards' | 'placement'>;

const stack = await testStack();
const folder = temporaryFolder();
const names = { primary: ['p1', 'p2', 'p3', 'p4', 'p5'], fallback: ['b1', 'b2'] } as const;
const servers = new Map<string, RedisServer>();
for (const name of [...names.primary, ...names.fallback]) servers.set(name, await startOwnRedis({ folder, name }));
after(() => Promise.all([...servers.values()].map((server) => server.stop())));

const db = `rings_${randomBytes(4).toString('hex')}`;
const admin = createPool({ host: stack.mysql.host, port: stack.mysql.port, user: 'root' });
after(() => admin.end());
await new MysqlClient(stack).ownDatabase(db);
await admin.query(`CREATE TABLE ${db}.counters (id INT PRIMARY KEY, n INT NOT NULL)`);
await admin.query(
  `INSERT INTO ${db}.counters VALUES ${Array.from({ length: ROWS }, (_, id) => `(${id + 1}, 0)`).join()}`,
);

const { text, keyPrefix } = gatewayConfig(stack, {
  tables: { [`${db}.counters`]: MODE === 'mirror' ? { mode: 'mirror', copies: 1 } : { warmOneIn: 3 } },
  keyPrefix: `${db}:`,
  sync: { name: db, stateFolder: join(folder, 'state'), heartbeatMs: HEARTBEAT_MS },
});

/** One of the processes, with a configuration file of its own. */
class Member {
  readonly name: string;
  readonly #kind: 'gateway' | 'sync-worker';
  #port = 0;
  #running: RingfillProcess | undefined;

  constructor(kind: 'gateway' | 'sync-worker', name: string) {
    this.#kind = kind;
    this.name = name;
    after(() => this.#running?.stop());
  }

  get url(): string {
    return (this.#running as RingfillProcess).url;
  }

  async start(rings: Rings): Promise<void> {
    if (this.#port === 0) this.#port = await chooseFreePort();
    const start = this.#kind === 'gateway' ? startGateway : startSyncWorker;
    this.#running = await start({ folder, name: this.name, port: this.#port, configFile: this.#write(rings) });
  }

  /** By reload, or by restart; a sync worker may be killed. @returns how. */
  async take(rings: Rings): Promise<string> {
    const running = this.#running as RingfillProcess;
    if (random.below(2) === 0) {
      this.#write(rings);
      const outcome = await running.reload();
      assert.equal(outcome, 'loaded', `${this.name}: ${running.lastLines()}`);
      return 'reload';
    }
    const isKilled = this.#kind === 'sync-worker' && random.below(2) === 0;
    if (isKilled) await kill(running);
    else await running.stop();
    await this.start(rings);
    return isKilled ? 'kill' : 'restart';
  }

  #write(rings: Rings): string {
    const file = join(folder, this.name, 'ringfill.yml');
    mkdirSync(join(folder, this.name), { recursive: true });
    const config = JSON.parse(text) as Config;
    const http = this.#kind === 'gateway' ? { port: this.#port, drainMs: 400 } : {};
    writeFileSync(file, JSON.stringify({ ...config, rings, http, sync: { ...config.sync, port: this.#port } }));
    return file;
  }
}

const placing = (shards: readonly string[], placement: 'balanced' | 'ketama' = 'balanced'): Placing => ({
  shards: Object.fromEntries(shards.map((name) => [name, redisUrl(servers.get(name)?.port ?? 0)])),
  placement,
});
const labelOf = ({ shards, placement }: Placing) => `${Object.keys(shards).join('')} ${placement}`;

/** What each ring was, the newest first; what it is comes first. */
const history: Record<'primary' | 'fallback', Placing[]> = {
  primary: [placing(names.primary.slice(0, 3))],
  fallback: [placing(names.fallback)],
};

function ringsNow(): Rings {
  return (['primary', 'fallback'] as const).map((name) => {
    const [now, ...before] = history[name] as [Placing, ...Placing[]];
    const others = before.filter((former) => labelOf(former) !== labelOf(now));
    const formers = [...new Map(others.map((former) => [labelOf(former), former])).values()];
    return { name, ...now, former: formers.slice(0, FORMERS) };
  }) as Rings;
}

function change(): void {
  const ring = random.below(4) === 0 ? 'fallback' : 'primary';
  const [now] = history[ring] as [Placing];
  for (;;) {
    const shards = names[ring].filter(() => random.below(3) > 0);
    const next = placing(shards, random.below(4) === 0 ? 'ketama' : 'balanced');
    if (shards.length === 0 || labelOf(next) === labelOf(now)) continue;
    history[ring].unshift(next);
    return;
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [random.below(1_000_000), item] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item);
}

const gateways = [new Member('gateway', 'g1'), new Member('gateway', 'g2')] as const;
const worker = new Member('sync-worker', 'w1');

/** Every shard by which rows are placed now vouches for itself, as every gateway sees it. */
async function isSettled(): Promise<boolean> {
  const views = await Promise.all(
    gateways.map(async ({ url }) => {
      const { layers } = (await (await fetch(`${url}/-/ring`)).json()) as {
        layers: { shards: { state: string; share: number }[] }[];
      };
      return layers.flatMap(({ shards }) => shards.filter(({ share }) => share > 0).map(({ state }) => state));
    }),
  );
  return views.flat().every((state) => state === 'ok');
}

/** Of the rows that the last change has moved, and of those that it has not: how many are hits, and where. */
async function hits(before: Rings, now: Rings) {
  const [then, today] = [before, now].map((rings) => layersOf({ rings }, (_, name) => name));
  const found = { moved: 0, movedHits: 0, unmoved: 0, unmovedHits: 0 };
  const ask = async (id: number, url: string) => {
    const key = `${keyPrefix}${db}_counters_${id}`;
    const isMoved = then?.owner(key, 0).shard !== today?.owner(key, 0).shard;
    const response = await fetch(`${url}/${db}/counters/${id}`);
    await response.arrayBuffer();
    const { hit } = cacheStatusOf(response);
    found[isMoved ? 'moved' : 'unmoved'] += 1;
    if (hit) found[isMoved ? 'movedHits' : 'unmovedHits'] += 1;
  };
  const ids = Array.from({ length: ROWS }, (_, index) => index + 1);
  for (let first = 0; first < ROWS; first += 20) {
    await Promise.all(ids.slice(first, first + 20).map((id) => ask(id, gateways[id % 2 === 0 ? 0 : 1].url)));
  }
  return found;
}

test(`${CHANGES} changes of rings under load`, { timeout: CHANGES * 120_000 + 120_000 }, async (t) => {
  let rings = ringsNow();
  await Promise.all([worker, ...gateways].map((member) => member.start(rings)));
  await until('all shards vouch', isSettled, SETTLES_WITHIN_MS);
  await until('every row is there', async () => (await hits(rings, rings)).unmovedHits === ROWS, SETTLES_WITHIN_MS);

  const watch = new Watch({
    gateways: gateways.map(({ name, url }) => ({ name, url })),
    table: `${db}.counters`,
    origin: { host: stack.mysql.host, port: stack.mysql.port, user: 'root' },
    load: { kind: 'closed', connections: 8 },
    warmRows: ROWS,
    zipf: 1,
    writesPerSecond: 100,
    boundMs: STALENESS_BOUND_MS + HEARTBEAT_MS + SLACK_MS,
    seed,
  });
  watch.start();
  const coldest = { unmoved: 1, moved: 1 };
  try {
    for (let made = 1; made <= CHANGES; made += 1) {
      const before = rings;
      change();
      rings = ringsNow();
      const steps: string[] = [];
      for (const member of shuffled([worker, ...gateways])) {
        steps.push(`${member.name} ${await member.take(rings)}`);
        if (random.below(4) === 0) {
          steps.push(`${member.name} back by ${await member.take(before)}`);
          await sleep(random.below(300));
          steps.push(`${member.name} ${await member.take(rings)}`);
        }
        await sleep(random.below(500));
      }
      await until('all shards vouch', isSettled, SETTLES_WITHIN_MS);
      const found = await hits(before, rings);
      const ratios = { unmoved: found.unmovedHits / found.unmoved, moved: found.movedHits / Math.max(1, found.moved) };
      t.diagnostic(
        `${made}: ${rings.map(labelOf).join(', ')}; ${steps.join(', ')}; hits of ${found.unmoved} unmoved ` +
          `${(100 * ratios.unmoved).toFixed(1)} %, of ${found.moved} moved ${(100 * ratios.moved).toFixed(1)} %`,
      );
      if (found.unmoved > 0) coldest.unmoved = Math.min(coldest.unmoved, ratios.unmoved);
      if (found.moved > 0) coldest.moved = Math.min(coldest.moved, ratios.moved);
    }
  } finally {
    const { answers, written, seconds } = await watch.stop();
    t.diagnostic(
      `${answers.requests} requests and ${written.commits} commits in ${seconds.toFixed(0)} s; the oldest answer ` +
        `${answers.oldestMs.toFixed(0)} ms; ${JSON.stringify(answers.faults)}; ${JSON.stringify(answers.statuses)}`,
    );
    for (const example of answers.examples.slice(0, 6)) t.diagnostic(JSON.stringify(example));
    assert.deepEqual(answers.faults, { error: 0, wrong: 0, stale: 0, backward: 0 });
  }
  t.diagnostic(`least hits: ${JSON.stringify(coldest)}`);
  assert.ok(coldest.unmoved >= UNMOVED_HITS_LEAST, `of unmoved rows ${coldest.unmoved} were hits`);

  const [rows] = await admin.query<RowDataPacket[]>(`SELECT id, n FROM ${db}.counters ORDER BY id`);
  await sleep(STALENESS_BOUND_MS + HEARTBEAT_MS);
  for (const { url } of gateways) {
    for (let first = 0; first < ROWS; first += 500) {
      const ids = rows.slice(first, first + 500).map(({ id }) => id as number);
      const answer = await fetch(`${url}/${db}/counters?ids=${ids.join(',')}`);
      assert.deepEqual((await answer.json()) as object, {
        rows: rows.slice(first, first + 500).map((row) => ({ ...row })),
      });
    }
  }
});
