/** What a team writes second: the same, and for each miss one SELECT and one SET. */
import { crc32 } from 'node:zlib';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { createPool, type RowDataPacket } from 'mysql2/promise';
import { settingsOf } from './settings.ts';

interface Settings {
  readonly keyPrefix: string;
  readonly redis: readonly { readonly host: string; readonly port: number }[];
  readonly originUrl: string;
  readonly connections: number;
  readonly ttlSeconds: number;
}

const { port, keyPrefix, redis, originUrl, connections, ttlSeconds } = settingsOf<Settings>();
const shards = redis.map((server) => new Redis(server));
const mysql = createPool({ uri: originUrl, connectionLimit: connections, queueLimit: 0 });
const app = Fastify();
let selects = 0;
app.get('/-/live', async () => ({ live: true }));
app.get('/-/selects', async () => ({ selects }));
app.get<{ Params: { db: string; table: string; id: string } }>('/:db/:table/:id', async (request, reply) => {
  const { db, table, id } = request.params;
  const key = `${keyPrefix}${db}_${table}_${id}`;
  const shard = shards[crc32(key) % shards.length] as Redis;
  let row = await shard.get(key);
  if (row === null) {
    selects += 1;
    const [rows] = await mysql.execute<RowDataPacket[]>(`SELECT * FROM \`${db}\`.\`${table}\` WHERE id = ?`, [id]);
    if (rows[0] === undefined) return reply.code(404).send();
    row = JSON.stringify(rows[0]);
    await shard.set(key, row, 'EX', ttlSeconds);
  }
  return reply.type('application/json; charset=utf-8').send(row);
});
await app.listen({ port, host: '127.0.0.1' });
process.once('SIGTERM', () => process.exit());
