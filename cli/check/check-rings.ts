/** The rings as wholes: how evenly they share the keys, whether there is a fallback, and shards that are one server. */
import type { Config } from '../../shared/config/schema.ts';
import { layersOf } from '../../shared/shard/shard-layers.ts';
import type { Finding } from './finding.ts';

const GROUP = 'rings';

/** What `placement: balanced` promises of its busiest shard. */
const BUSIEST_SHARE_MAX = 1.05;

/** Which process each shard turned out to be. */
export interface ShardIdentity {
  readonly name: string;
  readonly runId: string | undefined;
  readonly db: number;
}

export function checkRings(config: Config, identities: readonly ShardIdentity[]): Finding[] {
  const layers = layersOf(config, (_, shard) => shard);
  const findings = layers.layers.map(({ name, placement, shares }): Finding => {
    const busiest = Math.max(...shares.values()) * shares.size;
    const shown = [...shares].map(([shard, share]) => `${shard} ${(share * 100).toFixed(1)} %`).join(', ');
    const uneven = placement === 'ketama' && busiest > BUSIEST_SHARE_MAX;
    return {
      group: GROUP,
      requirement: name,
      verdict: uneven ? 'note' : 'met',
      found: `${shown}; the busiest has ${busiest.toFixed(2)} of its share`,
      ...(uneven ? { why: 'ketama places fewer points; balanced is more even, and moves nearly every key once.' } : {}),
    };
  });
  if (config.rings.length === 1) {
    findings.push({
      group: GROUP,
      requirement: 'fallback',
      verdict: 'note',
      found: 'there is only one ring',
      why: 'While a shard is away, all that it owns is read from MySQL. A second ring takes it over.',
    });
  }
  findings.push(...sharedServers(identities, config.sync !== undefined));
  return findings;
}

function sharedServers(identities: readonly ShardIdentity[], isSynced: boolean): Finding[] {
  const byProcess = Map.groupBy(
    identities.filter(({ runId }) => runId !== undefined),
    ({ runId }) => runId,
  );
  return [...byProcess.values()].flatMap((shards): Finding[] => {
    if (shards.length < 2) return [];
    const databases = Map.groupBy(shards, ({ db }) => db);
    const sharing = [...databases.values()].filter((others) => others.length > 1);
    if (isSynced && sharing.length > 0) {
      return sharing.map((others) => ({
        group: GROUP,
        requirement: 'one database a shard',
        verdict: 'unmet',
        found: `${namesOf(others)} are the same Redis and the same database`,
        why: 'With sync a shard has one stamp. Each would take the other’s for its own, and hold for fresh what no change has reached.',
        mend: ['# give each shard a Redis of its own'],
      }));
    }
    return [
      {
        group: GROUP,
        requirement: 'one server a shard',
        verdict: 'warning',
        found: `${namesOf(shards)} are the same Redis${databases.size === 1 ? '' : ', in several databases'}`,
        why: 'They fail together, so neither can stand in for the other, and they share one memory.',
        mend: ['# give each shard a Redis of its own'],
      },
    ];
  });
}

function namesOf(shards: readonly ShardIdentity[]): string {
  return shards.map(({ name }) => name).join(' and ');
}
