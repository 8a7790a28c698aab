/** Connections that bring plain requests, and other things: who answers, in what order, and how they end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import type { PlainRequest } from '../../shared/listener/plain-connection.ts';
import { PlainRequests } from '../../shared/listener/plain-requests.ts';
import type { Reply } from '../../shared/listener/reply.ts';

const HOST = 'Host: a\r\n\r\n';
const KEEP_ALIVE_MS = 1_000;
/** Its clocks are looked at ten times a second. */
const NODES = { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: 500, connectionsCheckingInterval: 100 };
const LARGE = Buffer.alloc(100_000, 'l');

/** Rows are answered plainly, `/later/…` when it is let go; all else is Node's. */
class Port {
  readonly server: Server;
  readonly plain: PlainRequests;
  readonly waiting: { readonly socket: Socket; readonly letGo: () => void }[] = [];
  keepAliveMs = KEEP_ALIVE_MS;
  /** How many large answers were made. */
  large = 0;
  /** Whose request was the last plain one. */
  asking: Socket | undefined;
  #waited = Promise.withResolvers<void>();

  constructor() {
    this.server = createServer(NODES, (request, response) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => response.end(`node ${request.method} ${request.url} ${bytes}`));
    });
    this.plain = new PlainRequests(this.server, 'connection', {
      answers: (request, reply) => this.#answers(request, reply),
      keepAliveTimeoutMs: () => this.keepAliveMs,
    });
  }

  #answers({ url, headers, socket }: PlainRequest, reply: Reply): boolean {
    const [, first] = url.split('/');
    this.asking = socket;
    const send = (text: Buffer | string) =>
      reply.send(200, ['x-for', headers['x-as'] ?? ''], new TaggedBody(Buffer.from(text)));
    if (first === 'row') send(`plain ${url}`);
    else if (first === 'large') {
      this.large += 1;
      send(LARGE);
    } else if (first === 'nothing') reply.send(304, ['etag', '"a"']);
    else if (first === 'forged') assert.throws(() => reply.send(200, ['x-a', 'b\r\nx-c: d']), /cannot say/);
    else if (first === 'later') {
      this.waiting.push({ socket, letGo: () => send(`plain ${url}`) });
      this.#waited.resolve();
      this.#waited = Promise.withResolvers<void>();
    }
    if (first === 'forged') send('still answered');
    return ['row', 'large', 'nothing', 'later', 'forged'].includes(first ?? '');
  }

  /** Settles when another request waits to be let go. */
  get waited(): Promise<void> {
    return this.#waited.promise;
  }

  async connect(): Promise<Client> {
    const { port } = this.server.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return new Client(socket);
  }
}

class Client {
  readonly socket: Socket;
  readonly ended: Promise<unknown>;
  text = '';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => (this.text += chunk.toString('latin1')));
    this.ended = once(socket, 'end');
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  async until(words: string): Promise<void> {
    while (!this.text.includes(words)) await once(this.socket, 'data');
  }
}

const port = new Port();
before(async () => {
  port.server.listen(0, '127.0.0.1');
  await once(port.server, 'listening');
});
after(() => {
  port.plain.destroy();
  port.server.closeAllConnections();
  port.server.close();
});

test('one plain request after another, each with its own header lines', async () => {
  const client = await port.connect();
  for (const [id, as] of [
    [1, 'one'],
    [2, 'one'],
    [3, 'three'],
  ] as const) {
    client.text = '';
    client.send(`GET /row/${id} HTTP/1.1\r\nX-As: ${as}\r\n${HOST}`);
    await client.until(`plain /row/${id}`);
    assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(client.text, new RegExp(`x-for: ${as}\r\n`));
    assert.match(
      client.text,
      /\r\ndate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\nconnection: keep-alive\r\nkeep-alive: timeout=1\r\n/,
    );
  }
  client.socket.destroy();
});

test('what is not plain goes to Node with its connection, and with what comes after it', async () => {
  const client = await port.connect();
  client.send(`GET /row/1 HTTP/1.1\r\n${HOST}`);
  await client.until('plain /row/1');
  client.send(`POST /row/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n`);
  client.send('hello');
  await client.until('node POST /row/2 5');
  client.send(`GET /row/3 HTTP/1.1\r\n${HOST}`);
  await client.until('node GET /row/3 0');
  client.socket.destroy();
});

test('a plain request that nobody takes is Node’s', async () => {
  const client = await port.connect();
  client.send(`GET /-/live HTTP/1.1\r\n${HOST}`);
  await client.until('node GET /-/live 0');
  client.socket.destroy();
});

test('a head that comes in pieces', async () => {
  const client = await port.connect();
  for (const piece of ['GE', 'T /row/1 HT', 'TP/1.1\r\nHos', `t: a\r\n\r`, '\n']) {
    client.send(piece);
    // Each is a packet of its own, and read as one.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.until('GET /row/1 0');
  client.socket.destroy();
});

test('requests that are sent ahead are answered in their order, whoever answers', async () => {
  const together = await port.connect();
  together.send(`GET /row/1 HTTP/1.1\r\n${HOST}GET /row/2 HTTP/1.1\r\n${HOST}`);
  await together.until('GET /row/2');
  assert.ok(together.text.indexOf('/row/1') < together.text.indexOf('/row/2'));

  const oneByOne = await port.connect();
  const waited = port.waited;
  oneByOne.send(`GET /later/1 HTTP/1.1\r\n${HOST}`);
  await waited;
  oneByOne.send(`GET /row/2 HTTP/1.1\r\n${HOST}`);
  oneByOne.send(`GET /row/3 HTTP/1.1\r\n${HOST}`);
  const other = await port.connect();
  other.send(`GET /row/9 HTTP/1.1\r\n${HOST}`);
  await other.until('/row/9');
  assert.equal(oneByOne.text, '', 'nothing overtakes');
  port.waiting.pop()?.letGo();
  await oneByOne.until('/row/3');
  assert.deepEqual(oneByOne.text.match(/\/(?:later|row)\/\d/g), ['/later/1', '/row/2', '/row/3']);
  for (const { socket } of [together, oneByOne, other]) socket.destroy();
});

test('a client that has said all it will say is answered, and the connection ends', async () => {
  const client = await port.connect();
  const waited = port.waited;
  client.send(`GET /later/1 HTTP/1.1\r\n${HOST}`);
  await waited;
  const { socket, letGo } = port.waiting.pop() ?? assert.fail('it waits');
  client.socket.end();
  await once(socket, 'end');
  letGo();
  await client.ended;
  assert.match(client.text, /connection: close\r\n\r\nplain \/later\/1$/);
});

test('large bodies, none, and a header that would be two', async () => {
  const client = await port.connect();
  client.send(`GET /large HTTP/1.1\r\n${HOST}`);
  await client.until('l'.repeat(LARGE.length));
  assert.match(client.text, /content-length: 100000\r\n/);
  client.text = '';
  client.send(`GET /nothing HTTP/1.1\r\n${HOST}`);
  await client.until('\r\n\r\n');
  assert.match(client.text, /^HTTP\/1\.1 304 Not Modified\r\netag: "a"\r\ndate/);
  client.text = '';
  client.send(`GET /forged HTTP/1.1\r\n${HOST}`);
  await client.until('still answered');
  assert.doesNotMatch(client.text, /x-c/);
  client.socket.destroy();
});

test('who does not take an answer is not asked for another', async () => {
  const client = await port.connect();
  client.socket.pause();
  port.large = 0;
  let sent = 0;
  while (port.asking?.isPaused() !== true) {
    client.send(`GET /large HTTP/1.1\r\n${HOST}`);
    sent += 1;
    assert.ok(sent < 1_000, 'it is never held up');
    while (port.large < sent) await new Promise((resolve) => setImmediate(resolve));
  }
  client.socket.resume();
  while ((client.text.match(/HTTP\/1\.1 200/g)?.length ?? 0) < sent) await once(client.socket, 'data');
  client.text = '';
  client.send(`GET /row/1 HTTP/1.1\r\n${HOST}`);
  await client.until('plain /row/1');
  client.socket.destroy();
});

test('an idle connection is closed when its time is up; one that never asked has Node’s clocks', async () => {
  const idle = await port.connect();
  idle.send(`GET /row/1 HTTP/1.1\r\n${HOST}`);
  await idle.until('plain /row/1');
  const silent = await port.connect();
  await idle.ended;
  await silent.ended;
  assert.match(silent.text, /^HTTP\/1\.1 408 /);
});

test('Node’s own client keeps its connection over plain requests and others', async () => {
  // It leaves a second of what is promised.
  port.keepAliveMs = 5_000;
  const { port: number } = port.server.address() as AddressInfo;
  const get = async (path: string) => {
    const asked = httpRequest({ port: number, host: '127.0.0.1', path }).end();
    const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return { text, isReused: asked.reusedSocket };
  };
  assert.equal((await get('/row/1')).text, 'plain /row/1');
  assert.deepEqual(await get('/row/2'), { text: 'plain /row/2', isReused: true });
  assert.deepEqual(await get('/else'), { text: 'node GET /else 0', isReused: true });
});

test('when the port is closed, idle connections end at once, and others with their answer', async () => {
  const closing = new Port();
  closing.server.listen(0, '127.0.0.1');
  await once(closing.server, 'listening');
  const [idle, busy] = [await closing.connect(), await closing.connect()];
  idle.send(`GET /row/1 HTTP/1.1\r\n${HOST}`);
  await idle.until('plain /row/1');
  const waited = closing.waited;
  busy.send(`GET /later/1 HTTP/1.1\r\n${HOST}`);
  await waited;
  const closed = once(closing.server, 'close');
  closing.server.close();
  closing.plain.close();
  await idle.ended;
  closing.waiting.pop()?.letGo();
  await busy.ended;
  assert.match(busy.text, /connection: close\r\n\r\nplain \/later\/1$/);
  idle.socket.end();
  busy.socket.end();
  await closed;
});
