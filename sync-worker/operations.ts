/** `/-/…` of the sync worker: what operators and their tools ask. Nothing here changes anything. */
import { fastify, type FastifyInstance } from 'fastify';
import { addProbeRoutes } from '../shared/telemetry/probe-routes.ts';
import type { SyncWorkerTelemetry } from './telemetry.ts';

export interface OperationsOptions {
  readonly telemetry: SyncWorkerTelemetry;
  /** Why it does not do its work yet; nothing while it does, or stands by. */
  readonly whyNotReady: () => string | undefined;
  readonly status: () => unknown;
}

export function buildOperations({ telemetry, whyNotReady, status }: OperationsOptions): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true });
  addProbeRoutes(app, { registry: telemetry.registry, whyNotReady });
  app.get('/-/status', (_request, reply) => reply.send(status()));
  return app;
}
