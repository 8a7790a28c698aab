/**
 * The queues between capture and the shards: one a shard, and one for what can never be applied.
 *
 *     ringfill.<sync.name>.<ring>.<shard>     in the default exchange, by its name; one active consumer
 *     ringfill.<sync.name>.dead-letters
 *
 * Both sides declare them, as neither waits for the other, and as a queue may be deleted by hand. A backlog past its bound
 * loses its oldest changes (drop-head): the shard finds a gap, and goes on with what came after.
 */
import type { Channel, Options } from 'amqplib';
import type { Config, SyncConfig } from '../config/schema.ts';
import { SetupError } from '../errors/errors.ts';
import { endpointsOf } from '../shard/endpoint.ts';
import { answered, declarationError } from './broker-errors.ts';
import type { BrokerConnection } from './connection.ts';

export interface ShardQueue {
  readonly ring: string;
  readonly shard: string;
  readonly queue: string;
}

export interface Topology {
  readonly queueType: SyncConfig['broker']['queueType'];
  readonly backlogBytesMax: number;
  readonly shards: readonly ShardQueue[];
  readonly deadLetters: string;
}

export const MEBIBYTE = 1_048_576;
const DEAD_LETTERS_MAX = 1_000;
const DEAD_LETTERS_BYTES_MAX = 256 * MEBIBYTE;
/**
 * From RabbitMQ 4.0 on a quorum queue drops what was delivered 20 times. A message waits here for as long as its shard
 * is away, however often that is tried. "No limit" has no spelling that every version takes; this one is never reached.
 */
export const DELIVERY_LIMIT = 2_147_483_647;

export function topologyOf({ rings }: Pick<Config, 'rings'>, { name, broker }: SyncConfig): Topology {
  const shards = rings.flatMap((ring) =>
    [...endpointsOf(ring).keys()].map((shard) => ({
      ring: ring.name,
      shard,
      queue: `ringfill.${name}.${ring.name}.${shard}`,
    })),
  );
  const seen = new Map<string, ShardQueue>();
  for (const one of shards) {
    const other = seen.get(one.queue);
    if (other !== undefined) throw sameQueue(one, other);
    seen.set(one.queue, one);
  }
  return {
    queueType: broker.queueType,
    backlogBytesMax: broker.backlogMebibytesMax * MEBIBYTE,
    shards,
    deadLetters: `ringfill.${name}.dead-letters`,
  };
}

/** Throws SetupError (`broker-topology-differs`, `broker-refused`) or BrokerUnavailable. */
export async function declareTopology(connection: BrokerConnection, topology: Topology): Promise<void> {
  const open = await connection.openChannel();
  try {
    await declareDeadLetters(open.channel, topology);
    for (const { queue } of topology.shards) await declareShardQueue(open.channel, topology, queue);
  } finally {
    await open.close();
  }
}

/** As declareTopology, of one queue, on a channel that is closed where it fails. */
export async function declareShardQueue(channel: Channel, topology: Topology, queue: string): Promise<void> {
  await declare(channel, queue, {
    'x-queue-type': topology.queueType,
    'x-single-active-consumer': true,
    'x-max-length-bytes': topology.backlogBytesMax,
    'x-overflow': 'drop-head',
    ...deliveryLimit(topology),
  });
}

export async function declareDeadLetters(channel: Channel, topology: Topology): Promise<void> {
  await declare(channel, topology.deadLetters, {
    'x-queue-type': topology.queueType,
    'x-max-length': DEAD_LETTERS_MAX,
    'x-max-length-bytes': DEAD_LETTERS_BYTES_MAX,
    'x-overflow': 'drop-head',
    ...deliveryLimit(topology),
  });
}

function deliveryLimit({ queueType }: Topology): Record<string, number> {
  return queueType === 'quorum' ? { 'x-delivery-limit': DELIVERY_LIMIT } : {};
}

async function declare(channel: Channel, queue: string, properties: Options.AssertQueue['arguments']): Promise<void> {
  try {
    await answered(channel.assertQueue(queue, { durable: true, arguments: properties }), `no word about ${queue}`);
  } catch (error) {
    throw declarationError(error, queue);
  }
}

function sameQueue(one: ShardQueue, other: ShardQueue): SetupError {
  return new SetupError([
    {
      code: 'config-invalid',
      where: `rings: ${one.ring}, shard ${one.shard}`,
      message: `its queue would be that of ring ${other.ring}, shard ${other.shard}: ${one.queue}`,
      mend: 'rename the ring',
    },
  ]);
}
