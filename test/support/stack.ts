/**
 * The real servers that integration and fault tests share. test/run.ts starts them once and passes their whereabouts in
 * RINGFILL_TEST_STACK; a test file run by itself starts its own, and stops them when it ends.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { loadDemoData } from '../../stack/demo-data/load.ts';
import { startStack } from '../../stack/stack.ts';
import { allowOnMysql, allowOnRedis, isAllowedOn } from './least-privilege.ts';

export interface TestStack {
  readonly mysql: {
    readonly host: string;
    readonly port: number;
    readonly socket: string;
    readonly flavour: 'mariadb' | 'mysql';
  };
  readonly rabbitmq: { readonly url: string };
  readonly redis: readonly { readonly shard: string; readonly ring: 'primary' | 'fallback'; readonly port: number }[];
}

export const STACK_VARIABLE = 'RINGFILL_TEST_STACK';

export interface StartedStack {
  readonly whereabouts: TestStack;
  stop(): Promise<void>;
}

/** Servers on free ports, with the demo's data. */
export async function startTestStack(folder: string): Promise<StartedStack> {
  const stack = await startStack({
    folder,
    ports: 'free',
    redis: { primary: 3, fallback: 2 },
  });
  try {
    await loadDemoData(stack.mysql);
    await allowOnMysql(stack.mysql, stack.mysql.flavour);
    await Promise.all(stack.shards.map(({ server }) => allowOnRedis(server.port)));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  const { host, port, socket, flavour } = stack.mysql;
  return {
    whereabouts: {
      mysql: { host, port, socket, flavour },
      rabbitmq: { url: stack.rabbitmq?.url ?? '' },
      redis: stack.shards.map(({ name, ring, server }) => ({ shard: name, ring, port: server.port })),
    },
    stop: () => stack.stop(),
  };
}

/** Call it at the top of a test file. */
export async function testStack(): Promise<TestStack> {
  const given = process.env[STACK_VARIABLE];
  if (given !== undefined) {
    const shared = JSON.parse(given) as TestStack;
    for (const { port } of [shared.mysql, ...shared.redis]) isAllowedOn(port);
    return shared;
  }
  const folder = temporaryFolder();
  const stack = await startTestStack(folder);
  after(() => stack.stop());
  return stack.whereabouts;
}

/** Gone when the test file ends. Short, for a socket's path must fit into 107 bytes. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringfill-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
