/**
 * RINGFILL_LEAST_PRIVILEGE=1: ringfill reaches MySQL and Redis by accounts that have what `ringfill init` prints, and nothing
 * more, wherever a test's configuration is made of the servers that the tests share, and on those of their own for which it
 * says so. What a test itself does to a server, it does as the administrator. (The exact columns, and RabbitMQ, are
 * least-privilege.test.ts's.)
 */
import { Redis } from 'ioredis';
import { createConnection, type Pool } from 'mysql2/promise';
import { commandsOf } from '../../shared/shard/permissions.ts';
import { type RedisOptions, type RedisServer, startRedis } from '../../stack/redis.ts';

const IS_LEAST = process.env['RINGFILL_LEAST_PRIVILEGE'] === '1';
const ACCOUNT = 'ringfill_least';
const PASSWORD = 'ringfill';

/** The ports of the servers that know the account. */
const knownTo = new Set<number>();

interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * For ringfill's own use; the test's is another.
 * @param at where the server is reached, if that is not its own port.
 */
export function redisUrl(port: number, at = port): string {
  return `redis://${knownTo.has(port) ? `${ACCOUNT}:${PASSWORD}@` : ''}127.0.0.1:${at}`;
}

/** Likewise. */
export function mysqlUrl({ host, port }: Address, at = port): string {
  return `mysql://${knownTo.has(port) ? `${ACCOUNT}:${PASSWORD}` : 'root'}@${host}:${at}`;
}

/** It was allowed there before, by another process. */
export function isAllowedOn(port: number): void {
  if (IS_LEAST) knownTo.add(port);
}

/** One account for both processes, as the configuration of most tests is one, too; with what a near cache needs besides. */
function redisRules(): string[] {
  const commands = new Set([...commandsOf('gateway'), ...commandsOf('sync worker')].map((command) => `+${command}`));
  const near = ['+client|id', '+client|tracking', '+subscribe', '+pubsub|numsub', '&*'];
  return ['reset', 'on', `>${PASSWORD}`, '~*', ...commands, ...near];
}

export async function allowOnRedis(port: number): Promise<void> {
  if (!IS_LEAST) return;
  const redis = new Redis({ host: '127.0.0.1', port });
  try {
    await redis.call('ACL', 'SETUSER', ACCOUNT, ...redisRules());
    isAllowedOn(port);
  } finally {
    redis.disconnect();
  }
}

/** A Redis of a test's own, to do harm to; it knows the account after a restart, too. It is the caller who stops it. */
export async function startOwnRedis(options: RedisOptions): Promise<RedisServer> {
  const args = IS_LEAST ? ['--user', ACCOUNT, ...redisRules()] : [];
  const server = await startRedis({ ...options, args: [...(options.args ?? []), ...args] });
  isAllowedOn(server.port);
  return server;
}

/** Tests make databases as they go: so it is SELECT on all of them. */
export async function allowOnMysql({ host, port }: Address, flavour: 'mariadb' | 'mysql'): Promise<void> {
  if (!IS_LEAST) return;
  const root = await createConnection({ host, port, user: 'root' });
  try {
    for (const from of ['127.0.0.1', 'localhost']) {
      const account = `'${ACCOUNT}'@'${from}'`;
      await root.query(`CREATE USER ${account} IDENTIFIED BY '${PASSWORD}'`);
      // MySQL’s share-locking reads may need more than SELECT.
      await root.query(`GRANT SELECT${flavour === 'mysql' ? ', LOCK TABLES' : ''} ON \`%\`.* TO ${account}`);
      await root.query(`GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${account}`);
    }
    isAllowedOn(port);
  } finally {
    await root.end();
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
