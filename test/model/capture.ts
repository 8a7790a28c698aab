/**
 * A capture: reads the binlog in order and publishes, for each shard, what it has to learn. It may be replaced while it
 * still runs (its plan is lower then), begin again at the checkpoint, or find that the origin lost its binlog's tail.
 */
import { encodeBatch } from '../../shared/change/change-batch.ts';
import type { ChangeOp, VersionedChange } from '../../shared/change/change.ts';
import { epochStart, laterOf, ORDINAL_LAST, versionOf } from '../../shared/version/version.ts';
import { placesOf, type Ring, type RowKey } from './keys.ts';
import type { Mistakes } from './mistakes.ts';
import { mirroredBody, mirroredKind } from './mirrored-row.ts';
import { commonTransactions, type Content, type Incarnation, type Origin } from './origin.ts';
import type { ShardQueue } from './queue.ts';
import type { Random } from './random.ts';
import { SHAPE } from './shard.ts';

export interface Plan {
  readonly number: number;
  readonly rings: readonly Ring[];
  readonly tables: readonly string[];
}

/** Where to read on: after whole transactions. */
export interface Checkpoint {
  readonly to: string;
  readonly epoch: number;
  readonly incarnation: Incarnation;
  /** How many of its transactions were read. */
  readonly index: number;
}

export interface CapturePorts {
  readonly origin: Origin;
  readonly queues: ReadonlyMap<string, ShardQueue>;
  readonly random: Random;
  readonly mistakes: Mistakes;
  readonly save: (checkpoint: Checkpoint) => void;
  /** Then it begins anew where the binlog ends: changes that are told again bring back what rows were. */
  readonly hasMirror: boolean;
}

/** What a shard has not been told yet. */
interface Pending {
  changes: VersionedChange[];
  floors: Record<string, string>;
  hole: readonly [above: string, below: string] | undefined;
  /** The plan goes with its first message. */
  planTold: boolean;
}

interface Unconfirmed {
  readonly shard: string;
  /** Nothing for a part of a transaction: only whole ones can be a checkpoint. */
  readonly checkpoint: Checkpoint | undefined;
}

const HOW = ['write', 'write', 'write', 'remove', 'refresh'] as const;

export class Capture {
  plan: Plan;
  readonly #ports: CapturePorts;
  #epoch: number;
  #incarnation: Incarnation;
  /** The transactions read whole, and how many changes of the next one. */
  #index: number;
  #changes = 0;
  /** All up to here is read. */
  #to: string;
  readonly #sent = new Map<string, string>();
  #pending = new Map<string, Pending>();
  #unconfirmed: Unconfirmed[] = [];
  readonly #confirmed = new Map<string, Checkpoint>();
  #asked: { readonly at: number; readonly index: number } | undefined;
  #asOf = 0;

  constructor(ports: CapturePorts, plan: Plan, start: Checkpoint) {
    this.#ports = ports;
    this.plan = plan;
    this.#epoch = start.epoch;
    this.#incarnation = start.incarnation;
    this.#index = start.index;
    this.#to = start.to;
    for (const shard of this.shards) {
      this.#sent.set(shard, start.to);
      this.#confirmed.set(shard, start);
    }
  }

  get to(): string {
    return this.#to;
  }

  get asOf(): number {
    return this.#asOf;
  }

  get shards(): string[] {
    return [...new Set(this.plan.rings.flatMap(({ members }) => members))];
  }

  get isAtEnd(): boolean {
    const { log, end } = this.#incarnation;
    return !this.#mustBeginEpoch && this.#index === log.length && this.#to >= versionOf(this.#epoch, end);
  }

  /**
   * Positions mean something else than before; or a capture that was replaced put its checkpoint over its successor's:
   * versions of its epoch would be older than what the shards have.
   */
  get #mustBeginEpoch(): boolean {
    const { origin, mistakes } = this.#ports;
    if (this.#incarnation !== origin.current) return true;
    return !this.isReplaced && this.#epoch < origin.latestEpoch && !mistakes.has('an older epoch’s checkpoint');
  }

  /** Replaced by another. It goes on where it is; whoever begins an epoch must hold the lock. */
  isReplaced = false;

  /** One transaction, or a part of it: one that is larger than a message is cut at a change. */
  read(): void {
    if (this.#mustBeginEpoch) {
      const may = !this.isReplaced || this.#ports.mistakes.has('a replaced capture begins an epoch');
      if (may) this.#goOnElsewhere();
      return;
    }
    const logged = this.#incarnation.log[this.#index];
    if (logged === undefined) {
      // Past what is no transaction, such as a rotation.
      this.#to = laterOf(this.#to, versionOf(this.#epoch, this.#incarnation.end));
      return;
    }
    const { changes, statementOn } = logged.transaction;
    if (statementOn !== undefined) this.#raiseFloor(statementOn, versionOf(this.#epoch, logged.at));
    const left = statementOn === undefined ? changes.length - this.#changes : 0;
    const whole = left < 2 || this.#ports.random.chance(0.6);
    this.#readChanges(whole ? left : 1 + this.#ports.random.below(left - 1));
  }

  #readChanges(count: number): void {
    const { transaction, at } = this.#incarnation.log[this.#index] as Incarnation['log'][number];
    for (const { key, content } of transaction.changes.slice(this.#changes, this.#changes + count)) {
      this.#changes += 1;
      if (!this.plan.tables.includes(key.table)) continue;
      const change = {
        ...this.#change(key, content),
        table: key.table,
        key: key.name,
        shape: SHAPE,
        version: versionOf(this.#epoch, at, this.#changes),
      };
      const owners = new Set(placesOf(this.plan.rings, key).map(({ shard }) => shard));
      for (const shard of owners) this.#pendingOf(shard).changes.push(change);
    }
    const isWhole = transaction.statementOn !== undefined || this.#changes === transaction.changes.length;
    this.#to = versionOf(this.#epoch, at, isWhole ? ORDINAL_LAST : this.#changes);
    if (!isWhole) return;
    this.#index += 1;
    this.#changes = 0;
    if (this.#asked !== undefined && this.#index >= this.#asked.index) {
      this.#asOf = this.#asked.at;
      this.#asked = undefined;
    }
  }

  #change({ isMirrored }: RowKey, content: Content): { op: ChangeOp; body: Buffer } {
    if (content === undefined) return { op: isMirrored ? 'delete' : 'absent', body: Buffer.alloc(0) };
    if (!isMirrored) return { op: this.#ports.random.pick(HOW), body: Buffer.from(JSON.stringify({ content })) };
    return { op: mirroredKind(content) === 'row' ? 'put' : 'too-large', body: mirroredBody(content) };
  }

  #raiseFloor(table: string, floor: string): void {
    for (const shard of this.shards) this.#pendingOf(shard).floors[table] = floor;
  }

  /** Where does the binlog end? Once all up to there is read, this was the time that it was read as of. */
  ask(now: number): void {
    if (this.#mustBeginEpoch) return;
    this.#asked = { at: now, index: this.#incarnation.log.length };
    if (this.#changes === 0 && this.#index >= this.#asked.index) {
      this.#asOf = now;
      this.#asked = undefined;
    }
  }

  /** @param fate a message may be lost on its way, and is then not confirmed. */
  publish(shard: string, kind: 'changes' | 'heartbeat', now: number, fate: 'arrives' | 'lost' = 'arrives'): void {
    const { random, mistakes, queues } = this.#ports;
    const pending = this.#pendingOf(shard);
    const from = this.#sent.get(shard) as string;
    if (kind === 'changes' && from === this.#to) return;
    // The plan is told in heartbeats and in its first message.
    const plan =
      kind === 'heartbeat' || !pending.planTold
        ? { rings: this.plan.rings.map(({ hash }) => hash), tables: this.plan.tables }
        : {};
    const past = mistakes.has('to past what was not published') && pending.changes.length > 1;
    const withheld = past ? pending.changes.splice(-1) : [];
    const message = encodeBatch({
      plan: this.plan.number,
      from,
      to: this.#to,
      asOf: mistakes.has('asOf is now') ? now : this.#asOf,
      origin: this.#incarnation.identity,
      gtid: this.#gtid(),
      ...plan,
      ...(Object.keys(pending.floors).length > 0 && { floors: pending.floors }),
      ...(pending.hole !== undefined && { hole: pending.hole }),
      changes: pending.changes,
    });
    this.#pending.set(shard, { changes: withheld, floors: {}, hole: undefined, planTold: true });
    this.#sent.set(shard, this.#to);
    if (fate === 'lost') return;
    queues.get(shard)?.publish(message);
    // A confirm may be long on its way, and comes in order.
    const isWhole = this.#changes === 0;
    const checkpoint = { to: this.#to, epoch: this.#epoch, incarnation: this.#incarnation, index: this.#index };
    this.#unconfirmed.push({ shard, checkpoint: isWhole ? checkpoint : undefined });
    if (random.chance(0.3)) this.confirm();
  }

  confirm(): void {
    const confirmed = this.#unconfirmed.shift();
    if (confirmed?.checkpoint === undefined) return;
    this.#confirmed.set(confirmed.shard, confirmed.checkpoint);
    const all = this.shards.map((shard) => this.#confirmed.get(shard)).filter((of) => of !== undefined);
    if (all.length < this.shards.length) return;
    this.#ports.save(all.reduce((least, of) => (of.to < least.to ? of : least)));
  }

  /** Routing or tables change while it runs. What was read before was routed by the old plan, and goes with it. */
  replan(plan: Plan, now: number): void {
    this.#finishTransaction();
    for (const shard of this.shards) this.publish(shard, 'changes', now);
    this.plan = plan;
    const here = { to: this.#to, epoch: this.#epoch, incarnation: this.#incarnation, index: this.#index };
    for (const shard of this.shards) {
      if (!this.#pending.has(shard)) {
        this.#sent.set(shard, this.#to);
        this.#confirmed.set(shard, here);
      }
      this.#pendingOf(shard).planTold = false;
    }
    for (const shard of this.#pending.keys()) if (!this.shards.includes(shard)) this.#pending.delete(shard);
  }

  /** The origin crashed. Either what was read is proved to be a beginning of what it has now, or nothing is known. */
  #goOnElsewhere(): void {
    const { origin, random } = this.#ports;
    const common = commonTransactions(this.#incarnation, origin.current);
    const read = this.#index + (this.#changes > 0 ? 1 : 0);
    this.#asked = undefined;
    if (read <= common && random.chance(0.7)) this.#bridge();
    else
      this.#beginAnew(
        random.chance(0.5) || this.#ports.hasMirror ? origin.current.log.length : Math.max(0, common - random.below(3)),
      );
  }

  #bridge(): void {
    this.#finishTransaction();
    for (const shard of this.shards) this.publish(shard, 'changes', 0);
    const lastGood = this.#to;
    this.#moveTo(this.#index);
    for (const shard of this.shards) this.#pendingOf(shard).hole = [lastGood, epochStart(this.#epoch)];
  }

  /** Nothing leads here from where the shards are: each will find a gap. */
  #beginAnew(index: number): void {
    this.#changes = 0;
    this.#asOf = 0;
    this.#moveTo(index);
    for (const shard of this.shards) {
      this.#sent.set(shard, this.#to);
      this.#pending.set(shard, { changes: [], floors: {}, hole: undefined, planTold: false });
    }
  }

  #moveTo(index: number): void {
    const { origin } = this.#ports;
    this.#epoch = origin.newEpoch();
    this.#incarnation = origin.current;
    this.#index = index;
    const at = this.#incarnation.log[index - 1]?.at ?? { file: 'b.1', position: 4 };
    this.#to = versionOf(this.#epoch, at);
  }

  #finishTransaction(): void {
    if (this.#changes === 0) return;
    const { changes } = (this.#incarnation.log[this.#index] as Incarnation['log'][number]).transaction;
    this.#readChanges(changes.length - this.#changes);
  }

  #pendingOf(shard: string): Pending {
    const known = this.#pending.get(shard);
    if (known !== undefined) return known;
    const pending: Pending = { changes: [], floors: {}, hole: undefined, planTold: false };
    this.#pending.set(shard, pending);
    return pending;
  }

  /** Of all that `to` covers: a transaction of which a part was read counts. */
  #gtid(): string {
    const partly = this.#changes > 0 && !this.#ports.mistakes.has('gtid of the transactions before the part');
    const last = this.#incarnation.log[this.#index - (partly ? 0 : 1)];
    return last === undefined ? '' : String(last.transaction.sequence);
  }
}
