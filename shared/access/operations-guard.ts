/**
 * Who may ask `/-/…`. Every route beneath it is guarded as it is added, whoever adds it, also by a spelling that only the
 * router understands; but not liveness and readiness, which are asked by those who have no key.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, onRequestHookHandler } from 'fastify';

const OPEN: ReadonlySet<string> = new Set(['/-/live', '/-/ready']);

/**
 * Before the routes are added.
 * @param admit throws AccessRefused.
 */
export function guardOperations(app: FastifyInstance, admit: (request: IncomingMessage) => void): void {
  const guard: onRequestHookHandler = (request, _reply, done) => {
    admit(request.raw);
    done();
  };
  app.addHook('onRoute', (route) => {
    if (!route.url.startsWith('/-/') || OPEN.has(route.url)) return;
    route.onRequest = [guard, ...[route.onRequest ?? []].flat()];
  });
}
