/**
 * The gateway's HTTP application, built without listening. Every error leaves as a problem document, whoever found it:
 * a route, the router, the HTTP parser.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { guardOperations } from '../shared/access/operations-guard.ts';
import type { Listener } from '../shared/listener/listener.ts';
import { NodeReply, type Reply } from '../shared/listener/reply.ts';
import type { Log } from '../shared/telemetry/log.ts';
import type { Generation } from './generation.ts';
import { ErrorAnswers } from './http/error-answers.ts';
import { openApiDocument } from './http/openapi.ts';
import { addOperationsRoutes } from './http/operations-routes.ts';
import { problem, type Problem } from './http/problem.ts';
import { originForm } from './http/request-target.ts';
import { RowRoutes } from './http/row-routes.ts';
import { Live } from './operations/live.ts';
import type { GatewayTelemetry } from './telemetry.ts';
import { addUiRoutes } from './ui/ui-routes.ts';

export interface AppOptions {
  readonly version: string;
  /** That a request which begins now is served by. */
  readonly generation: () => Generation;
  readonly telemetry: GatewayTelemetry;
  readonly log: Log;
  /** Of all processes that share the port; missing where there is one. */
  readonly metrics?: (() => Promise<string>) | undefined;
  readonly listener: Listener;
  /** Why the gateway should not be sent requests; nothing while it should. */
  readonly whyNotReady: () => string | undefined;
}

/** Longer than any id that can be right, so that a wrong one is told what is wrong with it. */
const PATH_SEGMENT_MAX = 16_384;

/** Of the URL and the headers together: 1,000 ids of 20 digits, or of 16 bytes in hex, fit. Node's own limit is 16 KiB. */
export const HEADER_BYTES_MAX = 65_536;

/** For whoever has been told that he is cut off, to hear of it. */
const LAST_WORD_MS = 1_000;

export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { generation, telemetry, log, listener } = options;
  const errors = new ErrorAnswers({ telemetry, log, segmentMax: PATH_SEGMENT_MAX });
  const rows = new RowRoutes({ generation, telemetry, log, errors });
  const app = fastify({
    logger: false,
    routerOptions: { maxParamLength: PATH_SEGMENT_MAX, caseSensitive: true },
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    serverFactory: (handler) =>
      listener.createServer(handler, (request, reply) => rows.takes(request, reply)) as Server,
    frameworkErrors: (error, _request, reply) => errors.answer(replyOf(reply as unknown as FastifyReply), error),
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket),
  });

  app.setErrorHandler((error, _request, reply) => errors.answer(replyOf(reply), error));

  const answerNotFound = (request: FastifyRequest, reply: FastifyReply) => {
    const known = isRowPath(originForm(request.raw.url ?? '')) && request.method !== 'GET' && request.method !== 'HEAD';
    const answer = known
      ? problem('method-not-allowed', 'Rows are read with GET or HEAD; write them in MySQL.', { allow: 'GET, HEAD' })
      : problem('route-not-found', 'Rows are at /db/table/id; /-/docs lists every route.');
    errors.send(replyOf(reply), answer);
  };
  app.setNotFoundHandler(answerNotFound);
  // Before the body is parsed: what is wrong with a body that nobody will read is not the trouble.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) answerNotFound(request, reply);
    else done();
  });

  guardOperations(app, (request) => generation().admission?.admitOperation(request));
  // The document is made when it is asked for: the tables may be known only later.
  await app.register(swagger, { mode: 'dynamic', openapi: { info: { title: 'ringfill', version: options.version } } });
  await app.register(swaggerUi, {
    routePrefix: '/-/docs',
    transformSpecification: () => openApiDocument(options.version, options.generation().tables),
    transformSpecificationClone: false,
  });
  const live = new Live(options);
  addOperationsRoutes(app, { ...options, live });
  addUiRoutes(app, live);
  rows.addTo(app);
  app.addHook('preClose', (done) => {
    listener.closeIdle();
    done();
  });
  return app;
}

/** Round Fastify's reply, which would look at each header and at the body again. */
function replyOf(reply: FastifyReply): Reply {
  return new NodeReply(reply.hijack().raw);
}

function isRowPath(url: string): boolean {
  return !url.startsWith('/-/') && /^\/[^/?]+\/[^/?]+(?:\/[^/?]*)?(?:\?|$)/.test(url);
}

/** What the HTTP parser refused never became a request; it is answered on the bare socket. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  const answer = problemOfUnreadable(error);
  if (answer === undefined || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, code, headers, body } = answer;
  const fields = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' });
  const lines = fields.map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${status} ${code}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
  // It need not close its side, and would keep the connection.
  setTimeout(() => socket.destroy(), LAST_WORD_MS).unref();
}

/** Nothing where there is nobody to talk to in HTTP: a connection that broke, a TLS handshake that failed. */
function problemOfUnreadable({ code = '' }: NodeJS.ErrnoException): Problem | undefined {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return problem('request-timeout', 'The request did not arrive in time.');
  if (code === 'HPE_HEADER_OVERFLOW') {
    const detail = `The URL and headers together are longer than ${HEADER_BYTES_MAX / 1024} KiB.`;
    return problem('uri-too-long', detail);
  }
  if (!code.startsWith('HPE_')) return undefined;
  const detail = 'This cannot be read as HTTP/1.1; characters outside ASCII must be percent-encoded.';
  return problem('bad-request', detail);
}
