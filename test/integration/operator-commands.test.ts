/**
 * `ringfill status`, `invalidate`, `refresh`, `drain` and `completion`, as operators run them, against real gateways: what
 * they print, what they leave behind, and what is refused.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { HeldStory, Invalidation, KeyStory, Status } from '../../client/index.ts';
import { Gateway } from '../../gateway/gateway.ts';
import type { ShardPort } from '../../gateway/journey/shard-port.ts';
import type { RowRequest } from '../../gateway/journey/row-request.ts';
import { invalidate } from '../../gateway/operations/invalidate.ts';
import { newKey } from '../../shared/access/api-key.ts';
import { changeKeyFile } from '../../shared/access/key-file.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { decodeEntry, encodeEntry } from '../../shared/entry/entry.ts';
import { leaseKey } from '../../shared/key/cache-key.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { Layers } from '../../shared/ring/layers.ts';
import { Shard } from '../../shared/shard/shard.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { redisAt, until } from '../support/broker.ts';
import { type CommandOutcome, runCommand } from '../support/cli.ts';
import { cacheStatusOf, gatewayConfig, ringsOf, startGateway } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const keysFile = join(folder, 'keys.json');

async function createKey(tables: readonly string[], isAdmin: boolean): Promise<string> {
  const { text, id, sha256 } = newKey();
  const created = new Date().toISOString();
  const record = { id, sha256, created, name: 'test', tables: [...tables], admin: isAdmin };
  await changeKeyFile(keysFile, (keys) => [...keys, record]);
  return text;
}

const admin = await createKey(['*'], true);
const reader = await createKey(['*'], false);
const adminOfNoTable = await createKey([], true);
const tables = { 'test.users': {}, 'shop.order_items': {} };
const gateway = await startGateway(stack, { tables, access: { keysFile } });
const shards = Object.fromEntries(stack.redis.map(({ shard, port }) => [shard, redisAt(port)]));
after(() => Object.values(shards).forEach((redis) => redis.disconnect()));

function run(args: readonly string[], key: string | undefined, url = gateway.url): Promise<CommandOutcome> {
  return runCommand([...args, '--url', url], { RINGFILL_KEY: key ?? '' });
}

async function read(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${reader}` };
  const answer = await gateway.get(path, { ...init, headers });
  await answer.clone().arrayBuffer();
  return answer;
}

/** In which shards something lies under the row's key. */
async function placesOf(cacheKey: string): Promise<readonly string[]> {
  const found = await Promise.all(
    Object.entries(shards).map(async ([name, redis]) =>
      (await redis.exists(gateway.keyPrefix + cacheKey)) ? [name] : [],
    ),
  );
  return found.flat();
}

describe('invalidate', () => {
  test('takes rows out of every shard where they lie, by their paths; the next request is a miss', async () => {
    await read('/test/users/31');
    const [owner] = await placesOf('test_users_31');
    // A copy in the fallback ring, as `warmOneIn` leaves them.
    const story = await run(['owner', `${gateway.keyPrefix}test_users_31`, '--json'], admin);
    const { candidates } = JSON.parse(story.stdout) as { candidates: { layer: number; shard: string }[] };
    const fallback = candidates.find(({ layer }) => layer === 1)?.shard ?? assert.fail('no fallback');
    await shards[fallback]?.set(
      `${gateway.keyPrefix}test_users_31`,
      (await shards[owner ?? '']?.getBuffer(`${gateway.keyPrefix}test_users_31`)) ?? '',
    );
    assert.deepEqual(await placesOf('test_users_31'), [owner, fallback]);
    await read('/shop/order_items/1,2');

    const { code, stdout, stderr } = await run(['invalidate', 'test/users/31', '/shop/order_items/1,2'], admin);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^row +layer  ring +shard  outcome\n/);
    assert.match(stdout, new RegExp(`^test/users/31 +0  primary +${owner} +removed$`, 'm'));
    assert.match(stdout, new RegExp(`^test/users/31 +1  fallback  ${fallback} +removed$`, 'm'));
    assert.match(stdout, /^\/shop\/order_items\/1,2 +0  primary +r\d +removed$/m);
    assert.deepEqual(await placesOf('test_users_31'), []);
    assert.equal(cacheStatusOf(await read('/test/users/31')).stored, true);
  });

  test('as JSON it tells shard by shard, and of a row that was nowhere too', async () => {
    const { code, stdout } = await run(['invalidate', 'test/users/32', '--json'], adminOfNoTable);
    assert.equal(code, 0);
    const [told] = JSON.parse(stdout) as Invalidation[];
    assert.equal(told?.key, `${gateway.keyPrefix}test_users_32`);
    assert.deepEqual(
      told?.shards.map(({ layer, outcome }) => [layer, outcome]),
      [
        [0, 'none'],
        [1, 'none'],
      ],
    );
  });

  test('is for keys made with --admin, and is not there where the gateway asks for none', async () => {
    await read('/test/users/33');
    const without = await run(['invalidate', 'test/users/33'], undefined);
    assert.deepEqual([without.code, without.stdout], [1, '']);
    assert.match(without.stderr, /\[unauthenticated\]/);
    const forbidden = await run(['invalidate', 'test/users/33'], reader);
    assert.deepEqual([forbidden.code, forbidden.stdout], [1, '']);
    assert.match(forbidden.stderr, /\[not-permitted\].*--admin/s);
    assert.equal((await placesOf('test_users_33')).length, 1, 'it is where it was');
    const open = await startGateway(stack, { tables });
    const absent = await run(['invalidate', 'test/users/33'], admin, open.url);
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /\[route-not-found\].*`access`/s);
    const byGet = await read('/-/ring/invalidate?key=test_users_33');
    assert.equal(byGet.status, 400, 'a link is a row’s address, and changes nothing');
    assert.equal((await placesOf('test_users_33')).length, 1);
  });

  test('is refused for what is not exposed, is no row’s name, or is no id', async () => {
    const misspelt = await run(['invalidate', 'test_users_8'], admin);
    assert.deepEqual([misspelt.code, misspelt.stdout], [1, '']);
    assert.match(misspelt.stderr, /DB\/TABLE\/ID/);
    for (const [key, code] of [
      ['test/tags/foo', 'table-not-exposed'],
      ['mysql/user/root', 'table-not-exposed'],
      ['test/users/007', 'bad-id'],
      ['', 'table-not-exposed'],
    ] as const) {
      const answer = await gateway.get(`/-/ring/invalidate?key=${key}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin}` },
      });
      assert.equal(((await answer.json()) as { code: string }).code, code, key);
    }
  });

  test('is refused for a mirror’s row, with what to do instead; rows named before it are taken out', async () => {
    const mirrored = await startGateway(stack, {
      tables: { 'test.users': { follow: false }, 'shop.orders': { mode: 'mirror' } },
      access: { keysFile },
      sync: { stateFolder: folder },
    });
    const { code, stdout, stderr } = await run(['invalidate', 'test/users/1', 'shop/orders/1'], admin, mirrored.url);
    assert.equal(code, 1);
    assert.match(stdout, /^test\/users\/1 +0 /m);
    assert.match(stderr, /shop\.orders is a mirror: .*ringfill audit shop\.orders --repair.*\[table-is-mirror\]/);
    const refreshed = await run(['refresh', 'shop/orders/1'], reader, mirrored.url);
    assert.deepEqual([refreshed.code, refreshed.stdout], [1, '']);
    assert.match(refreshed.stderr, /shop\.orders is a mirror: .*\[table-is-mirror\]/);
    const key = 'key=shop/orders/1';
    const answer = await fetch(`${mirrored.url}/-/ring/invalidate?${key}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin}` },
    });
    assert.equal(answer.status, 409);
  });

  test('tells of a shard that was not reached, and ends with 1', async () => {
    const port = await chooseFreePort();
    const [primary] = ringsOf(stack);
    const rings = [primary ?? assert.fail(), { name: 'fallback', shards: { gone: `redis://127.0.0.1:${port}` } }];
    const lame = await startGateway(stack, { tables, rings, access: { keysFile } });
    const { code, stdout, stderr } = await run(['invalidate', 'test/users/34'], admin, lame.url);
    assert.equal(code, 1);
    assert.match(stdout, /^test\/users\/34 +0  primary +r\d +none\n.* 1  fallback  gone +unreached$/m);
    assert.match(stderr, /keeps what it has/);
  });

  test('a read of MySQL that began before is not stored after it, in whichever shard', async () => {
    const key = `${gateway.keyPrefix}test_users_35`;
    const view = await viewOf(stack.redis.map(({ shard }) => shard));
    const shape = 'shape--1';
    const tokens = await Promise.all(
      view.map(async (shard) => {
        const lease = await shard.lease(key, { shape, leaseTtlMs: 60_000, over: 'nothing' });
        return lease.kind === 'lease' ? lease.token : assert.fail(lease.kind);
      }),
    );
    const told = JSON.parse((await run(['invalidate', 'test/users/35', '--json'], admin)).stdout) as Invalidation[];
    const asked = new Set(told.flatMap((one) => one.shards.map(({ shard }) => shard)));
    assert.equal(asked.size, 2);
    for (const [index, shard] of view.entries()) {
      if (!asked.has(shard.name)) continue;
      const old = {
        kind: 'row',
        exactness: 'inexact',
        isSecondHand: false,
        version: '0'.repeat(45),
        shape,
        readAtMs: Date.now(),
        ttlSeconds: 60,
        body: Buffer.from('{"old":1}'),
      } as const;
      assert.equal(await shard.fill(key, tokens[index] ?? '', old, 60_000), 'lost');
    }
    assert.deepEqual(await placesOf('test_users_35'), []);
  });

  test('nothing is copied from a shard that still has the row into one that it was taken out of', async () => {
    const key = `${gateway.keyPrefix}copied_1`;
    const view = await viewOf(['r1', 'f1']);
    const [first, last] = view as [Shard, Shard];
    const request = {
      table: { label: 'test.users', settings: { mode: 'read-through' } } as unknown as ExposedTable,
      id: { segment: '1' } as RowRequest['id'],
      cacheKey: key,
    };
    const begunAt = async (shard: Shard) =>
      (await shard.lease(key, { shape: 'shape--1', leaseTtlMs: 1_000, over: 'nothing' })).kind;
    const copyBetween: string[] = [];
    /** The last one: by the time that it is asked, the first is done, and a copy would begin there. */
    const lingering: Pick<ShardPort, 'name' | 'condition' | 'invalidate' | 'release'> = {
      name: last.name,
      condition: last.condition,
      release: last.release.bind(last),
      async invalidate(...args) {
        await until('the first is done', async () => (await shards['r1']?.exists(leaseKey(key))) === 1);
        copyBetween.push(await begunAt(first));
        return await last.invalidate(...args);
      },
    };
    const layers = new Layers<ShardPort>([
      { name: 'primary', placement: 'balanced', shards: new Map([['r1', first]]) },
      { name: 'fallback', placement: 'balanced', shards: new Map([['f1', lingering as ShardPort]]) },
    ]);
    await invalidate({ layers, leaseTtlMs: 10_000 }, request);
    assert.deepEqual(copyBetween, ['busy']);
    assert.equal(await begunAt(first), 'lease', 'given back');
  });
});

/** Another gateway's view of the stack's shards. */
async function viewOf(names: readonly string[]): Promise<readonly Shard[]> {
  return await Promise.all(
    names.map(async (name) => {
      const { ring, port } = stack.redis.find(({ shard }) => shard === name) ?? assert.fail(name);
      const shard = new Shard({
        name,
        ring,
        endpoint: `redis://127.0.0.1:${port}`,
        timeoutMs: 2_000,
        failuresToOpen: 3,
        onChange: () => undefined,
      });
      after(() => shard.stop());
      await shard.start();
      return shard;
    }),
  );
}

describe('refresh', () => {
  test('reads the row from MySQL, stores it, and shows what lies there then', async () => {
    await read('/test/users/41');
    const [owner = ''] = await placesOf('test_users_41');
    const key = `${gateway.keyPrefix}test_users_41`;
    const entry = decodeEntry((await shards[owner]?.getBuffer(key)) ?? Buffer.alloc(0)) ?? assert.fail('no entry');
    await shards[owner]?.set(key, encodeEntry({ ...entry, body: Buffer.from('{"uid":41,"username":"old"}') }));
    assert.match(await (await read('/test/users/41')).text(), /"old"/);
    const { code, stdout, stderr } = await run(['refresh', 'test/users/41'], reader);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^row +stored +shard  age  expires in  as MySQL  version\n/);
    assert.match(stdout, new RegExp(`^test/users/41  the row +${owner} +0 s +\\d+ s +yes +0+$`, 'm'));
    assert.doesNotMatch(await (await read('/test/users/41')).text(), /"old"/);
  });

  test('of a row that there is not: that is stored, too; as JSON', async () => {
    const { code, stdout } = await run(['refresh', 'test/users/99999999', '--json'], reader);
    assert.equal(code, 0);
    const [told] = JSON.parse(stdout) as { found: boolean; story: KeyStory }[];
    assert.equal(told?.found, false);
    assert.deepEqual(
      told?.story.candidates.map(({ kind }: HeldStory) => kind),
      ['negative', 'none'],
    );
  });

  test('is refused without a key for the table', async () => {
    const forbidden = await run(['refresh', 'test/users/1'], adminOfNoTable);
    assert.equal(forbidden.code, 1);
    assert.match(forbidden.stderr, /\[not-permitted\]/);
  });
});

describe('status', () => {
  test('of a gateway that is well: 0, the rings, and the last minute', async () => {
    await read('/test/users/51');
    const { code, stdout, stderr } = await run(['status'], reader);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^gateway +http:\/\/127\.0\.0\.1:\d+, ringfill test, ready\nMySQL +answers\nrows /);
    assert.match(stdout, /^changes +not followed: rows live by their TTL$/m);
    assert.match(stdout, /^ +0  primary +r1 +ok /m);
    assert.match(stdout, /^All is well\.$/m);
    const status = JSON.parse((await run(['status', '--json'], reader)).stdout) as Status & { attention: string[] };
    assert.deepEqual([status.attention, status.isOriginUp, status.worker], [[], true, null]);
    assert.equal(status.layers.length, 2);
  });

  test('of one whose shard is down: 1, and which', async () => {
    const port = await chooseFreePort();
    const [primary] = ringsOf(stack);
    const rings = [primary ?? assert.fail(), { name: 'fallback', shards: { gone: `redis://127.0.0.1:${port}` } }];
    const lame = await startGateway(stack, { tables, rings });
    const { code, stdout } = await run(['status'], undefined, lame.url);
    assert.equal(code, 1);
    assert.match(stdout, /^Look here: shard gone is down\.$/m);
  });

  test('without a key, and where no gateway is: 1', async () => {
    assert.match((await run(['status'], undefined)).stderr, /\[unauthenticated\]/);
    const { code, stderr } = await run(['status'], undefined, 'http://127.0.0.1:1');
    assert.equal(code, 1);
    assert.match(stderr, /cannot be reached/);
  });
});

describe('drain', () => {
  interface Told {
    readonly file: string;
    readonly gateway: string | null;
    readonly until: string | null;
    readonly mayBeSwitchedOff: boolean;
  }

  /** As `kill -HUP` would have it: a gateway by the file as it is now. */
  async function reloaded(path: string): Promise<string> {
    const served = new Gateway({ config: loadConfig(path), version: 'test', log: createLog('error') });
    after(() => served.stop());
    return await served.start();
  }

  function fileOf(name: string): string {
    const home = join(folder, name);
    mkdirSync(home);
    const path = join(home, 'ringfill.yml');
    writeFileSync(path, gatewayConfig(stack, { tables }).text);
    return path;
  }

  const drain = async (path: string, url: string, ...args: readonly string[]): Promise<Told> => {
    const { code, stdout, stderr } = await runCommand(['drain', 'r2', '-c', path, '--url', url, '--json', ...args]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Told;
  };

  test('step by step, until the shard may be switched off; to run it again changes nothing before its time', async () => {
    const path = fileOf('drained');
    const first = await reloaded(path);
    const out = await runCommand(['drain', 'primary/r2', '-c', path, '--url', first]);
    assert.equal(out.code, 0, out.stderr);
    assert.match(out.stdout, /^ring primary, layer 0: r2 removed/m);
    assert.match(out.stdout, /reload the sync worker, then each gateway/);
    const written = readFileSync(path, 'utf8');
    assert.deepEqual(Object.keys(loadConfig(path).rings[0]?.shards ?? {}), ['r1', 'r3']);

    assert.deepEqual({ ...(await drain(path, first)), until: null }, told('handing-over', 'uses'));
    const second = await reloaded(path);
    const handing = await drain(path, second);
    assert.deepEqual({ ...handing, until: null }, told('handing-over', 'hands-over'));
    assert.ok(Date.parse(handing.until ?? '') > Date.now());
    assert.equal(readFileSync(path, 'utf8'), written, 'nothing to do yet');

    writeFileSync(path, written.replaceAll(/"until": ?"[^"]+"/g, '"until": "2020-01-01T00:00:00Z"'));
    // A gateway that has not been reloaded would go on filling it: not yet.
    assert.deepEqual(await drain(path, first), told('handed-over', 'uses'));
    assert.deepEqual(await drain(path, second), told('unknown', 'hands-over'));
    assert.equal(loadConfig(path).rings[0]?.former, undefined);

    const done = await drain(path, await reloaded(path));
    assert.deepEqual(done, { ...told('unknown', 'forgot'), mayBeSwitchedOff: true });
  });

  test('where no gateway can be asked, it is not said that the shard may be switched off', async () => {
    const path = fileOf('unasked');
    const none = 'http://127.0.0.1:1';
    const dry = await runCommand(['drain', 'r2', '-c', path, '--url', none, '--dry-run']);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /^-.*r2/m);
    assert.deepEqual(Object.keys(loadConfig(path).rings[0]?.shards ?? {}), ['r1', 'r2', 'r3']);
    const unknown = await runCommand(['drain', 'r9', '-c', path, '--url', none, '--json']);
    assert.equal(unknown.code, 1);
    assert.deepEqual([(JSON.parse(unknown.stdout) as Told).mayBeSwitchedOff], [false]);
  });

  test('of a shard that the gateway uses and the file does not name: the wrong file', async () => {
    const path = fileOf('other');
    const url = await reloaded(path);
    const config = JSON.parse(readFileSync(path, 'utf8')) as { rings: { shards: Record<string, string> }[] };
    delete config.rings[0]?.shards['r3'];
    writeFileSync(path, JSON.stringify(config));
    const { code, stderr } = await runCommand(['drain', 'r3', '-c', path, '--url', url]);
    assert.equal(code, 1);
    assert.match(stderr, /\[ring-change-refused\]/);
  });

  function told(file: string, asked: string): Told & { readonly shard: string } {
    return { shard: 'r2', file, gateway: asked, until: null, mayBeSwitchedOff: false };
  }
});

describe('completion', () => {
  const BASH = `source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_ringfill
printf '%s\\n' "\${COMPREPLY[@]}"`;

  const script = join(folder, 'ringfill.bash');
  before(async () => writeFileSync(script, (await runCommand(['completion', 'bash'])).stdout));

  /** What bash offers for the last word. */
  async function offered(...words: readonly string[]): Promise<readonly string[]> {
    const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', BASH, 'bash', script, 'ringfill', ...words], {
      cwd: folder,
    });
    return stdout.split('\n').filter((word) => word !== '');
  }

  test('bash completes commands, commands below commands, options, values and files', async () => {
    assert.deepEqual(await offered('inv'), ['invalidate']);
    assert.deepEqual((await offered('re')).toSorted(), ['refresh', 'replay']);
    assert.deepEqual(await offered('ring', 'set'), ['settle']);
    assert.deepEqual(await offered('ring', 'settle', '--d'), ['--dry-run']);
    assert.deepEqual(await offered('dead-letters', 'replay', '--js'), ['--json']);
    assert.deepEqual(await offered('completion', ''), ['bash', 'zsh', '--help']);
    assert.deepEqual(await offered('check', '--config', 'key'), ['keys.json']);
    assert.deepEqual(await offered('status', '--url', ''), [], 'a URL is nobody’s to guess');
  });

  test('zsh is told the same, by its bashcompinit', async () => {
    const { code, stdout } = await runCommand(['completion', 'zsh']);
    assert.equal(code, 0);
    assert.match(stdout, /^autoload -Uz compinit bashcompinit\n[^]*bashcompinit\n_ringfill\(\) \{/);
    assert.equal((await runCommand(['completion', 'fish'])).code, 1);
  });
});
