/**
 * RINGFILL_LEAST_PRIVILEGE=1: tests reach MySQL and Redis by accounts that have what `ringfill init` prints, and nothing
 * more, wherever a configuration is made of the servers that they share. (RabbitMQ's is in least-privilege.test.ts alone.)
 */
import { Redis } from 'ioredis';
import type { Pool } from 'mysql2/promise';
import { commandsOf } from '../../shared/shard/permissions.ts';

const IS_LEAST = process.env['RINGFILL_LEAST_PRIVILEGE'] === '1';
const REDIS_ACCOUNT = 'ringfill';
const PASSWORD = 'ringfill';

/** In front of a Redis URL's host. One account for both processes, as the configuration of most tests is one, too. */
export const REDIS_LOGIN = IS_LEAST ? `${REDIS_ACCOUNT}:${PASSWORD}@` : '';

export async function allowOnRedis(port: number): Promise<void> {
  if (!IS_LEAST) return;
  const redis = new Redis({ host: '127.0.0.1', port });
  try {
    const commands = new Set([...commandsOf('gateway'), ...commandsOf('sync worker')].map((command) => `+${command}`));
    await redis.call('ACL', 'SETUSER', REDIS_ACCOUNT, 'reset', 'on', `>${PASSWORD}`, '~*', ...commands);
  } finally {
    redis.disconnect();
  }
}

/** Who reads a database of a test's own, in front of a MySQL URL's host. @returns what takes it away again, too. */
export async function accountFor(mysql: Pool, db: string): Promise<{ login: string; end: () => Promise<void> }> {
  if (!IS_LEAST) return { login: 'root', end: () => Promise.resolve() };
  const hosts = ['127.0.0.1', 'localhost'];
  for (const host of hosts) {
    await mysql.query(`CREATE USER '${db}'@'${host}' IDENTIFIED BY '${PASSWORD}'`);
    await mysql.query(`GRANT SELECT ON ${db}.* TO '${db}'@'${host}'`);
    await mysql.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${db}'@'${host}'`);
  }
  return {
    login: `${db}:${PASSWORD}`,
    end: async () => {
      for (const host of hosts) await mysql.query(`DROP USER '${db}'@'${host}'`);
    },
  };
}
