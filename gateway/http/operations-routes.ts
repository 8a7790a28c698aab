/** `/-/…`: what operators and their tools ask. */
import type { FastifyInstance } from 'fastify';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { percentDecode } from '../../shared/key/row-id.ts';
import { addProbeRoutes } from '../../shared/telemetry/probe-routes.ts';
import type { Generation } from '../generation.ts';
import { keyAsked, keyStory } from '../operations/key-story.ts';
import { ownerView, ringView } from '../operations/ring-view.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import { parseTarget, refuseUnknownParameters } from './request-target.ts';

export interface OperationsRoutesOptions {
  readonly generation: () => Generation;
  readonly telemetry: GatewayTelemetry;
  /** Of all processes that share the port; missing where there is one. */
  readonly metrics?: (() => Promise<string>) | undefined;
  /** Why the gateway should not be sent requests; nothing while it should. */
  readonly whyNotReady: () => string | undefined;
}

export function addOperationsRoutes(
  app: FastifyInstance,
  { generation, telemetry, metrics, whyNotReady }: OperationsRoutesOptions,
): void {
  addProbeRoutes(app, { registry: telemetry.registry, metrics, whyNotReady });

  app.get('/-/ring', () => {
    const serving = generation();
    return serving.serve(() => ringView(serving.ports));
  });

  app.get('/-/ring/owner', (request, reply) => {
    const target = parseTarget(request.raw.url ?? '');
    refuseUnknownParameters(target, ['key']);
    const key = target.parameters.get('key');
    if (key === undefined)
      throw new RequestRefused('missing-parameter', 'Name the cache key: /-/ring/owner?key=test_users_1.');
    const { ports, tables } = generation();
    return reply.send(ownerView(ports.layers, tables?.all() ?? [], percentDecode(key)));
  });

  app.get('/-/ring/story', (request) => {
    const target = parseTarget(request.raw.url ?? '');
    refuseUnknownParameters(target, ['key']);
    const key = target.parameters.get('key');
    if (key === undefined)
      throw new RequestRefused('missing-parameter', 'Name the key: /-/ring/story?key=test_users_1, or test/users/1.');
    const serving = generation();
    const { ports, tables, config, admission } = serving;
    if (tables === undefined)
      throw new RequestRefused('starting', 'MySQL has not answered yet since the gateway started.');
    const asked = keyAsked(tables, ports.layers, config.keyPrefix, percentDecode(key));
    // It shows a row: that is for keys that may read it, whoever may see the rest of `/-/`.
    admission?.admit(request.raw, asked.table.label, 1);
    return serving.serve(() => keyStory(ports, asked));
  });
}
