/** Bare Fastify: the same JSON for whatever is asked. What HTTP alone costs on Node. */
import Fastify from 'fastify';
import { settingsOf } from './settings.ts';

const { port, body } = settingsOf<{ readonly body: string }>();
const app = Fastify();
app.get('/-/live', async () => ({ live: true }));
app.get('/:db/:table/:id', (_request, reply) => {
  void reply.type('application/json; charset=utf-8').send(body);
});
await app.listen({ port, host: '127.0.0.1' });
process.once('SIGTERM', () => process.exit());
