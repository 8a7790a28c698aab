/** Reads from the origin, as the configuration bounds them: the gateway's, and those of the worker's read-back. */
import { type Config, ORIGIN_TIMEOUT_MS_MAX } from '../config/schema.ts';
import type { OriginPool } from './origin-pool.ts';
import { plainRead } from './plain-read.ts';
import { provedRead } from './proved-read.ts';
import { RowReader, type RowReaderOptions } from './row-reader.ts';
import type { SqlServer } from './server-version.ts';

/** A lease outlives the origin read that it covers, by the time that the fill takes. */
const LEASE_MARGIN_MS = 1_000;
/**
 * A read waits for a connection as long as it may take itself, and is repeated once if the table has changed. One that
 * takes longer still, among many locked rows, loses its lease, and is not stored.
 */
const READ_DEADLINES = 3;

export function leaseTtlMs({ timeoutMs }: Pick<Config['origin'], 'timeoutMs'>): number {
  return timeoutMs * READ_DEADLINES + LEASE_MARGIN_MS;
}

/** Of whatever configuration: what runs out later is no lease of a gateway. About three minutes. */
export const LEASE_TTL_MS_MAX = leaseTtlMs({ timeoutMs: ORIGIN_TIMEOUT_MS_MAX });

type Reads = Pick<RowReaderOptions, 'readPlain' | 'readProved'>;
type Hooks = Pick<RowReaderOptions, 'reload' | 'onRead'>;

/** @param server as it is known by the time of a read. */
export function primaryReader(
  pool: OriginPool,
  origin: Config['origin'],
  server: () => SqlServer,
  hooks: Hooks,
): RowReader {
  return boundedReader({ readPlain: plainRead(pool), readProved: provedRead(pool, server) }, origin, hooks);
}

export function boundedReader(
  reads: Reads,
  { connections, batchRowsMax, waitingMax, timeoutMs }: Config['origin'],
  hooks: Hooks,
): RowReader {
  return new RowReader({ ...reads, connections, batchRowsMax, waitingMax, waitMsMax: timeoutMs, ...hooks });
}
