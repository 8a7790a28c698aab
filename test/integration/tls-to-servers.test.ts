/**
 * TLS to MySQL, Redis and RabbitMQ: a server is only talked to if the authority that is named has signed its certificate,
 * and for the host that is named. Else it is said why, with a code, and nothing is tried in plain text.
 */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createConnection } from 'mysql2/promise';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { brokerAddress } from '../../shared/broker/broker-url.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { mysqlOptions } from '../../shared/origin/mysql-url.ts';
import { redisOptions } from '../../shared/shard/endpoint.ts';
import { loadDemoData } from '../../stack/demo-data/load.ts';
import { startMysql } from '../../stack/mysql.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startRabbitmq } from '../../stack/rabbitmq.ts';
import { startRedis } from '../../stack/redis.ts';
import { memoryLog } from '../support/broker.ts';
import { Authority } from '../support/certificates.ts';
import { runCommand, writeConfig } from '../support/cli.ts';
import { cacheStatusOf, gatewayConfig, startGateway } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const tables = { 'test.users': {} };
const ours = new Authority(folder, 'ours');
const theirs = new Authority(folder, 'theirs');
const server = ours.issue('server', ['DNS:localhost']);
const elsewhere = ours.issue('elsewhere', ['DNS:elsewhere.example']);
const client = ours.issue('client', ['DNS:client']);

const refusesWith = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof SetupError && error.code === code && words.test(error.message);

test('MySQL: what ssl-mode asks for is kept to; a wrong authority or name ends the start', async () => {
  const shown = { cert: join(folder, 'shown.pem'), key: join(folder, 'shown.key') };
  const show = ({ cert, key }: typeof shown) => {
    copyFileSync(cert, shown.cert);
    copyFileSync(key, shown.key);
  };
  show(server);
  const args = [`--ssl-ca=${ours.ca}`, `--ssl-cert=${shown.cert}`, `--ssl-key=${shown.key}`];
  const mysql = await startMysql({ folder, name: 'tls-mysql', args });
  after(() => mysql.stop());
  await loadDemoData(mysql);
  const url = (mode: string, ca = ours.ca) =>
    `mysql://ringfill:ringfill@localhost:${mysql.port}?ssl-mode=${mode}&ssl-ca=${encodeURIComponent(ca)}`;
  const start = async (origin: string) => {
    const gateway = await startGateway(stack, { tables, origin: { url: origin } });
    assert.equal((await gateway.get('/test/users/1')).status, 200);
    await gateway.stop();
  };
  const assertStarts = async (...modes: string[]) => {
    for (const mode of modes) await start(url(mode));
  };
  await assertStarts('VERIFY_IDENTITY', 'verify-ca', 'REQUIRED', 'DISABLED');
  for (const mode of ['VERIFY_IDENTITY', 'VERIFY_CA']) {
    await assert.rejects(start(url(mode, theirs.ca)), refusesWith('origin-untrusted', /certificate.*ssl-ca=/s), mode);
  }
  show(elsewhere);
  const admin = await createConnection({ host: '127.0.0.1', port: mysql.port, user: 'root' });
  after(() => admin.destroy());
  await admin.query(mysql.flavour === 'mariadb' ? 'FLUSH SSL' : 'ALTER INSTANCE RELOAD TLS');
  await assertStarts('VERIFY_CA', 'REQUIRED');
  await assert.rejects(start(url('VERIFY_IDENTITY')), refusesWith('origin-untrusted', /altnames/));
});

test('MySQL: a server without TLS is not talked to in plain text when TLS was asked for', async () => {
  const mysql = await startMysql({ folder, name: 'plain-mysql', args: ['--skip-ssl'] });
  after(() => mysql.stop());
  const url = `mysql://root@localhost:${mysql.port}?ssl-mode=REQUIRED`;
  await assert.rejects(
    startGateway(stack, { tables, origin: { url } }),
    refusesWith('origin-untrusted', /secure connection/),
  );
});

test('Redis: a wrong authority, a wrong name, or no certificate of ours where one is asked for: out of use, and why', async () => {
  const [plain, port] = [await chooseFreePort(), await chooseFreePort()];
  const files = ['--tls-cert-file', server.cert, '--tls-key-file', server.key, '--tls-ca-cert-file', ours.ca];
  const args = ['--tls-port', String(port), ...files, '--tls-auth-clients', 'yes'];
  const redis = await startRedis({ folder, name: 'tls-redis', port: plain, args });
  after(() => redis.stop());
  const own = `&cert=${encodeURIComponent(client.cert)}&key=${encodeURIComponent(client.key)}`;
  const url = (host: string, ca: string, more = own) => `rediss://${host}:${port}?ca=${encodeURIComponent(ca)}${more}`;
  const settings = (endpoint: string) => ({ tables, rings: [{ name: 'primary', shards: { r1: endpoint } }] });

  const good = await startGateway(stack, settings(url('localhost', ours.ca)));
  assert.ok(cacheStatusOf(await good.get('/test/users/8')).stored);
  const named = await startGateway(stack, settings(url('127.0.0.1', ours.ca, `${own}&servername=localhost`)));
  assert.ok(cacheStatusOf(await named.get('/test/users/8')).stored);

  for (const [endpoint, why] of [
    [url('localhost', theirs.ca), /^its certificate is not trusted: .*certificate/],
    [url('127.0.0.1', ours.ca), /^its certificate is not trusted: .*altnames/],
    [url('localhost', ours.ca, ''), /./],
  ] as const) {
    const { log, events } = memoryLog();
    const gateway = await startGateway(stack, settings(endpoint), log);
    assert.match(cacheStatusOf(await gateway.get('/test/users/8')).text, /unstored=no-shard/);
    const line = events.find(({ event }) => event === 'shard out of use');
    assert.match(String(line?.['reason']), why);
  }
  const file = writeConfig(folder, 'check.yml', gatewayConfig(stack, settings(url('localhost', theirs.ca))).text);
  const { stdout } = await runCommand(['check', '--config', file]);
  assert.match(stdout, /certificate[^]*name the authority that signed its certificate \(\?ca=\/path\)/);
});

test('RabbitMQ: a wrong authority or name ends the start', async () => {
  const port = await chooseFreePort();
  const config = [
    `listeners.ssl.1 = 127.0.0.1:${port}`,
    `ssl_options.cacertfile = ${ours.ca}`,
    `ssl_options.certfile = ${server.cert}`,
    `ssl_options.keyfile = ${server.key}`,
    'ssl_options.verify = verify_peer',
    'ssl_options.fail_if_no_peer_cert = true',
  ];
  const broker = await startRabbitmq({ folder, name: 'tls-broker', config });
  after(() => broker.stop());
  const own = `&cert=${encodeURIComponent(client.cert)}&key=${encodeURIComponent(client.key)}`;
  const start = async (host: string, ca: string, more = own) => {
    const url = `amqps://guest:guest@${host}:${port}?ca=${encodeURIComponent(ca)}${more}`;
    const connection = new BrokerConnection({ url, name: 'test' });
    after(() => connection.stop());
    await connection.start();
    assert.equal(connection.state, 'up');
  };
  await start('localhost', ours.ca);
  await start('127.0.0.1', ours.ca, `${own}&servername=localhost`);
  await assert.rejects(start('localhost', theirs.ca), refusesWith('broker-untrusted', /certificate.*\?ca=/s));
  await assert.rejects(start('127.0.0.1', ours.ca), refusesWith('broker-untrusted', /altnames/));
});

test('a URL that asks for TLS where there is none, or for less than it says, is refused', () => {
  const { ca } = ours;
  for (const [url, words] of [
    ['mysql://u@db?ssl-mode=PREFERRED', /PREFERRED would go on in plain text/],
    ['mysql://u@db?ssl-mode=VERIFY', /is not one of DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY/],
    [`mysql://u@10.0.0.1?ssl-ca=${ca}`, /VERIFY_IDENTITY needs the server’s name/],
    [`mysql://u@[::1]?ssl-mode=VERIFY_IDENTITY&ssl-ca=${ca}`, /VERIFY_IDENTITY needs the server’s name/],
  ] as const) {
    assert.throws(() => mysqlOptions(url), words, url);
  }
  assert.throws(() => redisOptions(`redis://r?ca=${ca}`), /for TLS write rediss:/);
  assert.throws(() => brokerAddress(`amqp://b?ca=${ca}`), /for TLS write amqps:/);
});
