/**
 * For routes that change something: `app.post('/-/…', {onRequest: requireAdmin(generation)}, …)`. Without `access` in the
 * configuration there are none of them (404); with it they are for keys that were made with --admin.
 */
import type { onRequestHookHandler } from 'fastify';
import { RequestRefused } from '../../shared/errors/errors.ts';
import type { Generation } from '../generation.ts';

export function requireAdmin(generation: () => Pick<Generation, 'admission'>): onRequestHookHandler {
  return (request, _reply, done) => {
    if (generation().admission?.admitAdmin(request.raw) !== true) {
      throw new RequestRefused('route-not-found', 'There is no such page under /-/; /-/docs lists every route.');
    }
    done();
  };
}
