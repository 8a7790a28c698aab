/** `/-/…`: what operators and their tools ask. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { percentDecode } from '../../shared/key/row-id.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { addProbeRoutes } from '../../shared/telemetry/probe-routes.ts';
import type { Generation } from '../generation.ts';
import type { RowRequest } from '../journey/row-request.ts';
import { invalidate } from '../operations/invalidate.ts';
import { keyAsked, keyStory } from '../operations/key-story.ts';
import type { Live } from '../operations/live.ts';
import { ownerView, ringView } from '../operations/ring-view.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import { parseTarget, refuseUnknownParameters } from './request-target.ts';
import { requireAdmin } from './require-admin.ts';

export interface OperationsRoutesOptions {
  readonly generation: () => Generation;
  readonly telemetry: GatewayTelemetry;
  readonly log: Log;
  readonly live: Live;
  /** Of all processes that share the port; missing where there is one. */
  readonly metrics?: (() => Promise<string>) | undefined;
  /** Why the gateway should not be sent requests; nothing while it should. */
  readonly whyNotReady: () => string | undefined;
}

export function addOperationsRoutes(
  app: FastifyInstance,
  { generation, telemetry, log, live, metrics, whyNotReady }: OperationsRoutesOptions,
): void {
  addProbeRoutes(app, { registry: telemetry.registry, metrics, whyNotReady });

  app.get('/-/status', () => generation().serve(() => live.status()));

  app.get('/-/ring', () => {
    const serving = generation();
    return serving.serve(() => ringView(serving.ports));
  });

  app.get('/-/ring/owner', (request, reply) => {
    const key = keyNamed(request, 'Name the cache key: /-/ring/owner?key=test_users_1.');
    const { ports, tables } = generation();
    return reply.send(ownerView(ports.layers, tables?.all() ?? [], key));
  });

  app.get('/-/ring/story', (request) => {
    const serving = generation();
    const asked = rowNamed(serving, request, '/-/ring/story');
    // It shows a row: that is for keys that may read it, whoever may see the rest of `/-/`.
    serving.admission?.admit(request.raw, asked.table.label, 1);
    return serving.serve(() => keyStory(serving.ports, asked));
  });

  app.post('/-/ring/invalidate', { onRequest: requireAdmin(generation) }, (request) => {
    const serving = generation();
    const asked = rowNamed(serving, request, '/-/ring/invalidate');
    return serving.serve(async () => {
      const done = await invalidate(serving.ports, asked);
      log.info(
        { key: done.key, shards: done.shards.map(({ shard, outcome }) => `${shard} ${outcome}`) },
        'row invalidated',
      );
      return done;
    });
  });
}

function keyNamed({ raw }: FastifyRequest, otherwise: string): string {
  const target = parseTarget(raw.url ?? '');
  refuseUnknownParameters(target, ['key']);
  const key = target.parameters.get('key');
  if (key === undefined) throw new RequestRefused('missing-parameter', otherwise);
  return percentDecode(key);
}

function rowNamed({ tables, config, ports }: Generation, request: FastifyRequest, route: string): RowRequest {
  const key = keyNamed(request, `Name the key: ${route}?key=test_users_1, or test/users/1.`);
  if (tables === undefined)
    throw new RequestRefused('starting', 'MySQL has not answered yet since the gateway started.');
  return keyAsked(tables, ports.layers, config.keyPrefix, key);
}
