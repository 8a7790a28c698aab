/**
 * The gateway's configuration is reloaded (SIGHUP) while it serves: no request fails for it, whatever the new file says; a
 * wrong one changes nothing; and what the gateway has learnt of its shards is not forgotten.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { Gateway } from '../../gateway/gateway.ts';
import { type LoadedConfig, parseConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { openLink } from '../../stack/faults.ts';
import type { RingfillProcess } from '../../stack/ringfill-process.ts';
import { memoryLog, redisAt, until } from '../support/broker.ts';
import { closedLoop, type LoopReport } from '../support/closed-loop.ts';
import { cacheStatusOf, gatewayConfig, type GatewaySettings, ringsOf } from '../support/gateway.ts';
import { startGatewayProcesses } from '../support/gateway-processes.ts';
import { Stamps } from '../support/stamps.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';
import { redisUrl, startOwnRedis } from '../support/least-privilege.ts';

const USERS = 2_000;
const CONNECTIONS = 16;
/** Requests between one reload and the next. */
const BETWEEN = 500;

const stack = await testStack();
const folder = temporaryFolder();

interface Settings {
  readonly tables: Config['tables'];
  readonly defaults?: Partial<Config['defaults']>;
  readonly rings?: Config['rings'];
  readonly origin?: Partial<Config['origin']>;
}

/** A gateway of its own process, and a hand at its file. */
class Reloaded {
  readonly gateway: RingfillProcess;
  readonly #file: string;
  readonly #first: Record<string, unknown>;

  private constructor(gateway: RingfillProcess) {
    this.gateway = gateway;
    this.#file = join(gateway.folder, 'ringfill.yml');
    this.#first = JSON.parse(readFileSync(this.#file, 'utf8')) as Record<string, unknown>;
  }

  static async start(settings: Settings): Promise<Reloaded> {
    const { gateways } = await startGatewayProcesses(stack, settings, 1);
    return new Reloaded(gateways[0] as RingfillProcess);
  }

  /** The file as it was at first, with this instead. */
  write(change: Partial<Settings>): void {
    this.writeText(JSON.stringify({ ...this.#first, ...change }));
  }

  writeText(text: string): void {
    writeFileSync(this.#file, text);
  }

  get sha256(): string {
    return createHash('sha256').update(readFileSync(this.#file)).digest('hex');
  }

  async reload(change: Partial<Settings>): Promise<string> {
    this.write(change);
    return await this.gateway.reload();
  }

  async status(path: string): Promise<number> {
    return (await fetch(this.gateway.url + path)).status;
  }

  async metric(pattern: RegExp): Promise<string | undefined> {
    const text = await (await fetch(`${this.gateway.url}/-/metrics`)).text();
    return pattern.exec(text)?.[1];
  }

  /** What it has logged of this. */
  logged(event: string): Record<string, unknown>[] {
    return readFileSync(this.gateway.logFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => String(line['event']).startsWith(event));
  }
}

/** Readers of test.users who check every answer, until they are told that it is over. */
class Load {
  readonly #bodies: ReadonlyMap<string, string>;
  readonly #running: Promise<LoopReport>;
  #sent = 0;
  #isOver = false;

  constructor(url: string, bodies: ReadonlyMap<string, string>) {
    this.#bodies = bodies;
    const isOver = () => this.#isOver;
    this.#running = closedLoop({
      url,
      connections: CONNECTIONS,
      get requests() {
        return isOver() ? 0 : Infinity;
      },
      path: (n) => `/test/users/${1 + ((n * 7919) % USERS)}`,
      expected: (path) => this.#bodies.get(path),
      onRequest: () => {
        this.#sent += 1;
      },
    });
  }

  /** Settles when so many more requests have been sent. */
  async goesOn(requests = BETWEEN): Promise<void> {
    const enough = this.#sent + requests;
    await until(`${requests} more requests`, () => this.#sent >= enough, 60_000);
  }

  async stop(): Promise<LoopReport> {
    this.#isOver = true;
    return await this.#running;
  }
}

async function everyUser(url: string): Promise<Map<string, string>> {
  const bodies = new Map<string, string>();
  for (let first = 1; first <= USERS; first += 500) {
    const ids = Array.from({ length: 500 }, (_, index) => first + index);
    const { rows } = (await (await fetch(`${url}/test/users?ids=${ids.join(',')}`)).json()) as {
      rows: { uid: number }[];
    };
    for (const row of rows) bodies.set(`/test/users/${row.uid}`, JSON.stringify(row));
  }
  return bodies;
}

const users: Config['tables'] = { 'test.users': {} };

test('ten reloads under load, each with something else in the file: no request fails', async (t) => {
  const extra = await startOwnRedis({ folder, name: 'extra' });
  after(() => extra.stop());
  const one = await Reloaded.start({ tables: users });
  const { url } = one.gateway;
  const [primary, fallback] = ringsOf(stack) as [Config['rings'][number], Config['rings'][number]];
  const withExtra = [primary, { ...fallback, shards: { ...fallback.shards, extra: redisUrl(extra.port) } }];
  const isUp = () => one.metric(/ringfill_shard_up\{ring="fallback",shard="extra"\} (\d)/);

  const load = new Load(url, await everyUser(url));
  const steps: [change: Partial<Settings>, shows: () => Promise<void>][] = [
    [
      { defaults: { ttlSeconds: 1_000, ttlJitterPercent: 0 } },
      async () => {
        await fetch(`${url}/test/users/9001`);
        const hit = cacheStatusOf(await fetch(`${url}/test/users/9001`));
        assert.match(hit.text, /; hit; ttl=(?:1000|99\d);/);
      },
    ],
    [
      { tables: { ...users, 'shop.customers': {} } },
      async () => assert.equal(await one.status('/shop/customers/1'), 200, 'a table that was added'),
    ],
    [
      { tables: users },
      async () => assert.equal(await one.status('/shop/customers/1'), 404, 'a table that was removed'),
    ],
    [{ rings: withExtra }, async () => assert.equal(await isUp(), '1', 'a Redis that was added')],
    [{}, async () => assert.equal(await isUp(), undefined, 'a Redis that was removed')],
  ];
  for (const [change, shows] of [...steps, ...steps]) {
    await load.goesOn();
    assert.equal(await one.reload(change), 'loaded');
    await shows();
  }
  await load.goesOn();
  const report = await load.stop();

  assert.deepEqual(report.socketErrors, []);
  assert.deepEqual(report.wrongBodies.slice(0, 3), []);
  assert.deepEqual(Object.keys(report.statuses), ['200'], JSON.stringify(report.statuses));
  assert.equal(await one.metric(/ringfill_config_reloads_total\{outcome="loaded"\} (\d+)/), '10');
  assert.equal(await one.metric(/ringfill_config_info\{sha256="(\w+)"\} 1/), one.sha256);
  t.diagnostic(`${report.statuses[200]} requests; the slowest took ${report.slowestMs.toFixed(0)} ms`);
});

test('a wrong file is refused with all that is wrong in it, and the one before stays', async () => {
  const one = await Reloaded.start({ tables: users });
  const before = one.sha256;
  const files: [what: string, text: string, code: string, said: RegExp][] = [
    ['no YAML', 'http: [', 'config-unreadable', /not YAML/],
    [
      'an unknown key, twice',
      '{"origin": {"urll": 1}, "ring": []}',
      'config-invalid',
      /did you mean rings\?[^]*did you mean url\?/,
    ],
    ['a table that MySQL does not have', '', 'table-missing', /doesn't exist/],
  ];
  for (const [what, text, code, said] of files) {
    if (text === '') one.write({ tables: { ...users, 'test.nowhere': {} } });
    else one.writeText(text);
    assert.equal(await one.gateway.reload(), 'refused', what);
    const last = () => one.logged('configuration refused').at(-1);
    await until(`${code} is told`, () => last()?.['code'] === code);
    const told = last();
    assert.match(String(told?.['problems']), said, what);
    assert.equal(await one.status('/test/users/8'), 200, what);
  }
  assert.equal(await one.metric(/ringfill_config_reloads_total\{outcome="refused"\} (\d+)/), '3');
  assert.equal(await one.metric(/ringfill_config_info\{sha256="(\w+)"\} 1/), before);
});

test('several signals at once: the last file is what is served by', async () => {
  const one = await Reloaded.start({ tables: users });
  for (let round = 1; round <= 5; round += 1) {
    one.write({ tables: { ...users, 'shop.customers': {} } });
    one.gateway.kill('SIGHUP');
    one.gateway.kill('SIGHUP');
    // The first may be under way by now, or not.
    await sleep(round * 10);
    one.write({ tables: users, defaults: { ttlSeconds: 500 + round } });
    one.gateway.kill('SIGHUP');
    const wanted = one.sha256;
    await until('the last file is in use', async () => {
      return (await one.metric(/ringfill_config_info\{sha256="(\w+)"\} 1/)) === wanted;
    });
    assert.equal(await one.status('/shop/customers/1'), 404);
  }
  assert.equal(await one.metric(/ringfill_config_reloads_total\{outcome="refused"\} (\d+)/), '0');
});

test('where it listens stays as it was, and it says that this needs a restart', async () => {
  const one = await Reloaded.start({ tables: users });
  const text = readFileSync(join(one.gateway.folder, 'ringfill.yml'), 'utf8');
  const changed = { ...(JSON.parse(text) as object), http: { port: 1 }, log: { level: 'info' } };
  one.writeText(JSON.stringify(changed));
  assert.equal(await one.gateway.reload(), 'loaded');
  assert.equal(await one.status('/test/users/8'), 200);
  await until('it is said', () => one.logged('settings changed that need a restart').length === 1);
  assert.deepEqual(one.logged('settings changed that need a restart')[0]?.['settings'], ['http.port']);
});

describe('in this process', () => {
  interface Local {
    readonly gateway: Gateway;
    readonly url: string;
    readonly keyPrefix: string;
    readonly events: Record<string, unknown>[];
    readonly loaded: (change?: Partial<GatewaySettings>) => () => LoadedConfig;
  }

  async function startLocal(settings: GatewaySettings, reloadTimeoutMs?: number): Promise<Local> {
    const { text, keyPrefix } = gatewayConfig(stack, settings);
    const { log, events } = memoryLog();
    const loaded = (change: Partial<GatewaySettings> = {}) => {
      const changed = gatewayConfig(stack, { ...settings, ...change, keyPrefix }).text;
      return () => ({ config: parseConfig(changed, 'test'), sha256: 'of-the-test' });
    };
    const options = { config: parseConfig(text, 'test'), version: 'test', log };
    const gateway = new Gateway({ ...options, ...(reloadTimeoutMs !== undefined && { reloadTimeoutMs }) });
    after(() => gateway.stop());
    return { gateway, url: await gateway.start(), keyPrefix, events, loaded };
  }

  test('while MySQL is away a reload is given up, and what is cached is served on', async () => {
    const link = await openLink({ to: stack.mysql });
    after(() => link.stop());
    const origin = { url: `mysql://ringfill:ringfill@127.0.0.1:${link.port}`, timeoutMs: 300 };
    const { gateway, url, loaded } = await startLocal({ tables: users, origin }, 1_500);
    assert.equal((await fetch(`${url}/test/users/8`)).status, 200);
    link.cut();
    const reloading = gateway.reload(loaded({ tables: { ...users, 'shop.customers': {} } }));
    let outcome: string | undefined;
    void reloading.then((ended) => {
      outcome = ended;
    });
    let hits = 0;
    while (outcome === undefined) {
      const answer = await fetch(`${url}/test/users/8`);
      assert.ok(cacheStatusOf(answer).hit, cacheStatusOf(answer).text);
      hits += 1;
    }
    assert.equal(outcome, 'given-up');
    assert.ok(hits > 10, `${hits} hits meanwhile`);
    assert.equal((await fetch(`${url}/-/ready`)).status, 200);

    // One that still waits gives way to the next.
    const superseded = gateway.reload(loaded({ tables: { ...users, 'shop.customers': {} } }));
    await sleep(100);
    const last = gateway.reload(loaded({ tables: { ...users, 'shop.orders': {} } }));
    assert.equal(await superseded, 'superseded');
    link.heal();
    assert.equal(await last, 'loaded');
    assert.equal((await fetch(`${url}/shop/customers/1`)).status, 404);
    assert.equal((await fetch(`${url}/shop/orders/1`)).status, 200);
  });

  test('a gateway that waits for MySQL takes another one by a reload', async () => {
    const { text, keyPrefix } = gatewayConfig(stack, { tables: users, origin: { url: 'mysql://nobody@127.0.0.1:1' } });
    const gateway = new Gateway({ config: parseConfig(text, 'test'), version: 'test', log: memoryLog().log });
    after(() => gateway.stop());
    const starting = gateway.start();
    const right = parseConfig(gatewayConfig(stack, { tables: users, keyPrefix }).text, 'test');
    assert.equal(await gateway.reload(() => ({ config: right, sha256: 'right' })), 'loaded');
    assert.equal((await fetch(`${await starting}/test/users/8`)).status, 200);
  });

  test('a request that began before is answered by what it began with', async () => {
    const { gateway, url, loaded, events } = await startLocal({ tables: { ...users, 'shop.customers': {} } });
    const { host, port } = stack.mysql;
    const [root, watch] = await Promise.all([1, 2].map(() => createConnection({ host, port, user: 'root' })));
    after(() => Promise.all([root?.end(), watch?.end()]));
    await root?.query('LOCK TABLES shop.customers WRITE');
    const before = fetch(`${url}/shop/customers/1`);
    await until('its read waits', async () => {
      const waiting = "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'";
      const [rows] = (await watch?.query<RowDataPacket[]>(waiting)) ?? [[]];
      return rows.length > 0;
    });
    // The read of the schemas does not wait for that lock, as the new configuration does not name the table.
    assert.equal(await gateway.reload(loaded({ tables: users })), 'loaded');
    assert.equal((await fetch(`${url}/shop/customers/1`)).status, 404, 'by the new one');
    await root?.query('UNLOCK TABLES');
    assert.equal((await before).status, 200, 'by the old one');
    assert.deepEqual(
      events.filter(({ event }) => String(event).includes('cut short')),
      [],
    );
  });

  test('a dump that is put back while it reloads is not believed', async () => {
    const sync = { stalenessBoundMs: 60_000 };
    const settings: GatewaySettings = { tables: { 'test.users': { onSyncLost: 'origin' } }, sync };
    const { gateway, url, keyPrefix, loaded } = await startLocal(settings);
    const stamps = await Stamps.over(stack, keyPrefix, ['test.users(uid)']);
    await stamps.beatAll();
    await fetch(`${url}/test/users/8`);
    const answer = cacheStatusOf(await fetch(`${url}/test/users/8`));
    assert.ok(answer.hit, answer.text);
    const owner = /^(\w+)\/0/.exec(answer.detail)?.[1];
    const redis = redisAt(stack.redis.find(({ shard }) => shard === owner)?.port ?? 0);
    const dumped = (await redis.getBuffer(stampKey(keyPrefix))) as Buffer;

    // What is applied later, the dump does not have.
    await lengthenBinlog();
    await stamps.beatAll();
    assert.ok(cacheStatusOf(await fetch(`${url}/test/users/8`)).hit);
    await redis.set(stampKey(keyPrefix), dumped);
    assert.equal(await gateway.reload(loaded({ defaults: { ttlSeconds: 77 } })), 'loaded');
    const states = (await (await fetch(`${url}/-/ring`)).json()) as {
      layers: { shards: { shard: string; state: string }[] }[];
    };
    const state = states.layers.flatMap(({ shards }) => shards).find(({ shard }) => shard === owner)?.state;
    assert.equal(state, 'went-back');
    assert.doesNotMatch(cacheStatusOf(await fetch(`${url}/test/users/8`)).detail, new RegExp(`^${owner}/`));
  });
});

/** The binlog gets longer. */
async function lengthenBinlog(): Promise<void> {
  const { host, port } = stack.mysql;
  const root = await createConnection({ host, port, user: 'root' });
  await root.query('CREATE DATABASE IF NOT EXISTS ringfill_reload');
  await root.query('DROP DATABASE ringfill_reload');
  await root.end();
}
