/** `/-/live`, `/-/ready` and `/-/metrics`: what whoever runs a process asks it. */
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';

export interface Probes {
  readonly registry: Registry;
  /** In the registry's place, where it is not all that there is to tell. */
  readonly metrics?: (() => Promise<string>) | undefined;
  /** Why it does not do its work; nothing while it does. */
  readonly whyNotReady: () => string | undefined;
}

export function addProbeRoutes(app: FastifyInstance, { registry, metrics, whyNotReady }: Probes): void {
  app.get('/-/live', (_request, reply) => reply.send({ live: true }));

  app.get('/-/ready', (_request, reply) => {
    const why = whyNotReady();
    return why === undefined ? reply.send({ ready: true }) : reply.code(503).send({ ready: false, why });
  });

  app.get('/-/metrics', async (_request, reply) => {
    reply.type(registry.contentType);
    return metrics === undefined ? registry.metrics() : metrics();
  });
}
