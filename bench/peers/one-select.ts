/** No cache at all: Fastify, and one SELECT a request over a pool of connections. */
import Fastify from 'fastify';
import { createPool, type RowDataPacket } from 'mysql2/promise';
import { settingsOf } from './settings.ts';

interface Settings {
  readonly originUrl: string;
  readonly connections: number;
}

const { port, originUrl, connections } = settingsOf<Settings>();
const mysql = createPool({ uri: originUrl, connectionLimit: connections, queueLimit: 0 });
const app = Fastify();
app.get('/-/live', async () => ({ live: true }));
app.get('/-/ready', async () => ({ ready: true }));
app.get<{ Params: { db: string; table: string; id: string } }>('/:db/:table/:id', async (request, reply) => {
  const { db, table, id } = request.params;
  const [rows] = await mysql.execute<RowDataPacket[]>(`SELECT * FROM \`${db}\`.\`${table}\` WHERE id = ?`, [id]);
  if (rows[0] === undefined) return reply.code(404).send();
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(rows[0]));
});
await app.listen({ port, host: '127.0.0.1' });
process.once('SIGTERM', () => process.exit());
