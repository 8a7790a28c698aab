/**
 * What the gateway's port takes: HTTPS by a certificate that is renewed while it serves, so many connections, and nobody's
 * slowness at others' expense.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectSecurely, type TLSSocket } from 'node:tls';
import { Agent, request } from 'undici';
import { Gateway } from '../../gateway/gateway.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { memoryLog, until } from '../support/broker.ts';
import { Authority, type CertificatePaths } from '../support/certificates.ts';
import { gatewayConfig, startGateway, type TestGateway } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const tables = { 'test.users': {} };
const authority = new Authority(folder);
/** By the system, of what a client does not read: Linux grows the one side's buffer to 4 MiB. */
const MORE_THAN_BUFFERED = 12 * 2 ** 20;
const NAMES = ['DNS:localhost', 'IP:127.0.0.1'];

const connectOptions = { connect: { ca: readFileSync(authority.ca) } };
const agent = new Agent(connectOptions);
/** Its one connection is kept. */
const metricsAgent = new Agent({ ...connectOptions, connections: 1 });
after(() => Promise.all([agent.close(), metricsAgent.close()]));

async function metric(at: TestGateway, name: string): Promise<number> {
  const { body } = await request(`${at.url}/-/metrics`, { dispatcher: metricsAgent });
  const line = (await body.text()).split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

async function statusOf(url: string): Promise<number> {
  const { statusCode, body } = await request(url, { dispatcher: agent });
  await body.dump();
  return statusCode;
}

/** A raw connection; what it was told is kept. */
function open({ url }: TestGateway): { socket: Socket; closed: Promise<string> } {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  let told = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (told += chunk));
  socket.on('error', () => undefined);
  after(() => socket.destroy());
  return { socket, closed: new Promise((settle) => socket.once('close', () => settle(told))) };
}

/** As a renewal does it: the one file, then the other, each in one step. */
function put({ cert, key }: CertificatePaths, at: CertificatePaths): void {
  for (const [from, to] of [
    [key, at.key],
    [cert, at.cert],
  ] as const) {
    copyFileSync(from, `${to}.new`);
    renameSync(`${to}.new`, to);
  }
}

async function serialShown(url: string): Promise<string> {
  const socket: TLSSocket = connectSecurely({
    port: Number(new URL(url).port),
    ca: readFileSync(authority.ca),
    servername: 'localhost',
  });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerX509Certificate() as X509Certificate;
  socket.destroy();
  return serialNumber;
}

test('HTTPS: a certificate is renewed while it serves, a broken one leaves the one before in use', async () => {
  const at = authority.issue('shown', NAMES, 2);
  const next = authority.issue('next', NAMES, 9);
  const { log, events } = memoryLog();
  const tls = { certFile: at.cert, keyFile: at.key };
  const gateway = await startGateway(stack, { tables, http: { tls } }, log);
  assert.match(gateway.url, /^https:/);
  const path = `${gateway.url}/test/users/1`;
  assert.equal(await statusOf(path), 200);
  await assert.rejects(request(path), /unable to verify|self.signed/);
  const expires = (file: string) => Date.parse(new X509Certificate(readFileSync(file)).validTo) / 1_000;
  assert.equal(await metric(gateway, 'ringfill_certificate_expiry_timestamp_seconds'), expires(at.cert));

  let isRenewed = false;
  const statuses = new Map<number, number>();
  const crowd = Array.from({ length: 4 }, async () => {
    while (!isRenewed) {
      const status = await statusOf(path);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  });
  const wanted = new X509Certificate(readFileSync(next.cert)).serialNumber;
  put(next, at);
  await until(
    'new connections are shown the next certificate',
    async () => (await serialShown(gateway.url)) === wanted,
  );
  isRenewed = true;
  await Promise.all(crowd);
  assert.deepEqual([...statuses.keys()], [200]);
  assert.equal(await metric(gateway, 'ringfill_certificate_expiry_timestamp_seconds'), expires(next.cert));

  writeFileSync(at.key, 'not a key');
  await until('the broken key is told of', () => {
    return events.some(({ event }) => event === 'certificate refused; the one before stays in use');
  });
  assert.equal(await serialShown(gateway.url), wanted);
  assert.ok((await metric(gateway, 'ringfill_certificate_reloads_total{outcome="refused"}')) >= 1);
});

test('HTTPS: neither TLS 1.1 nor plain HTTP gets an answer, which is told and counted, and the port goes on', async () => {
  const { cert, key } = authority.issue('versions', NAMES);
  const { log, events } = memoryLog();
  const gateway = await startGateway(stack, { tables, http: { tls: { certFile: cert, keyFile: key } } }, log);
  const old = connectSecurely({
    port: Number(new URL(gateway.url).port),
    rejectUnauthorized: false,
    minVersion: 'TLSv1.1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  await assert.rejects(once(old, 'secureConnect'), /protocol version|alert/);
  const plain = open(gateway);
  plain.socket.write('GET /-/live HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.doesNotMatch(await plain.closed, /HTTP/);
  const untrusting = connectSecurely({ port: Number(new URL(gateway.url).port), servername: 'localhost' });
  await assert.rejects(once(untrusting, 'secureConnect'), /unable to verify|self.signed/);
  assert.equal(await statusOf(`${gateway.url}/test/users/1`), 200);
  const told = events.filter(({ event }) => event === 'TLS handshake refused');
  assert.deepEqual(
    told.map(({ code, address, level }) => [code, address, level]),
    ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'ERR_SSL_HTTP_REQUEST'].map((code) => [code, '127.0.0.1', 30]),
  );
  assert.equal(await metric(gateway, 'ringfill_tls_handshakes_refused_total'), told.length);
});

test('HTTPS: a reload takes other files; with a certificate that is not there it is refused, as a start is', async () => {
  const [first, second] = [authority.issue('first', NAMES), authority.issue('second', NAMES)];
  const configWith = ({ cert, key }: CertificatePaths) =>
    parseConfig(gatewayConfig(stack, { tables, http: { tls: { certFile: cert, keyFile: key } } }).text, 'test');
  const { log, events } = memoryLog();
  const gateway = new Gateway({ config: configWith(first), version: 'test', log });
  after(() => gateway.stop());
  const url = await gateway.start();
  assert.equal(await gateway.reload(() => ({ config: configWith(second), sha256: '' })), 'loaded');
  assert.equal(await serialShown(url), new X509Certificate(readFileSync(second.cert)).serialNumber);
  const none = { cert: join(folder, 'none.pem'), key: second.key };
  assert.equal(await gateway.reload(() => ({ config: configWith(none), sha256: '' })), 'refused');
  assert.ok(events.some(({ code }) => code === 'certificate-unusable'));
  const mismatched = configWith({ cert: first.cert, key: second.key });
  for (const config of [configWith(none), mismatched]) {
    const isUnusable = (error: unknown) => error instanceof SetupError && error.code === 'certificate-unusable';
    assert.throws(() => new Gateway({ config, version: 'test', log }), isUnusable);
  }
});

test('a thousand connections that dribble their headers are cut off with 408, and everybody else is answered', async () => {
  const LORISES = 1_000;
  const gateway = await startGateway(stack, { tables, http: { receiveTimeoutMs: 2_000 } });
  assert.equal(await statusOf(`${gateway.url}/test/users/1`), 200);
  let dribbled = 0;
  const lorises = Array.from({ length: LORISES }, (_, index) => {
    const { socket, closed } = open(gateway);
    // One in ten says nothing at all.
    if (index % 10 === 0) return { socket, closed };
    socket.write('GET /test/users/1 HTTP/1.1\r\nHost: x\r\n');
    const dribble = setInterval(() => {
      if (!socket.writable) return;
      dribbled += 1;
      socket.write('x');
    }, 500);
    socket.once('close', () => clearInterval(dribble));
    return { socket, closed };
  });
  let areCut = false;
  const told = Promise.all(lorises.map(({ closed }) => closed)).finally(() => {
    areCut = true;
  });
  let answered = 0;
  while (!areCut) {
    assert.equal(await statusOf(`${gateway.url}/test/users/${1 + (answered % 50)}`), 200);
    answered += 1;
  }
  const answers = await told;
  assert.ok(answered > 100 && dribbled > LORISES, `${answered} answered, ${dribbled} dribbled`);
  assert.ok(answers.every((answer) => answer.startsWith('HTTP/1.1 408 ') && answer.includes('"request-timeout"')));
  assert.equal(await metric(gateway, 'ringfill_connections_cut_total{reason="receiving-late"}'), LORISES);
});

test('a client that does not read its answers is cut off, and everybody else is answered', async () => {
  const gateway = await startGateway(stack, { tables, http: { sendTimeoutMs: 1_000 } });
  const path = `/test/users?ids=${Array.from({ length: 1_000 }, (_, index) => index + 1).join()}`;
  const bytes = (await (await gateway.get(path)).arrayBuffer()).byteLength;
  const { socket } = open(gateway);
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(Math.ceil(MORE_THAN_BUFFERED / bytes)));
  const name = 'ringfill_connections_cut_total{reason="sending-late"}';
  await until('it is cut off', async () => {
    assert.equal(await statusOf(`${gateway.url}/test/users/1`), 200);
    return (await metric(gateway, name)) === 1;
  });
});

test('requests that are sent ahead on one connection are answered one after another, in their order', async () => {
  const gateway = await startGateway(stack, { tables });
  const ids = Array.from({ length: 40 }, (_, index) => index + 1);
  const { socket, closed } = open(gateway);
  const head = (last: boolean) => `HTTP/1.1\r\nHost: x\r\n${last ? 'Connection: close\r\n' : ''}\r\n`;
  socket.write(ids.map((id) => `GET /test/users/${id} ${head(id === ids.length)}`).join(''));
  const answers = (await closed).split('HTTP/1.1 ').slice(1);
  assert.deepEqual(
    answers.map((answer) => Number(/test_users_([0-9]+)"/.exec(answer)?.[1])),
    ids,
  );
  // Had they run together, one SELECT would have read them all.
  const text = await (await gateway.get('/-/metrics')).text();
  assert.match(text, /ringfill_origin_reads_total\{table="test\.users",from="primary"\} 40/);
});

test('whoever is told that his bytes are no request is cut off, though he keeps his side open', async () => {
  const gateway = await startGateway(stack, { tables });
  const { port, hostname } = new URL(gateway.url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  after(() => socket.destroy());
  socket.resume().on('error', () => undefined);
  socket.write('this is no HTTP\r\n\r\n');
  await once(socket, 'end');
  await until('the connection is gone', async () => (await metric(gateway, 'ringfill_connections')) === 1);
});

test('a connection without a request is closed after keepAliveTimeoutMs', async () => {
  const gateway = await startGateway(stack, { tables, http: { keepAliveTimeoutMs: 100 } });
  const { socket, closed } = open(gateway);
  socket.write('GET /-/live HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2));
  assert.equal((await closed).split('HTTP/1.1 200 ').length - 1, 2);
});

test('connections beyond connectionsMax are closed as they come, and counted', async () => {
  const gateway = await startGateway(stack, { tables, http: { connectionsMax: 3 } });
  // The metrics' own is one of them, and is kept.
  assert.equal(await metric(gateway, 'ringfill_connections'), 1);
  const kept = [open(gateway), open(gateway)];
  await until('three are open', async () => (await metric(gateway, 'ringfill_connections')) === 3);
  assert.equal(await open(gateway).closed, '');
  assert.equal(await metric(gateway, 'ringfill_connections_refused_total'), 1);
  kept[0]?.socket.destroy();
  await until('one has gone', async () => (await metric(gateway, 'ringfill_connections')) === 2);
  const { socket, closed } = open(gateway);
  socket.write('GET /-/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.match(await closed, /^HTTP\/1\.1 200 /);
});
