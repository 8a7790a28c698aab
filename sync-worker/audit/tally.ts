/** What an audit of one table has counted, by shard. */
import type { AuditedShard } from './audited-shard.ts';
import type { Finding } from './finding.ts';
import { FAULTS, type Fault, type NotCompared } from './judge.ts';

export interface ShardTally {
  readonly shard: string;
  readonly ring: string;
  readonly layer: number;
  /** Keys that MySQL and the shard were both asked for, and that could be judged. */
  compared: number;
  /** Keys that have changed each time they were looked at. */
  inFlight: number;
  /** Those that are still wrong; what was repaired is not in it. */
  readonly faults: Record<Fault, number>;
  /** Entries that do not count and that nobody is ever going to use. */
  leftOver: number;
  readonly notCompared: Partial<Record<NotCompared, number>>;
  /** What lies in it was not looked through. */
  notScanned: string | undefined;
  repaired: number;
}

export interface Example {
  readonly finding: Finding;
  repaired: boolean;
}

export interface TableTally {
  readonly table: string;
  readonly mode: 'mirror' | 'read-through';
  readonly shards: readonly ShardTally[];
  /** The first ones found. */
  readonly examples: readonly Example[];
  /** Why the audit of this table ended before its end. */
  readonly ended: string | undefined;
}

const EXAMPLES_MAX = 20;

export class Tally {
  readonly #shards = new Map<AuditedShard, ShardTally>();
  readonly #examples: Example[] = [];
  ended: string | undefined;

  constructor(shards: readonly AuditedShard[]) {
    for (const shard of shards) {
      const { name, ring, layer } = shard;
      const faults = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
      this.#shards.set(shard, {
        shard: name,
        ring,
        layer,
        compared: 0,
        inFlight: 0,
        faults,
        leftOver: 0,
        notCompared: {},
        notScanned: undefined,
        repaired: 0,
      });
    }
  }

  of(shard: AuditedShard): ShardTally {
    return this.#shards.get(shard) as ShardTally;
  }

  get shards(): ShardTally[] {
    return [...this.#shards.values()];
  }

  get examples(): readonly Example[] {
    return this.#examples;
  }

  found(finding: Finding): void {
    this.of(finding.shard).faults[finding.fault] += 1;
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push({ finding, repaired: false });
  }

  notCompared(shard: AuditedShard, because: NotCompared, count = 1): void {
    const { notCompared } = this.of(shard);
    notCompared[because] = (notCompared[because] ?? 0) + count;
  }

  repaired(finding: Finding): void {
    const tally = this.of(finding.shard);
    tally.faults[finding.fault] -= 1;
    tally.repaired += 1;
    const example = this.#examples.find((one) => one.finding === finding);
    if (example !== undefined) example.repaired = true;
  }
}

export function faultsIn(shards: readonly ShardTally[]): number {
  return shards.reduce((sum, { faults }) => sum + FAULTS.reduce((of, fault) => of + faults[fault], 0), 0);
}

/** Something could not be compared. */
export function isPartial({ shards, ended }: Pick<TableTally, 'shards' | 'ended'>): boolean {
  const lacks = ({ notCompared, notScanned }: ShardTally) =>
    notScanned !== undefined || Object.keys(notCompared).length > 0;
  return ended !== undefined || shards.some(lacks);
}
