/** What a team writes first: Fastify, and one GET a request from one of several Redis, which a hash of the key chooses. */
import { crc32 } from 'node:zlib';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { settingsOf } from './settings.ts';

interface Settings {
  readonly keyPrefix: string;
  readonly redis: readonly { readonly host: string; readonly port: number }[];
  /** Of the far side: a proxy understands few commands, and none that greets. */
  readonly isProxy: boolean;
}

const { port, keyPrefix, redis, isProxy } = settingsOf<Settings>();
const shards = redis.map(
  (server) =>
    new Redis({ ...server, ...(isProxy ? { protocol: 2, enableReadyCheck: false, disableClientInfo: true } : {}) }),
);
const app = Fastify();
app.get('/-/live', async () => ({ live: true }));
app.get<{ Params: { db: string; table: string; id: string } }>('/:db/:table/:id', async (request, reply) => {
  const { db, table, id } = request.params;
  const key = `${keyPrefix}${db}_${table}_${id}`;
  const row = await shards[crc32(key) % shards.length]?.get(key);
  if (typeof row !== 'string') return reply.code(404).send();
  return reply.type('application/json; charset=utf-8').send(row);
});
await app.listen({ port, host: '127.0.0.1' });
process.once('SIGTERM', () => process.exit());
