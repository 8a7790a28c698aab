/** What the journey needs of the world. */
import type { RowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { LeaseBase, OriginRow } from '../../shared/origin/row-select.ts';
import type { Candidate, Layers } from '../../shared/ring/layers.ts';
import type { FillOutcome } from '../../shared/shard/shard.ts';
import type { Answer } from './answer.ts';
import type { AnsweredAhead } from './answered-ahead.ts';
import type { Flights } from './flights.ts';
import type { RowRequest } from './row-request.ts';
import type { ShardPort } from './shard-port.ts';
import type { TrustRules } from './trust.ts';

export interface OriginPort {
  /**
   * The read begins after this call. Throws OriginUnavailable.
   * @param base what the read must be known to include; nothing where only the primary will do.
   */
  read(table: ExposedTable, id: RowId, base?: LeaseBase): Promise<OriginRow>;
}

/**
 * What became of it, beside what FILL says. `there`: the target has the row. `busy`: another fills it. `gone`: the source
 * has it no more. `silent`: the target does not vouch for itself. `failed`: a shard went away, or would not take it.
 */
export type CopyOutcome = FillOutcome | 'there' | 'busy' | 'gone' | 'silent' | 'failed';

export interface CopiesPort {
  /** Returns at once; nobody waits for it. @returns whether it is tried. */
  start(ports: Ports, request: RowRequest, from: Candidate<ShardPort>, to: Candidate<ShardPort>): boolean;
  /** The same for a row that is hit; for some minutes it is not asked again whether it is there. */
  warm(ports: Ports, request: RowRequest, from: Candidate<ShardPort>, to: Candidate<ShardPort>): void;
}

export interface Ports {
  readonly layers: Layers<ShardPort>;
  readonly origin: OriginPort;
  readonly flights: Flights;
  readonly answeredAhead: AnsweredAhead;
  readonly copies: CopiesPort;
  /** Nothing where sync is off. */
  readonly trustRules: TrustRules | undefined;
  /** Longer than the longest origin read, in ms. */
  readonly leaseTtlMs: number;
  /** How long a read waits for its client's own write to reach the shard, in ms. */
  readonly writeWaitMs: number;
  readonly now: () => number;
  readonly random: () => number;
  /** Has the table changed? Reads its schema again, unless that was done just now. @returns whether it is another. */
  readonly lookAgain: (table: ExposedTable) => Promise<boolean>;
  /** Whether it is worth asking; a refresh that would fail is not tried. */
  readonly isOriginUp: () => boolean;
  /** For how long after a shard has lost what it held misses look in the next layer first, in ms. */
  readonly refillMs: number;
  /** What lies under a row's key there is none of ours. */
  readonly onUnreadable: (kind: 'entry' | 'mirror-entry', shard: string, key: string) => void;
  /** What was found in one shard was to be filled into another, and that is over. */
  readonly onCopy: (table: ExposedTable, outcome: CopyOutcome) => void;
  /** A refresh behind a hit has ended. */
  readonly onRefresh: (table: ExposedTable, outcome: Answer['story']['outcome'] | 'failed') => void;
}
