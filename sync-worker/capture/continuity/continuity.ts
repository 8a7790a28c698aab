/**
 * May we read on where we stopped? The one place where that is decided. It costs dearly to be wrong either way: a
 * change that is passed over leaves an old row in the cache for good, and a "no" drops all that the shards hold.
 *
 *     the position can be used?   same server, the file is there, is the same file, and is long enough
 *       yes, and no shard has heard of a later epoch                                   -> resume
 *       yes, but one has: somebody followed meanwhile whose checkpoint is not this one  -> bridge
 *       no, but GTIDs prove that all we read is in this server's history, and all else still to be read
 *                                                                                      -> resume-by-gtid
 *       no                                                                             -> begin
 *
 * In the stream, a file that ended without a word is a crash: the server may have lost the end of what it had sent, and
 * of what gateways had read -> bridge.
 *
 * `from` is what the first message follows on. With the checkpoint's own `to`, shards take it as the next one; with a
 * place that none of them has reached, each finds a gap and drops what it holds by its floor.
 *
 * A new epoch comes with every decision but `resume`. After a purge the old one would do where the binlog went on
 * without a break; but the file that could tell is gone, and with everything dropped nothing is gained by keeping it.
 */
import { epochStart, type LogPosition, versionOf, fileNumber } from '../../../shared/version/version.ts';
import type { Checkpoint, FoundCheckpoint } from './checkpoint.ts';
import { type GtidHistory, hasExecuted, provesContinuity } from './continuity-gtid.ts';
import { type Highest, nextEpoch } from './plan.ts';

/** Why a checkpoint's position cannot be used. */
export type PositionTrouble =
  /** Another server answers at this address, or the same one has moved its binlog (MariaDB cannot tell these apart). */
  | 'another-server'
  /** The binlog has another base name. */
  | 'renamed'
  /** The file is not there any more. */
  | 'purged'
  /** The file is there, but it is another of the same name; or the server has not come as far. */
  | 'reset'
  /** The file is shorter, or no event begins there: its tail was lost. */
  | 'bad-position'
  /** An event after it is damaged, and will be so again. */
  | 'undecodable';

/** What trying has shown: a server that refuses to send, or a file that turns out to be another one. */
export interface Refuted {
  readonly position?: PositionTrouble | undefined;
  /** The server would not read on by GTID. */
  readonly gtid?: boolean;
}

/** What the server says of itself, all from one connection. */
export interface OriginState {
  readonly identity: string;
  /** Its binlogs, oldest first, with their length in bytes. */
  readonly logs: readonly { readonly file: string; readonly bytes: number }[];
  /** Where its binlog ends. */
  readonly end: LogPosition;
  readonly gtids: GtidHistory | undefined;
}

export type ReadFrom =
  | { readonly kind: 'position'; readonly position: LogPosition }
  | { readonly kind: 'gtid'; readonly gtid: string };

export type Hole = readonly [above: string, below: string];

interface Decided {
  readonly epoch: number;
  /** The first message's. */
  readonly from: string;
  readonly readFrom: ReadFrom;
}

export type Continuity =
  | (Decided & { readonly kind: 'resume'; readonly reason: 'same-binlog'; readonly checkpoint: Checkpoint })
  | (Decided & {
      readonly kind: 'bridge';
      readonly reason: 'shards-ahead';
      readonly checkpoint: Checkpoint;
      readonly hole: Hole;
    })
  | (Decided & {
      readonly kind: 'resume-by-gtid';
      readonly reason: PositionTrouble;
      readonly checkpoint: Checkpoint;
      readonly hole: Hole;
    })
  | (Decided & {
      readonly kind: 'begin';
      readonly reason: PositionTrouble | 'no-checkpoint' | 'checkpoint-unreadable';
      readonly at: LogPosition;
    });

export interface ContinuityQuestion {
  readonly found: FoundCheckpoint;
  readonly origin: OriginState;
  /** Of the shards' stamps. */
  readonly highest: Highest;
  readonly nowMs: number;
  readonly refuted?: Refuted | undefined;
}

export function decideContinuity({ found, origin, highest, nowMs, refuted }: ContinuityQuestion): Continuity {
  if (found.kind !== 'found') {
    const reason = found.kind === 'none' ? 'no-checkpoint' : 'checkpoint-unreadable';
    return beginAt(origin.end, nextEpoch(nowMs, highest.epoch), reason);
  }
  const { checkpoint } = found;
  const { to, gtid, restart } = checkpoint;
  const newEpoch = nextEpoch(nowMs, checkpoint.epoch, highest.epoch);
  // What gateways have read may lie beyond what we have, and may be lost with what was lost.
  const hole: Hole = [to, epochStart(newEpoch)];
  const readFrom: ReadFrom = { kind: 'position', position: restart };
  const trouble = positionTrouble(checkpoint, origin) ?? refuted?.position;
  if (trouble === undefined) {
    return highest.epoch <= checkpoint.epoch
      ? { kind: 'resume', reason: 'same-binlog', checkpoint, epoch: checkpoint.epoch, from: to, readFrom }
      : { kind: 'bridge', reason: 'shards-ahead', checkpoint, epoch: newEpoch, from: to, readFrom, hole };
  }
  if (CAN_BE_PROVED.has(trouble) && gtid !== null && refuted?.gtid !== true && provesContinuity(gtid, origin.gtids)) {
    const byGtid: ReadFrom = { kind: 'gtid', gtid };
    return { kind: 'resume-by-gtid', reason: trouble, checkpoint, epoch: newEpoch, from: to, readFrom: byGtid, hole };
  }
  return beginAt(origin.end, newEpoch, trouble);
}

/**
 * By GTIDs. Not where the very server was reset, or has lost its tail: it counts from 1 again, or from where it fell back to,
 * and gives other transactions the GTIDs that we know. After a purge nobody can tell any more whether it was.
 */
const CAN_BE_PROVED: ReadonlySet<PositionTrouble> = new Set(['another-server', 'renamed']);

function beginAt(at: LogPosition, epoch: number, reason: (Continuity & { kind: 'begin' })['reason']): Continuity {
  const readFrom: ReadFrom = { kind: 'position', position: at };
  return { kind: 'begin', reason, at, epoch, from: versionOf(epoch, at), readFrom };
}

/** What can be told without reading the binlog. */
function positionTrouble(checkpoint: Checkpoint, origin: OriginState): PositionTrouble | undefined {
  if (checkpoint.origin !== origin.identity) return 'another-server';
  const { position, restart, gtid } = checkpoint;
  if (baseName(restart.file) !== baseName(origin.end.file)) return 'renamed';
  // Both: with a prepared XA transaction, where to read on lies before what was read.
  for (const place of [restart, position]) {
    const trouble = placeTrouble(place, origin);
    if (trouble !== undefined) return trouble;
  }
  // MySQL names a transaction as executed only after its commit, some time after it was sent: there it tells nothing.
  if (gtid !== null && origin.gtids?.flavour === 'mariadb' && !hasExecuted(origin.gtids, gtid)) return 'reset';
  return undefined;
}

function placeTrouble({ file, position }: LogPosition, { logs, end }: OriginState): PositionTrouble | undefined {
  if (fileNumber(file) > fileNumber(end.file)) return 'reset';
  const bytes = logs.find((log) => log.file === file)?.bytes;
  if (bytes === undefined) return 'purged';
  // The list is read before the end, and the last file grows meanwhile.
  const length = file === end.file ? Math.max(bytes, end.position) : bytes;
  return position > length ? 'bad-position' : undefined;
}

/** `mysql-bin.000042` -> `mysql-bin`. */
function baseName(file: string): string {
  return file.slice(0, file.lastIndexOf('.'));
}

export interface Rotation {
  /** Up to where the old file was read, in the old epoch. */
  readonly passed: LogPosition;
  readonly epoch: number;
  readonly highest: Highest;
  readonly nowMs: number;
}

/**
 * In the stream, after a crash of the server: it goes on under a new epoch. What it has kept was read; versions above
 * that, of the old epoch, are of changes and reads that may be lost.
 */
export function bridgeCrash({ passed, epoch, highest, nowMs }: Rotation): {
  readonly epoch: number;
  readonly hole: Hole;
} {
  const newEpoch = nextEpoch(nowMs, epoch, highest.epoch);
  return { epoch: newEpoch, hole: [versionOf(epoch, passed), epochStart(newEpoch)] };
}
