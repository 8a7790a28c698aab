/** Everyone whose hits are measured, up and with every row at hand. */
import type { RunningServer } from '../../stack/server-process.ts';
import type { BenchWorld } from '../harness/bench-world.ts';
import { profiledInto } from '../harness/cpu-profile.ts';
import { allBelieved } from '../harness/gateways-believe.ts';
import { Installation } from '../harness/installation.ts';
import { createItems, itemJson, sizeOf, type Sizes } from '../harness/items.ts';
import { readRows } from '../harness/read-rows.ts';
import { findNginx, nginxConfiguration, type NginxOptions, nginxProgram } from './nginx.ts';
import type { Peer } from './peer.ts';
import { writePlainRows } from './plain-rows.ts';
import { startNodePeer, startPeer } from './start-peer.ts';
import { isTwemproxyInstalled, twemproxyProgram } from './twemproxy.ts';

export interface LineUp {
  readonly peers: readonly Peer[];
  /** Who was left out, and why. */
  readonly notes: readonly string[];
  readonly nginxConfiguration: string | undefined;
  /** Another gateway like one of them, every row cached; to be stopped by who wants the profile that it writes then. */
  readonly startProfiled: (like: 'ringfill' | 'near', folder: string) => Promise<Peer & { stop(): Promise<void> }>;
}

/** `ringfill` and `fastify` are always there; the others where they can be. */
export type PeerName = 'fastify' | 'one-get' | 'nginx' | 'twemproxy' | 'ringfill' | 'near';

const READY_WITHIN_MS = 60_000;
const NEAR_CACHE_MEBIBYTES = 64;
const NEAR_SETTINGS = { nearCache: { mebibytes: NEAR_CACHE_MEBIBYTES } };

export interface LineUpOptions {
  readonly rows: number;
  readonly sizes: Sizes;
  /** The most that will ask at once. */
  readonly connectionsMax: number;
}

export async function startLineUp(world: BenchWorld, options: LineUpOptions): Promise<LineUp> {
  const { rows, sizes, connectionsMax } = options;
  const size = sizeOf(sizes);
  const table = `${world.db}.items`;
  const path = `/${world.db}/items`;
  const jsonOf = (id: number) => itemJson(id, size);
  const notes: string[] = [];
  const peers: Peer[] = [];
  const add = (name: PeerName, what: string, server: RunningServer, ...others: RunningServer[]) => {
    const expect: Peer['target']['expect'] =
      name === 'fastify' ? { kind: 'always', body: jsonOf(1) } : { kind: 'row', sizes };
    const { host, port } = server;
    peers.push({ name, what, target: { host, port, path, expect }, processes: [server, ...others] });
  };

  await createItems(world.admin, table, rows, size);
  const redis = world.primary.map(({ server: { host, port } }) => ({ host, port }));
  // As the programs make it of the path.
  const plain = { keyPrefix: `plain:${world.db}_items_`, count: rows, jsonOf };
  await writePlainRows({ ...plain, redis, isProxy: false });

  add('fastify', 'bare Fastify, a constant', await startNodePeer(world, 'fastify', 'constant.ts', { body: jsonOf(1) }));
  const oneGet = { keyPrefix: 'plain:', redis, isProxy: false };
  add('one-get', 'Fastify, one GET a request', await startNodePeer(world, 'one-get', 'one-get.ts', oneGet));

  const parts = findNginx();
  let configuration: string | undefined;
  if (parts === undefined)
    notes.push('nginx + Lua + Redis was left out: nginx, its Lua module or its Redis library is not installed.');
  else {
    const nginx: NginxOptions = { parts, name: 'nginx', path, keyPrefix: plain.keyPrefix, redis, connectionsMax };
    const server = await startPeer(world, nginxProgram(nginx));
    configuration = nginxConfiguration(nginx, server.port, server.folder);
    add('nginx', `nginx + Lua + Redis, ${parts.version}`, server);
  }

  if (isTwemproxyInstalled()) {
    const proxy = await startPeer(world, await twemproxyProgram({ name: 'twemproxy', shards: world.primary }));
    const behind = [{ host: proxy.host, port: proxy.port }];
    await writePlainRows({
      ...plain,
      keyPrefix: `proxied:${world.db}_items_`,
      redis: behind,
      isProxy: true,
    });
    const settings = { keyPrefix: 'proxied:', redis: behind, isProxy: true };
    const server = await startNodePeer(world, 'one-get-proxied', 'one-get.ts', settings);
    add('twemproxy', 'Fastify, one GET a request through twemproxy, which has the same core', server, proxy);
  } else notes.push('twemproxy was left out: nutcracker is not installed.');

  const installation = new Installation({ world, name: 'peers', tables: { [table]: {} } });
  await installation.startWorker();
  const gateway = await installation.startGateway('ringfill');
  const near = await installation.startGateway('near', NEAR_SETTINGS);
  await allBelieved([gateway, near], READY_WITHIN_MS, world.signal);
  for (const { url } of [gateway, near]) await readRows({ url, table, first: 1, count: rows, signal: world.signal });
  add('ringfill', 'ringfill, with sync', gateway);
  add('near', `ringfill, near cache of ${NEAR_CACHE_MEBIBYTES} MiB`, near);
  const startProfiled: LineUp['startProfiled'] = async (like, profileFolder) => {
    const settings = like === 'near' ? NEAR_SETTINGS : {};
    const gateway = await installation.startGateway('profiled', settings, { env: profiledInto(profileFolder) });
    await allBelieved([gateway], READY_WITHIN_MS, world.signal);
    const { host, port } = gateway;
    const target = { host, port, path, expect: { kind: 'row', sizes } } as const;
    return { name: like, what: `${like}, profiled`, target, processes: [gateway], stop: () => gateway.stop() };
  };
  return { peers, notes, nginxConfiguration: configuration, startProfiled };
}
