/** What stands behind the dashboard: a key's story, the page's files, and the stream of events. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { About, KeyStory, Now } from '../../gateway/ui/wire.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { decodeEntry, encodeEntry, type Entry } from '../../shared/entry/entry.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { redisAt, until } from '../support/broker.ts';
import { gatewayConfig, startGateway } from '../support/gateway.ts';
import { testStack } from '../support/stack.ts';

const LISTENERS_MAX = 32;

const stack = await testStack();
const tables = { 'test.users': { columns: { deny: ['email'] } }, 'shop.order_items': {} };
const gateway = await startGateway(stack, { tables });
const shards = Object.fromEntries(stack.redis.map(({ shard, port }) => [shard, redisAt(port)]));
after(() => Object.values(shards).forEach((redis) => redis.disconnect()));

async function story(key: string): Promise<KeyStory> {
  const answer = await gateway.get(`/-/ring/story?key=${encodeURIComponent(key)}`);
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()) as KeyStory;
}

async function keysEverywhere(): Promise<readonly string[]> {
  const found = await Promise.all(Object.values(shards).map((redis) => redis.keys(`${gateway.keyPrefix}*`)));
  return found.flat().toSorted();
}

describe('a key’s story', () => {
  test('of a row that nobody has asked for: no shard has it, and to look fills nothing', async () => {
    const before = await keysEverywhere();
    const { candidates, origin, table, id, mode } = await story('test_users_8');
    assert.deepEqual({ table, id, mode }, { table: 'test.users', id: '8', mode: 'read-through' });
    assert.deepEqual(
      candidates.map(({ layer, kind, counts }) => ({ layer, kind, counts })),
      [
        { layer: 0, kind: 'none', counts: false },
        { layer: 1, kind: 'none', counts: false },
      ],
    );
    assert.equal((JSON.parse(origin.row ?? '') as { username: string }).username, 'duobao153713223');
    assert.deepEqual(await keysEverywhere(), before);
  });

  test('of a row that is cached: as it was asked for by path or by key, with and without the prefix', async () => {
    const body = await (await gateway.get('/test/users/9')).text();
    for (const asked of ['test/users/9', '/test/users/9', 'test_users_9', `${gateway.keyPrefix}test_users_9`]) {
      const { key, candidates, origin } = await story(asked);
      assert.equal(key, `${gateway.keyPrefix}test_users_9`);
      const { kind, counts, because, agrees, row } = candidates[0] ?? assert.fail('no candidate');
      assert.deepEqual(
        { kind, counts, because, agrees },
        { kind: 'row', counts: true, because: 'by-ttl', agrees: true },
      );
      assert.equal(row, body);
      assert.equal(origin.row, body);
    }
  });

  test('of a row of two key columns', async () => {
    const rows = await story('shop/order_items/1,1');
    assert.equal(rows.id, '1,1');
    assert.equal(rows.table, 'shop.order_items');
  });

  test('of a row that is not there: a negative, and MySQL says the same', async () => {
    assert.equal((await gateway.get('/test/users/99999999')).status, 404);
    const { candidates, origin } = await story('test_users_99999999');
    assert.equal(origin.kind, 'absent');
    assert.deepEqual([candidates[0]?.kind, candidates[0]?.agrees], ['negative', true]);
  });

  test('of an entry that MySQL contradicts: it says so', async () => {
    await changeEntry('test_users_10', (entry) => ({ ...entry, body: Buffer.from('{"uid":10,"username":"old"}') }));
    const { candidates } = await story('test_users_10');
    assert.deepEqual([candidates[0]?.counts, candidates[0]?.agrees], [true, false]);
  });

  test('of an entry of other columns: it does not count, and its row is not shown, for it may have a denied one', async () => {
    const body = Buffer.from('{"uid":11,"email":"secret@example.com"}');
    await changeEntry('test_users_11', (entry) => ({ ...entry, shape: 'another_', body }));
    const told = await story('test_users_11');
    const { counts, because, row, agrees } = told.candidates[0] ?? assert.fail('no candidate');
    assert.deepEqual(
      { counts, because, row, agrees },
      { counts: false, because: 'other-shape', row: null, agrees: null },
    );
    assert.doesNotMatch(JSON.stringify(told), /email/);
  });

  test('of what is no entry at all', async () => {
    const { candidates } = await story('test_users_12');
    const { shard = '' } = candidates[0] ?? {};
    await shards[shard]?.set(`${gateway.keyPrefix}test_users_12`, 'something else');
    assert.equal((await story('test_users_12')).candidates[0]?.kind, 'unreadable');
  });

  test('what cannot be asked is refused with the reason', async () => {
    const codeOf = async (query: string) => {
      const answer = await gateway.get(`/-/ring/story${query}`);
      return [answer.status, ((await answer.json()) as { code: string }).code];
    };
    assert.deepEqual(await codeOf(''), [400, 'missing-parameter']);
    assert.deepEqual(await codeOf('?key=a&kye=b'), [400, 'unknown-parameter']);
    assert.deepEqual(await codeOf('?key=nothing_like_it_1'), [404, 'table-not-exposed']);
    assert.deepEqual(await codeOf('?key=mysql/user/root'), [404, 'table-not-exposed']);
    assert.deepEqual(await codeOf('?key=test/users/08'), [400, 'bad-id']);
  });

  /** Fills it, and puts another entry in its place. */
  async function changeEntry(key: string, change: (entry: Entry) => Entry): Promise<void> {
    await (await gateway.get(`/${key.replaceAll('_', '/')}`)).text();
    const { shard = '' } = (await story(key)).candidates[0] ?? {};
    const redis = shards[shard] ?? assert.fail(shard);
    const entry = decodeEntry((await redis.getBuffer(gateway.keyPrefix + key)) ?? Buffer.alloc(0));
    assert.ok(entry !== undefined);
    await redis.set(gateway.keyPrefix + key, encodeEntry(change(entry)));
  }
});

describe('the page', () => {
  test('names files that are there, and nothing of another host', async () => {
    const page = await gateway.get('/-/ui');
    const html = await page.text();
    assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'none'; script-src 'self'; /);
    const named = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, name = '']) => name);
    assert.ok(named.length >= 8);
    for (const name of named) {
      const file = await gateway.get(`/-/${name}`);
      assert.equal(file.status, 200, name);
      assert.doesNotMatch(await file.text(), /\b(?:src|href|import)\b[^\n]{0,12}https?:/, name);
    }
    assert.doesNotMatch(html, /<script>|\son[a-z]+=|style=/);
  });

  test('modules import only what is served', async () => {
    const [waiting, seen] = [['dashboard.js'], new Set<string>()];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const file = await gateway.get(`/-/ui/${name}`);
      assert.equal(file.headers.get('content-type'), 'text/javascript; charset=utf-8', name);
      const imported = [...(await file.text()).matchAll(/^(?:import|\} from)\b[^'\n]*'\.\/([^']+)'/gm)];
      waiting.push(...imported.map(([, module = '']) => module));
    }
    assert.ok(seen.size >= 10, [...seen].join());
  });

  test('is asked for again by its entity tag, and found under its other spelling', async () => {
    const etag = (await gateway.get('/-/ui/dashboard.js')).headers.get('etag') ?? '';
    const again = await gateway.get('/-/ui/dashboard.js', { headers: { 'if-none-match': etag, 'cache-control': 'a' } });
    assert.equal(again.status, 304);
    assert.equal((await gateway.get('/-/ui/')).url, `${gateway.url}/-/ui`);
    assert.equal((await gateway.get('/-/ui/nothing.js')).status, 404);
  });
});

interface Told {
  readonly event: string;
  readonly data: unknown;
}

async function* events(answer: Response): AsyncGenerator<Told, void> {
  let rest = '';
  for await (const text of (answer.body ?? assert.fail('no body')).pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? assert.fail(block);
      yield { event, data: JSON.parse(data) };
    }
  }
}

describe('the stream of events', () => {
  test('tells what the gateway is, then what was, then each second what is', { timeout: 30_000 }, async () => {
    const answer = await gateway.get('/-/ui/events');
    assert.equal(answer.headers.get('content-type'), 'text/event-stream');
    const told: Told[] = [];
    for await (const event of events(answer)) {
      told.push(event);
      if (event.event === 'now') void gateway.get('/test/users/8').then((row) => row.text());
      if (event.event === 'now' && (event.data as Now).figures.requests > 0) break;
    }
    assert.deepEqual(
      told.slice(0, 2).map(({ event }) => event),
      ['about', 'history'],
    );
    const about = told[0]?.data as About;
    const { samples, isSynced, tables: known } = about;
    assert.equal(isSynced, false);
    assert.deepEqual(known.map(({ label }) => label).toSorted(), ['shop.order_items', 'test.users']);
    for (const { arcs } of samples) {
      const whole = arcs.reduce((sum, [, part]) => sum + part, 0);
      assert.ok(arcs.length === 240 && Math.abs(whole - 1) < 0.01, String(whole));
    }
    const now = told.at(-1)?.data as Now;
    const { layers, isOriginUp, whyNotReady, worker } = now;
    assert.deepEqual([layers.length, isOriginUp, whyNotReady, worker], [2, true, null, null]);
  });

  test('is open to so many and no more; who leaves makes room', { timeout: 30_000 }, async () => {
    const leaving = new AbortController();
    const isLetIn = async () => (await gateway.get('/-/ui/events', { signal: leaving.signal })).ok;
    // The stream of the test before may still be closing.
    for (let n = 1; n <= LISTENERS_MAX; n += 1) await until(`number ${n} is let in`, isLetIn);
    const refused = await gateway.get('/-/ui/events');
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
    assert.equal(((await refused.json()) as { code: string }).code, 'too-many-listeners');
    leaving.abort();
    await until('there is room again', async () => {
      const answer = await gateway.get('/-/ui/events');
      await answer.body?.cancel();
      return answer.ok;
    });
  });

  test('does not hold the gateway up when it stops', { timeout: 30_000 }, async () => {
    const { text } = gatewayConfig(stack, { tables });
    const config = JSON.parse(text) as { http: object };
    // Far longer than the test may take.
    const patient = { ...config, http: { ...config.http, stopTimeoutMs: 60_000 } };
    const other = new Gateway({
      config: parseConfig(JSON.stringify(patient), 'test'),
      version: 'test',
      log: createLog('error'),
    });
    const url = await other.start();
    const answer = await fetch(`${url}/-/ui/events`);
    const told: string[] = [];
    const ended = (async () => {
      for await (const { event } of events(answer)) told.push(event);
    })();
    await until('it is told something', () => told.length > 0);
    await other.stop();
    await ended;
  });
});
