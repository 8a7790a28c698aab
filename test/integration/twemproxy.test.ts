/** Placement `ketama` against a real twemproxy, where it is installed (Debian's package nutcracker). */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Continuum } from '../../shared/ring/continuum.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { startRedis } from '../../stack/redis.ts';
import { temporaryFolder } from '../support/stack.ts';
import { isTwemproxyInstalled, TWEMPROXY } from '../../bench/peers/twemproxy.ts';

const KEYS = 10_000;

test(
  'ketama placement agrees with twemproxy on 10,000 keys',
  { skip: !isTwemproxyInstalled() && 'nutcracker is not installed' },
  async () => {
    const folder = temporaryFolder();
    const names = ['alpha', 'bravo', 'charlie', 'delta', 'echo'];
    const shards = await Promise.all(names.map((name) => startRedis({ folder, name })));
    after(() => Promise.all(shards.map((shard) => shard.stop())));
    const [port, statsPort] = [await chooseFreePort(), await chooseFreePort()];
    const proxy = startProxy(folder, port, statsPort, shards);
    after(() => proxy.kill('SIGKILL'));

    const client = await connectWhenUp(port);
    const keys = Array.from({ length: KEYS }, (_, id) => `test_users_${id + 1}`);
    for (let from = 0; from < KEYS; from += 500) {
      await Promise.all(keys.slice(from, from + 500).map((key) => client.set(key, '1')));
    }
    client.disconnect();

    const ring = new Continuum(names, 'ketama');
    const placed = new Map(keys.map((key) => [key, ring.owner(key)]));
    for (const shard of shards) {
      const there = new Redis(shard.port);
      const found = await there.keys('*');
      there.disconnect();
      for (const key of found) assert.equal(placed.get(key), shard.name, key);
      assert.equal(found.length, keys.filter((key) => placed.get(key) === shard.name).length);
    }
  },
);

function startProxy(
  folder: string,
  port: number,
  statsPort: number,
  shards: readonly { readonly name: string; readonly port: number }[],
): ChildProcess {
  const config = join(folder, 'nutcracker.yml');
  const servers = shards.map((shard) => `    - 127.0.0.1:${shard.port}:1 ${shard.name}\n`).join('');
  const pool = `  listen: 127.0.0.1:${port}\n  redis: true\n  hash: md5\n  distribution: ketama\n  servers:\n${servers}`;
  writeFileSync(config, `ringfill:\n${pool}`);
  const args = ['-c', config, '-s', String(statsPort), '-a', '127.0.0.1', '-o', join(folder, 'nutcracker.log')];
  return spawn(TWEMPROXY, args, { stdio: 'ignore' });
}

/** twemproxy does not say when it listens; asking is the only way. */
async function connectWhenUp(port: number): Promise<Redis> {
  for (let attempt = 0; ; attempt += 1) {
    const client = new Redis(port, '127.0.0.1', {
      lazyConnect: true,
      retryStrategy: () => null,
      enableReadyCheck: false,
      disableClientInfo: true,
      protocol: 2,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      client.disconnect();
      if (attempt === 100) throw error;
      await sleep(50);
    }
  }
}
