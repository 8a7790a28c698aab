/**
 * Transactions -> one batch a shard: every change goes to each shard that could hold its key, and each shard's batches
 * follow on one another without a hole: `from` is the `to` of the one before.
 *
 * A batch is cut where it is full, also amid a transaction: its `to` is then the last change's own version, which is no
 * place to read on from. All else that a flush says holds up to the position that it names.
 *
 *     shard r1   from ----- changes ----- to = from ------ changes ------ to          full, then flushed
 *     shard r2   from ------------------------- change ------------------ to          flushed
 *     shard r3   from ------------------------------------------------------ … to     nothing for it until the next beat
 */
import type { BatchHead, ChangeBatch } from '../../shared/change/change-batch.ts';
import type { VersionedChange } from '../../shared/change/change.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import type { Route } from '../../shared/ring/route.ts';
import { routeOfFollowed } from '../../shared/stamp/followed.ts';
import { nowMicros } from '../../shared/lifecycle/now-micros.ts';
import { laterOf, versionOf } from '../../shared/version/version.ts';
import type { Hole } from './continuity/continuity.ts';
import type { PlacedChange, Transaction } from './assembler/transaction.ts';
import type { EventLane } from './event-lane.ts';
import type { EventFrame } from '../../shared/event/event.ts';

/** What every message of a moment says beside its span. */
export interface Saying {
  readonly asOf: number;
  readonly origin: string;
  readonly gtid: string;
}

/** What the shards have to agree on; a batch's `rings` and `tables`. */
export interface Plan {
  readonly plan: number;
  readonly rings: readonly string[];
  readonly tables: readonly string[];
}

export interface BatcherOptions<Shard> {
  readonly layers: Layers<Shard>;
  readonly plan: Plan;
  /** The first batch of each shard follows on this. */
  readonly from: string;
  readonly changesMax?: number;
  /** Of keys, bodies and what frames them; one change that is larger goes alone. */
  readonly bytesMax?: number;
  readonly emit: (shard: Shard, batch: ChangeBatch) => void;
  /** Where others are told of the changes too. It is flushed by whoever flushes this. */
  readonly events?: EventLane | undefined;
}

/** So many take a shard some milliseconds, in which it answers nobody else. */
const CHANGES_MAX = 250;
/** Far below every broker's limit. */
const BYTES_MAX = 500_000;
/** Of change-batch.ts: lengths, op, version, shape, table. */
const FRAME_BYTES = 64;

interface Lane<Shard> {
  readonly shard: Shard;
  from: string;
  changes: VersionedChange[];
  bytes: number;
  /** Of the first of them. */
  oldest: BatchHead['oldest'];
  /** The version of the last of them. */
  last: string;
  floors: Record<string, string> | undefined;
  hole: Hole | undefined;
  /** It has not been told the plan yet. */
  owesPlan: boolean;
}

/** Whom a flush is for: shards that have something to learn, or all. */
export type FlushTo = 'changed' | 'all';

export class Batcher<Shard> {
  readonly #changesMax: number;
  readonly #bytesMax: number;
  readonly #emit: BatcherOptions<Shard>['emit'];
  readonly #events: EventLane | undefined;
  readonly #lanes: readonly Lane<Shard>[];
  readonly #lanesOf: (change: PlacedChange) => Lane<Shard>[];
  /** By followed name. */
  readonly #routes = new Map<string, Route>();
  #plan: Plan;
  #hasChanges = false;
  #owesFloors = false;

  constructor({ layers, plan, from, changesMax, bytesMax, emit, events }: BatcherOptions<Shard>) {
    this.#plan = plan;
    this.#changesMax = changesMax ?? CHANGES_MAX;
    this.#bytesMax = bytesMax ?? BYTES_MAX;
    this.#emit = emit;
    this.#events = events;
    // A shard of two rings would be two of its name, with two queues.
    const lanes = layers.layers.map(
      ({ shards }) => new Map([...shards.values()].map((shard) => [shard, newLane(shard, from)] as const)),
    );
    this.#lanes = lanes.flatMap((layer) => [...layer.values()]);
    this.#lanesOf = ({ key, table }) =>
      layers.routed(key, this.#routeOf(table)).map(({ layer, shard }) => lanes[layer]?.get(shard) as Lane<Shard>);
  }

  /** There is something that the next flush has to bring. */
  get isPending(): boolean {
    return this.#hasChanges || this.#owesFloors;
  }

  /**
   * All of a transaction. Its floors go to every shard, and first: a batch that is cut amid it must not pass them over.
   * @param atCut what a batch says that is full on the way; its `gtid` includes this transaction.
   * @param room waited for after each batch that went on the way: a transaction may be larger than all memory.
   */
  async add(transaction: Transaction, epoch: number, atCut: () => Saying, room: () => Promise<void>): Promise<void> {
    if (transaction.floors.length > 0) this.#raiseFloors(transaction.floors, versionOf(epoch, transaction.end));
    if (transaction.count === 0) return;
    // All but the ordinal is the same for the whole transaction, and there may be millions of them.
    const place = versionOf(epoch, transaction.end, 0).slice(0, -ORDINAL_WIDTH);
    const moment = momentOf(transaction);
    const frame = this.#events?.frame(transaction);
    const push = (change: PlacedChange) => this.#push(change, place, moment, atCut, frame);
    const changes = transaction.changes();
    if (Symbol.asyncIterator in changes) {
      for await (const change of changes) {
        if (push(change)) await room();
      }
    } else {
      for (const change of changes) {
        if (push(change)) await room();
      }
    }
  }

  /** The next batch of each shard tells of it. */
  announce(plan: Plan): void {
    this.#plan = plan;
    for (const lane of this.#lanes) lane.owesPlan = true;
  }

  /** As Stamp.holes has it. Flush to all before there is another. */
  tellHole(hole: Hole): void {
    for (const lane of this.#lanes) lane.hole = hole;
    this.#events?.oweAll('gap');
  }

  /**
   * Everything that was added, as far as `to`, which covers it all.
   * To `all`: their next batches follow on `to`, so it is a place to read on from once all of them are confirmed.
   */
  flush(to: string, saying: Saying, whom: FlushTo): void {
    const toAll = whom === 'all' || this.#owesFloors;
    for (const lane of this.#lanes) {
      if (toAll || lane.changes.length > 0) this.#send(lane, to, saying, whom === 'all');
    }
    this.#hasChanges = false;
    this.#owesFloors = false;
  }

  /** @returns whether a batch went on the way. */
  #push(
    change: PlacedChange,
    place: string,
    moment: BatchHead['oldest'],
    atCut: () => Saying,
    frame: EventFrame | undefined,
  ): boolean {
    const { op, table, key, shape, body, ordinal } = change;
    const version = place + ordinalText(ordinal);
    if (op === 'event' || op === 'reload') {
      return frame !== undefined && this.#events?.tell(change, frame, version) === true;
    }
    const versioned: VersionedChange = { op, table, key, shape, body, version };
    // A character is at most three bytes in UTF-8; nearly all keys are ASCII.
    const bytes = FRAME_BYTES + key.length + body.length;
    let sent = false;
    for (const lane of this.#lanesOf(change)) {
      const isFull = lane.changes.length >= this.#changesMax || lane.bytes + bytes > this.#bytesMax;
      if (isFull && lane.changes.length > 0) {
        this.#send(lane, lane.last, atCut(), false);
        sent = true;
      }
      lane.oldest ??= moment;
      lane.changes.push(versioned);
      lane.bytes += bytes;
      lane.last = version;
    }
    this.#hasChanges = true;
    return sent;
  }

  #routeOf(table: string): Route {
    let route = this.#routes.get(table);
    if (route === undefined) {
      route = routeOfFollowed(table);
      this.#routes.set(table, route);
    }
    return route;
  }

  #raiseFloors(tables: readonly string[], floor: string): void {
    this.#events?.owe(tables, 'untold-changes');
    for (const lane of this.#lanes) {
      lane.floors ??= {};
      for (const table of tables) lane.floors[table] = laterOf(floor, lane.floors[table] ?? '');
    }
    this.#owesFloors = true;
  }

  #send(lane: Lane<Shard>, to: string, { asOf, origin, gtid }: Saying, withPlan: boolean): void {
    const { plan, rings, tables } = this.#plan;
    const { from, changes, floors, oldest, hole } = lane;
    const batch: ChangeBatch = {
      plan,
      from,
      to,
      asOf,
      origin,
      gtid,
      ...((withPlan || lane.owesPlan) && { rings, tables }),
      ...(floors !== undefined && { floors }),
      ...(oldest !== undefined && { oldest }),
      ...(hole !== undefined && { hole }),
      changes,
    };
    lane.from = to;
    lane.changes = [];
    lane.bytes = 0;
    lane.oldest = undefined;
    lane.floors = undefined;
    lane.hole = undefined;
    lane.owesPlan = false;
    this.#emit(lane.shard, batch);
  }
}

const ORDINAL_WIDTH = 10;

function ordinalText(ordinal: number): string {
  return String(ordinal).padStart(ORDINAL_WIDTH, '0');
}

/** A transaction has come just now. */
function momentOf({ committedAtMicros }: Transaction): BatchHead['oldest'] {
  if (committedAtMicros !== undefined) return { atMicros: committedAtMicros, by: 'commit' };
  return { atMicros: nowMicros(), by: 'receipt' };
}

function newLane<Shard>(shard: Shard, from: string): Lane<Shard> {
  return {
    shard,
    from,
    changes: [],
    bytes: 0,
    oldest: undefined,
    last: from,
    floors: undefined,
    hole: undefined,
    owesPlan: true,
  };
}
