/** A real Redis Sentinel that watches over one group, `g`. */
import { after } from 'node:test';
import { Redis } from 'ioredis';
import * as stack from '../../stack/sentinel.ts';

export interface Sentinel {
  readonly port: number;
  /** To ask it. */
  readonly client: Redis;
}

/**
 * Stopped when the test ends. It decides alone, half a second after the primary has gone quiet.
 * @param args further ones of redis-server.
 */
export async function startSentinel(
  folder: string,
  primaryPort: number,
  args: readonly string[] = [],
): Promise<Sentinel> {
  const name = `sentinel-of-${primaryPort}`;
  const server = await stack.startSentinel({ folder, name, group: 'g', primaryPort, downAfterMs: 500, args });
  after(() => server.stop());
  const { host, port } = server;
  const client = new Redis({ host, port, retryStrategy: () => 100, maxRetriesPerRequest: 50 });
  client.on('error', () => undefined);
  after(() => client.disconnect());
  return { port, client };
}
