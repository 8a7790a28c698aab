import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { hang, kill, openLink, resume } from '../../stack/faults.ts';
import { startRedis, type RedisServer } from '../../stack/redis.ts';
import { isAlive } from './processes.ts';
import { temporaryFolder } from './temporary-folder.ts';

async function redis(t: TestContext): Promise<RedisServer> {
  const server = await startRedis({ folder: await temporaryFolder(t), name: 'r1' });
  t.after(async () => await server.stop());
  return server;
}

async function connected(t: TestContext, to: { host: string; port: number }): Promise<Socket> {
  const socket = connect(to);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function ask(socket: Socket, command: string): Promise<string> {
  const answer = once(socket, 'data');
  socket.write(`${command}\r\n`);
  const [bytes] = (await answer) as [Buffer];
  return bytes.toString();
}

const silence = Symbol('silence');

/** What comes within a short while: the absence of an answer can only be waited for. */
async function answerOrSilence(socket: Socket, command: string): Promise<string | typeof silence> {
  const gaveUp = new AbortController();
  const answer = once(socket, 'data', { signal: AbortSignal.any([gaveUp.signal, AbortSignal.timeout(150)]) });
  socket.write(`${command}\r\n`);
  return await answer.then(
    ([bytes]: Buffer[]) => String(bytes),
    () => silence,
  );
}

test('a killed server is gone at once, and restarts on its port with a new process', async (t) => {
  const server = await redis(t);
  const { pid, port } = server;
  await kill(server);
  assert.equal(server.running, false);
  assert.equal(isAlive(pid), false);
  assert.equal((await server.exited).signal, 'SIGKILL');
  await assert.rejects(connected(t, server), { code: 'ECONNREFUSED' });

  await server.restart();
  assert.equal(server.port, port);
  assert.notEqual(server.pid, pid);
  assert.equal(await ask(await connected(t, server), 'PING'), '+PONG\r\n');
});

test('a hung server accepts connections and answers none, until it is resumed', async (t) => {
  const server = await redis(t);
  hang(server);
  const socket = await connected(t, server);
  assert.equal(await answerOrSilence(socket, 'PING'), silence);
  const late = once(socket, 'data');
  resume(server);
  assert.equal(String((await late)[0]), '+PONG\r\n');
});

test('a hung server can be stopped', async (t) => {
  const server = await redis(t);
  hang(server);
  await server.stop();
  assert.equal(isAlive(server.pid), false);
});

test('a running server restarts in place, and what it was told to keep is still there', async (t) => {
  const server = await startRedis({ folder: await temporaryFolder(t), name: 'r1', appendonly: true });
  t.after(async () => await server.stop());
  await ask(await connected(t, server), 'SET kept yes');
  await server.restart();
  assert.match(await ask(await connected(t, server), 'GET kept'), /yes/);
});

test('a cut link keeps its connections and carries nothing; healed, it carries what waited', async (t) => {
  const server = await redis(t);
  const link = await openLink({ to: server });
  t.after(async () => await link.stop());
  const before = await connected(t, link);
  assert.equal(await ask(before, 'PING'), '+PONG\r\n');

  link.cut();
  assert.equal(await answerOrSilence(before, 'PING'), silence);
  const during = await connected(t, link);
  assert.equal(await answerOrSilence(during, 'PING'), silence);
  assert.equal(link.connections, 2);

  const late = Promise.all([once(before, 'data'), once(during, 'data')]);
  link.heal();
  for (const [bytes] of await late) assert.equal(String(bytes), '+PONG\r\n');
});

test('a delayed link answers late and in order; without the delay as before', async (t) => {
  const server = await redis(t);
  const link = await openLink({ to: server });
  t.after(async () => await link.stop());
  const client = await connected(t, link);
  link.delay(150);
  const askedAt = performance.now();
  assert.equal(await ask(client, 'PING'), '+PONG\r\n');
  // A timer may come a millisecond early.
  assert.ok(performance.now() - askedAt >= 149);

  const first = once(client, 'data');
  client.write('ECHO one\r\n');
  await new Promise((resolve) => setTimeout(resolve, 50));
  link.delay(0);
  client.write('ECHO two\r\n');
  let text = String((await first)[0]);
  while (!text.endsWith('two\r\n')) text += String((await once(client, 'data'))[0]);
  assert.equal(text, '$3\r\none\r\n$3\r\ntwo\r\n');
});

test('a reset link drops its connections and takes new ones', async (t) => {
  const server = await redis(t);
  const link = await openLink({ to: server });
  t.after(async () => await link.stop());
  const before = await connected(t, link);
  assert.equal(await ask(before, 'PING'), '+PONG\r\n');
  const dropped = once(before, 'error');
  link.reset();
  assert.equal(((await dropped)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
  assert.equal(await ask(await connected(t, link), 'PING'), '+PONG\r\n');
});

test('over a cut link nobody hears that the server has gone; healed, it is told', async (t) => {
  const server = await redis(t);
  const link = await openLink({ to: server });
  t.after(async () => await link.stop());
  const before = await connected(t, link);
  assert.equal(await ask(before, 'PING'), '+PONG\r\n');

  link.cut();
  await kill(server);
  assert.equal(await answerOrSilence(before, 'PING'), silence);
  assert.equal(link.connections, 1);

  before.on('error', () => undefined);
  const told = once(before.resume(), 'close');
  link.heal();
  await told;
});
