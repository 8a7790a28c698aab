/**
 * Every way to reach a server that the configuration knows: TLS with a private authority, a database number, a socket,
 * a Sentinel group, with TLS all the way; and TLS to MySQL.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Redis } from 'ioredis';
import type { Config } from '../../shared/config/schema.ts';
import { loadDemoData } from '../../stack/demo-data/load.ts';
import { startMysql } from '../../stack/mysql.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startRedis } from '../../stack/redis.ts';
import { Authority } from '../support/certificates.ts';
import { cacheStatusOf, startGateway, type TestGateway } from '../support/gateway.ts';
import { startSentinel } from '../support/sentinel.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

type Endpoint = Config['rings'][number]['shards'][string];

const stack = await testStack();
const folder = temporaryFolder();
const tables = { 'test.users': {} };

const authority = new Authority(folder);
const { ca } = authority;
const { cert, key } = authority.issue('server', ['DNS:localhost', 'IP:127.0.0.1']);

function overOneShard(
  endpoint: Endpoint,
  settings: Partial<Parameters<typeof startGateway>[1]> = {},
): Promise<TestGateway> {
  return startGateway(stack, { tables, rings: [{ name: 'primary', shards: { r1: endpoint } }], ...settings });
}

/** To the port, to primaries and to replicas. */
const tlsArgs = (port: number) => {
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca];
  return ['--tls-port', String(port), ...files, '--tls-auth-clients', 'no', '--tls-replication', 'yes'];
};

async function assertStoredThenHit(gateway: TestGateway): Promise<void> {
  assert.ok(cacheStatusOf(await gateway.get('/test/users/8')).stored);
  assert.ok(cacheStatusOf(await gateway.get('/test/users/8')).hit);
}

test('TLS to Redis: with the authority named it is used; without, or to a plain port, it is out of use', async () => {
  const [plain, tlsPort] = [await chooseFreePort(), await chooseFreePort()];
  const redis = await startRedis({ folder, name: 'tls', port: plain, args: tlsArgs(tlsPort) });
  after(() => redis.stop());
  await assertStoredThenHit(await overOneShard(`rediss://127.0.0.1:${tlsPort}?ca=${encodeURIComponent(ca)}`));
  for (const url of [`rediss://127.0.0.1:${tlsPort}`, `rediss://127.0.0.1:${plain}?ca=${encodeURIComponent(ca)}`]) {
    const gateway = await overOneShard(url);
    const response = await gateway.get('/test/users/8');
    assert.equal(response.status, 200);
    assert.match(cacheStatusOf(response).text, /unstored=no-shard/);
  }
});

test('a database number keeps a shared Redis’ other databases clean; one that is not there is no shard', async () => {
  const port = stack.redis[0]?.port as number;
  const gateway = await overOneShard(`redis://127.0.0.1:${port}/5`);
  await assertStoredThenHit(gateway);
  const entry = `${gateway.keyPrefix}test_users_8`;
  for (const [db, expected] of [
    [0, 0],
    [5, 1],
  ] as const) {
    const client = new Redis({ port, db });
    assert.equal(await client.exists(entry), expected, `database ${db}`);
    client.disconnect();
  }
  const wrong = await overOneShard(`redis://127.0.0.1:${port}/99`);
  assert.match(cacheStatusOf(await wrong.get('/test/users/8')).text, /unstored=no-shard/);
});

test('a Unix socket', async () => {
  const socket = join(folder, 'redis.sock');
  const redis = await startRedis({ folder, name: 'socket', args: ['--unixsocket', socket] });
  after(() => redis.stop());
  await assertStoredThenHit(await overOneShard(`unix://${socket}`));
});

test('a Sentinel group: by TLS the gateway finds the primary though the first Sentinel hangs, and the new one after a failover', async () => {
  const ports = [await chooseFreePort(), await chooseFreePort(), await chooseFreePort()] as const;
  const [first, second] = [
    await startRedis({ folder, name: 's1', args: tlsArgs(ports[0]) }),
    await startRedis({ folder, name: 's2', args: tlsArgs(ports[1]) }),
  ];
  after(() => Promise.all([first.stop(), second.stop()]));
  const admin = new Redis(second.port);
  after(() => admin.disconnect());
  await admin.replicaof('127.0.0.1', ports[0]);
  const { client: sentinel } = await startSentinel(folder, ports[0], tlsArgs(ports[2]));
  // The one listed first hangs: it takes connections and says nothing.
  const hung = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(hung, 'listening');
  after(() => hung.close());
  const { port: silent } = hung.address() as AddressInfo;

  const byTls = (tls: object) => ({
    sentinel: { group: 'g', sentinels: [`127.0.0.1:${silent}`, `localhost:${ports[2]}`], tls },
  });
  const gateway = await overOneShard(byTls({ caFile: ca }));
  await assertStoredThenHit(gateway);
  const named = await overOneShard(byTls({ caFile: ca, servername: 'localhost' }));
  await assertStoredThenHit(named);
  for (const tls of [{}, { caFile: ca, servername: 'elsewhere.example' }]) {
    const untrusting = await overOneShard(byTls(tls));
    assert.match(cacheStatusOf(await untrusting.get('/test/users/8')).text, /unstored=no-shard/);
  }
  // The replica is known and in step before it has to take over.
  const giveUpAt = performance.now() + 30_000;
  const eventually = async (what: string, holds: () => Promise<boolean>) => {
    while (!(await holds())) assert.ok(performance.now() < giveUpAt, what);
  };
  await eventually('the Sentinel knows the replica', async () => {
    const replicas = (await sentinel.call('SENTINEL', 'REPLICAS', 'g')) as unknown[];
    return replicas.length === 1 && (await admin.info('replication')).includes('master_link_status:up');
  });
  first.kill('SIGKILL');
  await eventually('the shard is used again', async () => {
    const response = await gateway.get('/test/users/9');
    assert.equal(response.status, 200);
    return cacheStatusOf(response).stored || cacheStatusOf(response).hit;
  });
  assert.equal(await admin.exists(`${gateway.keyPrefix}test_users_9`), 1);
});

test('TLS to MySQL: verified against a private authority, refused without it, encrypted unverified when asked', async () => {
  const mysql = await startMysql({
    folder,
    name: 'tls-origin',
    args: [`--ssl-ca=${ca}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`],
  });
  after(() => mysql.stop());
  await loadDemoData(mysql);
  const base = `mysql://ringfill:ringfill@127.0.0.1:${mysql.port}`;
  const named = `mysql://ringfill:ringfill@localhost:${mysql.port}`;
  for (const url of [
    `${named}?ssl-ca=${encodeURIComponent(ca)}`,
    `${base}?ssl-mode=REQUIRED`,
    `${base}?ssl-mode=VERIFY_CA&ssl-ca=${encodeURIComponent(ca)}`,
  ]) {
    const gateway = await startGateway(stack, { tables, origin: { url } });
    assert.ok(cacheStatusOf(await gateway.get('/test/users/8')).stored, url.replace(/.*\?/, ''));
    await gateway.stop();
  }
});
