/**
 * What events for others travel through:
 *
 *     <sync.outlets.exchange>          a topic exchange; routing keys are db.table.EVENT
 *        -> <subscriber>                       a queue of just this name, for a consumer of others
 *        -> ringfill.<sync.name>.file-outlet   consumed by the sync worker, as is
 *        -> ringfill.<sync.name>.redis-outlet
 *
 * A subscriber's consumer may have declared its queue before us, in its own way. Such a queue is bound as it is: others'
 * ways are no reason to stop, and nothing here may keep capture from telling the shards.
 */
import type { Channel } from 'amqplib';
import type { Config, SubscriberConfig, SyncConfig } from '../config/schema.ts';
import { messageOf, SetupError } from '../errors/errors.ts';
import { EVENT_TYPES } from '../event/event.ts';
import type { Log } from '../telemetry/log.ts';
import { answered, BrokerUnavailable, declarationError } from './broker-errors.ts';
import type { BrokerConnection } from './connection.ts';
import { DELIVERY_LIMIT, MEBIBYTE } from './topology.ts';

export interface OutletQueue {
  readonly kind: 'subscriber' | 'files' | 'redis';
  readonly queue: string;
  readonly arguments: Readonly<Record<string, string | number | boolean>>;
  /** Everything; or these routing keys, and none of the others. */
  readonly binds: 'all' | { readonly these: readonly string[]; readonly others: readonly string[] };
  /** What we have to keep it to, where the broker does not. */
  readonly eventsMax: number | undefined;
}

export interface OutletTopology {
  readonly exchange: string;
  readonly queues: readonly OutletQueue[];
  /** Whose changes are told, by label. */
  readonly tables: ReadonlySet<string>;
}

/** Nothing where nobody is told. */
export function outletTopologyOf(
  { tables, defaults }: Pick<Config, 'tables' | 'defaults'>,
  { name, broker, outlets }: SyncConfig,
): OutletTopology | undefined {
  if (outlets === undefined) return undefined;
  const followed = Object.keys(tables).filter((label) => tables[label]?.follow ?? defaults.follow);
  const told = outlets.tables ?? followed;
  const own = (kind: 'files' | 'redis', queue: string): OutletQueue => ({
    kind,
    queue,
    arguments: {
      ...typeArguments(broker.queueType),
      'x-single-active-consumer': true,
      ...boundArguments(broker.backlogMebibytesMax),
    },
    binds: 'all',
    eventsMax: undefined,
  });
  return {
    exchange: outlets.exchange,
    tables: new Set(told),
    queues: [
      ...Object.entries(outlets.subscribers).map(([queue, subscriber]) =>
        subscriberQueue(queue, subscriber, told, broker.backlogMebibytesMax),
      ),
      ...(outlets.files === undefined ? [] : [own('files', `ringfill.${name}.file-outlet`)]),
      ...(outlets.redis === undefined ? [] : [own('redis', `ringfill.${name}.redis-outlet`)]),
    ],
  };
}

function subscriberQueue(
  queue: string,
  { tables, events, queueType, backlogEventsMax, backlogMebibytesMax }: SubscriberConfig,
  told: readonly string[],
  mebibytesMax: number,
): OutletQueue {
  const isPlain = queueType === 'plain';
  return {
    kind: 'subscriber',
    queue,
    arguments: isPlain
      ? {}
      : {
          ...typeArguments(queueType),
          'x-max-length': backlogEventsMax,
          ...boundArguments(backlogMebibytesMax ?? mebibytesMax),
        },
    binds: tables === undefined && events === undefined ? 'all' : someOf(told, tables ?? told, events ?? EVENT_TYPES),
    eventsMax: isPlain ? backlogEventsMax : undefined,
  };
}

function typeArguments(queueType: 'classic' | 'quorum'): Record<string, string | number> {
  return {
    'x-queue-type': queueType,
    ...(queueType === 'quorum' && { 'x-delivery-limit': DELIVERY_LIMIT }),
  };
}

function boundArguments(mebibytesMax: number): Record<string, string | number> {
  return { 'x-max-length-bytes': mebibytesMax * MEBIBYTE, 'x-overflow': 'drop-head' };
}

function someOf(told: readonly string[], tables: readonly string[], events: readonly string[]) {
  const keys = told.flatMap((label) => EVENT_TYPES.map((event) => ({ label, event })));
  const isWanted = ({ label, event }: (typeof keys)[number]) => tables.includes(label) && events.includes(event);
  const text = ({ label, event }: (typeof keys)[number]) => `${label}.${event}`;
  return {
    these: keys.filter(isWanted).map(text),
    others: keys.filter((key) => !isWanted(key)).map(text),
  };
}

/** Everything that matches. */
const EVERYTHING = '#';

/** AMQP 0-9-1, section 1.1 (constants). */
const ACCESS_REFUSED = 403;
const PRECONDITION_FAILED = 406;

/**
 * - `declared`: it is there, as configured. - `differs`: it is there with other properties, and bound all the same.
 * - `unusable`: events do not reach it.
 */
export type OutletDeclaration =
  | { readonly kind: 'declared' }
  | { readonly kind: 'differs'; readonly why: string }
  | { readonly kind: 'unusable'; readonly why: string };

/**
 * The exchange and all queues; what is not as configured stands in the log.
 * Throws SetupError where the broker refuses us, or has another exchange of this name; BrokerUnavailable.
 */
export async function declareOutlets(connection: BrokerConnection, outlets: OutletTopology, log: Log): Promise<void> {
  await declareExchange(connection, outlets.exchange);
  for (const outlet of outlets.queues) {
    const declared = await declareOutlet(connection, outlets.exchange, outlet);
    if (declared.kind === 'declared') continue;
    const said = declared.kind === 'differs' ? 'queue has other properties, and is bound' : 'queue cannot be bound';
    log.warn({ queue: outlet.queue, reason: declared.why }, `outlet: ${said}`);
  }
}

/** Throws SetupError, BrokerUnavailable. */
export async function declareExchange(connection: BrokerConnection, exchange: string): Promise<void> {
  const { channel, close } = await connection.openChannel();
  try {
    await answered(channel.assertExchange(exchange, 'topic', { durable: true }), `no word about ${exchange}`);
  } catch (error) {
    if (codeOf(error) !== PRECONDITION_FAILED) throw declarationError(error, exchange);
    throw new SetupError(
      [
        {
          code: 'broker-topology-differs',
          where: 'sync.outlets.exchange',
          message: `the exchange ${exchange} exists, and is no durable topic exchange`,
          mend: 'choose another name for it, or delete that one',
        },
      ],
      { cause: error },
    );
  } finally {
    await close();
  }
}

/** One queue and its bindings; the exchange is there. Throws SetupError where the broker refuses us; BrokerUnavailable. */
export async function declareOutlet(
  connection: BrokerConnection,
  exchange: string,
  { queue, arguments: properties, binds }: OutletQueue,
): Promise<OutletDeclaration> {
  let declared: OutletDeclaration = { kind: 'declared' };
  let open = await connection.openChannel();
  try {
    try {
      const asserted = open.channel.assertQueue(queue, { durable: true, arguments: { ...properties } });
      await answered(asserted, `no word about ${queue}`);
    } catch (error) {
      if (codeOf(error) !== PRECONDITION_FAILED) throw error;
      declared = { kind: 'differs', why: messageOf(error) };
      // The broker has closed the channel.
      await open.close();
      open = await connection.openChannel();
    }
    await bind(open.channel, exchange, queue, binds);
    return declared;
  } catch (error) {
    if (codeOf(error) === ACCESS_REFUSED) throw declarationError(error, queue);
    if (connection.state === 'down' || error instanceof BrokerUnavailable) throw declarationError(error, queue);
    return { kind: 'unusable', why: messageOf(error) };
  } finally {
    await open.close();
  }
}

/** Bindings outlive the configuration that wanted them, so what is not wanted (any more) is taken back. */
async function bind(channel: Channel, exchange: string, queue: string, binds: OutletQueue['binds']): Promise<void> {
  const late = `no word about the bindings of ${queue}`;
  if (binds === 'all') {
    await answered(channel.bindQueue(queue, exchange, EVERYTHING), late);
    return;
  }
  await answered(Promise.all(binds.these.map((key) => channel.bindQueue(queue, exchange, key))), late);
  const unwanted = [EVERYTHING, ...binds.others];
  await answered(Promise.all(unwanted.map((key) => channel.unbindQueue(queue, exchange, key))), late);
}

function codeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}
