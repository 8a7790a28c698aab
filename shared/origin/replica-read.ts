/**
 * Reads rows from a replica, where it can be proved that the read includes what the shard has applied: the replica says,
 * in a statement of its own before the SELECT, that it has executed every transaction up to the shard's stamp.
 *
 * A replica is behind; so it is given a moment, and then the row is read from the primary. It may also be ahead of the
 * stamp: what it says is inexact, and the next change removes such an entry rather than overwriting it. GTIDs are asked
 * as a set: one GTID proves no prefix where a replica commits out of order.
 */
import { OriginUnavailable } from '../errors/errors.ts';
import { cellNumber } from './cells.ts';
import type { OriginPool, TextResult } from './origin-pool.ts';
import { type LeaseBase, type OriginRow, type ReadRows, rowsOf, selectRows } from './row-select.ts';
import type { SqlServer } from './server-version.ts';
import { quoteText } from './table-name.ts';

/** What a GTID set is made of, in either flavour. It comes from a shard, which is not trusted. */
const GTID_SET = /^[0-9a-zA-Z_:,\-\s]+$/;

export type ReplicaPool = Pick<OriginPool, 'state' | 'packet'>;

/**
 * Rows that could not be proved are left out of the answer: they are read from the primary. Absence is said with proof.
 * @param waitMs how long a replica that is behind is waited for.
 */
export function replicaRead(replicas: readonly ReplicaPool[], server: () => SqlServer, waitMs: number): ReadRows {
  let turn = 0;
  return async (schema, wanted) => {
    const none = new Map<string, OriginRow>();
    const base = newestOf(wanted.map((one) => one.base));
    const usable = replicas.filter(({ state }) => state === 'closed');
    const replica = usable[(turn += 1) % Math.max(1, usable.length)];
    if (base === undefined || replica === undefined || !GTID_SET.test(base.gtid)) return none;
    const ids = wanted.map(({ id }) => id);
    let results: TextResult[];
    try {
      results = await replica.packet([waitQuery(server(), base.gtid, waitMs), selectRows(schema, ids)]);
    } catch (error) {
      if (error instanceof OriginUnavailable) return none;
      throw error;
    }
    const [waited, rows] = results as [TextResult, TextResult];
    if (cellNumber(waited.rows[0]?.[0]) !== 0) return none;
    const proof = { exactness: 'inexact', reaches: { stampTo: base.to }, origin: base.origin } as const;
    const found = new Map<string, OriginRow>(rowsOf(schema, rows, proof).map((row) => [row.id.segment, row]));
    const hasSpellings = schema.key.some(({ type }) => type.kind === 'text' && !type.bytewise);
    for (const { segment } of ids) {
      // Under another spelling it may be there; the primary can tell.
      if (!found.has(segment) && !hasSpellings) found.set(segment, { kind: 'absent', proof });
    }
    return found;
  };
}

function newestOf(bases: readonly (LeaseBase | undefined)[]): LeaseBase | undefined {
  let newest: LeaseBase | undefined;
  for (const base of bases) if (base !== undefined && base.to > (newest?.to ?? '')) newest = base;
  return newest;
}

/** 0 once all of it is executed and can be seen; another number when the time is up. */
function waitQuery({ flavour }: SqlServer, gtid: string, waitMs: number): string {
  const seconds = waitMs / 1000;
  return flavour === 'mysql'
    ? `SELECT WAIT_FOR_EXECUTED_GTID_SET(${quoteText(gtid)}, ${seconds})`
    : `SELECT MASTER_GTID_WAIT(${quoteText(gtid)}, ${seconds})`;
}
