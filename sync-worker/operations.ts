/** `/-/…` of the sync worker: what operators and their tools ask. Nothing here changes anything. */
import { fastify, type FastifyInstance } from 'fastify';
import type { SyncWorkerTelemetry } from './telemetry.ts';

export interface OperationsOptions {
  readonly telemetry: SyncWorkerTelemetry;
  /** Why it does not do its work yet; nothing while it does, or stands by. */
  readonly whyNotReady: () => string | undefined;
  readonly status: () => unknown;
}

export function buildOperations({ telemetry, whyNotReady, status }: OperationsOptions): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true });
  app.get('/-/live', (_request, reply) => reply.send({ live: true }));
  app.get('/-/ready', (_request, reply) => {
    const why = whyNotReady();
    return why === undefined ? reply.send({ ready: true }) : reply.code(503).send({ ready: false, why });
  });
  app.get('/-/metrics', async (_request, reply) => {
    reply.type(telemetry.registry.contentType);
    return telemetry.registry.metrics();
  });
  app.get('/-/status', (_request, reply) => reply.send(status()));
  return app;
}
