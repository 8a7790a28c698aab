/** `/-/…` of the sync worker: what operators and their tools ask. Nothing here changes anything. */
import type { Server } from 'node:http';
import { fastify, type FastifyInstance } from 'fastify';
import type { Admission } from '../shared/access/admission.ts';
import { guardOperations } from '../shared/access/operations-guard.ts';
import { catalogue } from '../shared/errors/catalogue.ts';
import { RequestRefused } from '../shared/errors/errors.ts';
import type { Listener } from '../shared/listener/listener.ts';
import { addProbeRoutes } from '../shared/telemetry/probe-routes.ts';
import type { SyncWorkerTelemetry } from './telemetry.ts';

export interface OperationsOptions {
  readonly telemetry: SyncWorkerTelemetry;
  /** Why it does not do its work yet; nothing while it does, or stands by. */
  readonly whyNotReady: () => string | undefined;
  readonly status: () => unknown;
  readonly listener: Listener;
  /** Nothing where everybody may ask. */
  readonly admission: () => Admission | undefined;
}

/** Requests are short. */
export const HEADER_BYTES_MAX = 16_384;

export function buildOperations(options: OperationsOptions): FastifyInstance {
  const { telemetry, whyNotReady, status, listener, admission } = options;
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    serverFactory: (handler) => listener.createServer(handler) as Server,
  });
  app.setErrorHandler((error, _request, reply) => {
    if (!(error instanceof RequestRefused)) throw error;
    const { code, message: detail, headers } = error;
    return reply.code(catalogue[code].status).headers(headers).send({ code, detail });
  });
  guardOperations(app, (request) => admission()?.admitOperation(request));
  addProbeRoutes(app, { registry: telemetry.registry, whyNotReady });
  app.get('/-/status', (_request, reply) => reply.send(status()));
  return app;
}
