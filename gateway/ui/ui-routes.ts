/**
 * `/-/ui`: the dashboard. The page and its files are open to whoever reaches the gateway, and hold no data; what they show
 * comes from `/-/ui/events` and `/-/ring/story`.
 *
 * Everything is served from here: the policy lets the page load nothing from elsewhere, nor run a script that is not a file.
 */
import type { FastifyInstance } from 'fastify';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { matchesAny } from '../http/if-none-match.ts';
import type { Live } from '../operations/live.ts';
import { EventStreams } from './event-streams.ts';
import { pageFiles } from './page-files.ts';

const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
} as const;

export function addUiRoutes(app: FastifyInstance, live: Live): void {
  const streams = new EventStreams(live);

  for (const { path, type, body } of pageFiles()) {
    const { etag, bytes } = body;
    app.get(path, (request, reply) => {
      reply.headers({ ...PAGE_HEADERS, etag });
      const ifNoneMatch = request.headers['if-none-match'];
      if (ifNoneMatch !== undefined && matchesAny(ifNoneMatch, etag)) return reply.code(304).send();
      return reply.type(type).send(bytes);
    });
  }
  // The page names its files relative to /-/, so that it works behind a proxy that adds a path.
  app.get('/-/ui/', (_request, reply) => reply.redirect('../ui', 308));

  app.get('/-/ui/events', { exposeHeadRoute: false }, (_request, reply) => {
    if (streams.isFull)
      throw new RequestRefused('too-many-listeners', 'As many dashboards are open as the gateway serves at once.');
    reply.hijack();
    streams.open(reply.raw);
  });

  app.addHook('onListen', (done) => {
    live.start();
    done();
  });
  // Else the open streams would hold the listener up.
  app.addHook('preClose', (done) => {
    live.stop();
    streams.close();
    done();
  });
}
