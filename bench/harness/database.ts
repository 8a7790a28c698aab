/** A database of one's own on servers that others use, too; and what an installation leaves in them. */
import type { Pool } from 'mysql2/promise';
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { topologyOf } from '../../shared/broker/topology.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { demoAccount } from '../../stack/demo-data/load.ts';

/** The account that gateways and workers use may read it. */
export async function createDatabase(admin: Pool, db: string): Promise<void> {
  await admin.query(`CREATE DATABASE ${db} CHARACTER SET utf8mb4`);
  for (const from of ['127.0.0.1', 'localhost']) {
    await admin.query(`GRANT SELECT, LOCK TABLES ON ${db}.* TO '${demoAccount.user}'@'${from}'`);
  }
}

/** @param configuration of the installation whose queues go. */
export async function dropQueues(configuration: object): Promise<void> {
  const config = parseConfig(JSON.stringify(configuration), 'bench');
  if (config.sync === undefined) return;
  const { shards, deadLetters } = topologyOf(config, config.sync);
  const connection = new BrokerConnection({ url: config.sync.broker.url, name: `bench ${config.sync.name}` });
  try {
    await connection.start();
    const { channel, close } = await connection.openChannel();
    for (const queue of [deadLetters, ...shards.map((shard) => shard.queue)]) await channel.deleteQueue(queue);
    await close();
  } finally {
    await connection.stop();
  }
}
