/** RabbitMQ: reached, logged in to; and the queues, if they are there. Nothing is declared. */
import { BrokerConnection } from '../../shared/broker/connection.ts';
import { outletTopologyOf } from '../../shared/broker/outlet-topology.ts';
import { topologyOf } from '../../shared/broker/topology.ts';
import type { Config, SyncConfig } from '../../shared/config/schema.ts';
import { messageOf, SetupError } from '../../shared/errors/errors.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import { checkOutletQueues } from './check-outlets.ts';
import { type Finding, findingOf } from './finding.ts';

const ANSWERS_WITHIN_MS = 5_000;

export async function checkBroker(config: Config, sync: SyncConfig): Promise<Finding[]> {
  const group = 'broker';
  try {
    const topology = topologyOf(config, sync);
    const outlets = outletTopologyOf(config, sync);
    const connection = new BrokerConnection({ url: sync.broker.url, name: 'ringfill check' });
    const started = performance.now();
    try {
      await withinDeadline(connection.start(), ANSWERS_WITHIN_MS, () => new Error(connection.why));
      const found = `${connection.address} answered in ${Math.round(performance.now() - started)} ms`;
      const reached: Finding = { group, requirement: 'reachable', verdict: 'met', found };
      const ofOutlets = outlets === undefined ? [] : await checkOutletQueues(connection, outlets);
      return [reached, await checkQueues(connection, topology.shards), ...ofOutlets];
    } finally {
      await connection.stop();
    }
  } catch (error) {
    if (error instanceof SetupError) return error.problems.map((problem) => findingOf(group, 'login', problem));
    return [
      {
        group,
        requirement: 'reachable',
        verdict: 'unmet',
        found: messageOf(error),
        why: 'Without it no change reaches a shard; the gateways then do what onSyncLost says.',
      },
    ];
  }
}

async function checkQueues(
  connection: BrokerConnection,
  shards: readonly { readonly shard: string; readonly queue: string }[],
): Promise<Finding> {
  const missing: string[] = [];
  let messages = 0;
  for (const { shard, queue } of shards) {
    // A question about a queue that is not there closes the channel.
    const { channel, close } = await connection.openChannel();
    try {
      messages += (await channel.checkQueue(queue)).messageCount;
    } catch {
      missing.push(shard);
    } finally {
      await close();
    }
  }
  const found =
    missing.length === 0
      ? `${shards.length} queues, ${messages} messages`
      : `not there yet for ${missing.join(', ')}: the sync worker makes them`;
  return { group: 'broker', requirement: 'queues', verdict: missing.length === 0 ? 'met' : 'note', found };
}
