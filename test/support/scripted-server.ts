/**
 * A real HTTP server that does on demand what a real gateway will not: 503 once, hang, cut the line, lie.
 * Every request goes to `answer`; requests are kept in the order in which they came.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import { type ClientOptions, RingfillClient } from '../../client/index.ts';

export interface SeenRequest {
  /** Path and query as they came. */
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  /** The client's port: equal for requests over one connection. */
  readonly port: number | undefined;
  /** The client went away before it was answered. */
  readonly abandoned: Promise<void>;
}

export interface ScriptedServer {
  readonly url: string;
  readonly requests: SeenRequest[];
  /** A client of this server, with quick retries; closed at the end. */
  client(options?: Partial<ClientOptions>): RingfillClient;
}

export type Answer = (request: SeenRequest, response: ServerResponse, index: number) => void;

export async function scriptedServer(answer: Answer): Promise<ScriptedServer> {
  const requests: SeenRequest[] = [];
  const server = createServer((incoming, response) => {
    const abandoned = new Promise<void>((resolve) => {
      response.on('close', () => {
        if (!response.writableFinished) resolve();
      });
    });
    const seen = { target: incoming.url ?? '', headers: incoming.headers, port: incoming.socket.remotePort, abandoned };
    requests.push(seen);
    answer(seen, response, requests.length - 1);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients: RingfillClient[] = [];
  after(async () => {
    server.closeAllConnections();
    await Promise.all([new Promise((resolve) => server.close(resolve)), ...clients.map((client) => client.close())]);
  });
  return {
    url,
    requests,
    client: (options = {}) => {
      const client = new RingfillClient({ url, retry: { firstWaitMs: 1, waitMsMax: 5 }, ...options });
      clients.push(client);
      return client;
    },
  };
}

export function sendJson(response: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function sendProblem(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const problem = { type: `urn:ringfill:problem:${code}`, title: 'A title', status, code, detail: `It is ${code}.` };
  response.writeHead(status, { 'content-type': 'application/problem+json; charset=utf-8', ...headers });
  response.end(JSON.stringify(problem));
}

/** Answers as a gateway with rows `{id}` for every id but those that start with `absent`. */
export function sendRows({ target }: SeenRequest, response: ServerResponse): void {
  const [path = '', query] = target.split('?');
  const rowOf = (id: string) => (id.startsWith('absent') ? null : { id });
  if (query !== undefined) {
    sendJson(response, { rows: query.replace('ids=', '').split(',').map(rowOf) });
    return;
  }
  const row = rowOf(path.split('/').at(-1) ?? '');
  if (row === null) sendProblem(response, 404, 'row-not-found');
  else sendJson(response, row);
}
