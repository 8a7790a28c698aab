/**
 * Knows all that ever happened at the origin, and judges what shards and gateways say of it.
 *
 * - stale: an entry that counts is older than a change that the shard's stamp covers, by place or by time
 * - phantom: it says what no server has said, as far as the stamp goes
 * - late: a gateway's hit is older than the bound allows
 * - backward: a gateway answers from a shard with something older than it answered before
 */
import { decodeEntry, type Entry } from '../../shared/entry/entry.ts';
import type { MirrorEntry } from '../../shared/entry/mirror-entry.ts';
import type { Stamp } from '../../shared/stamp/stamp.ts';
import { describeVersion, epochOf, ORDINAL_LAST } from '../../shared/version/version.ts';
import type { RowKey } from './keys.ts';
import { contentOfMirrored } from './mirrored-row.ts';
import type { Content, Incarnation, Origin, State } from './origin.ts';

export class Violation extends Error {}

const EPOCH_DIGITS = 10;

/** An entry's time of reading, as the simulated gateways write it: this, and the order of the state that was read. */
export const READ_AT = 1_000;

export function contentOf(entry: Entry): Content {
  return entry.kind === 'negative' ? undefined : (JSON.parse(entry.body.toString()) as { content: number }).content;
}

export function entryIn(stored: Buffer | null | undefined): Entry | undefined {
  return stored ? decodeEntry(stored) : undefined;
}

/** Which servers are read beside the primary: one replica, or many, of which any may be ahead of the next. */
export type Replicas = 'none' | 'alone' | 'mixed';

/** What a shard says of a row. */
export interface Said {
  readonly content: Content;
  /** The states of the row that it may be, in their order: of an absence, any that is not too old. */
  readonly orders: readonly number[];
  /** Nothing where there is no entry. */
  readonly version: string | undefined;
}

/** What a gateway has answered from a shard for a key. */
interface Mark {
  /** Of the state of the row. */
  order: number;
  /** The entry's own version. */
  version: string;
  incarnation: Incarnation;
  /** How often the shard had lost something by then, and how often a dump had been put back. */
  losses: number;
  restores: number;
}

export class Judge {
  readonly #origin: Origin;
  readonly #marks = new Map<string, Mark>();
  readonly #losses = new Map<string, number>();
  readonly #restores = new Map<string, number>();
  /** The highest `to` that a gateway has seen of a shard. */
  readonly #seen = new Map<string, string>();

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** @param until what entered the binlog by then must be in it, whatever the stamp says. */
  entryCounts(where: string, key: RowKey, entry: Entry, stamp: Stamp, until = -1): Said {
    const said = { content: contentOf(entry), orders: [this.orderOf(key, entry)], version: entry.version };
    const what = `entry ${entry.exactness} ${describeVersion(entry.version)}`;
    return this.#counts(where, key, said, what, stamp, until);
  }

  /** A mirrored row that is not too large to be told. */
  mirroredCounts(where: string, key: RowKey, entry: MirrorEntry, stamp: Stamp, until = -1): Said {
    const content = contentOfMirrored(entry);
    const state = this.#origin.historyOfAll(key).find((of) => of.content === content);
    const said = { content, orders: [state?.order ?? Number.NaN], version: entry.version };
    return this.#counts(where, key, said, `row ${describeVersion(entry.version)}`, stamp, until);
  }

  /** "No such row", by a complete shard. */
  absenceCounts(where: string, key: RowKey, stamp: Stamp, until = -1): Said {
    const followed = this.#origin.incarnationOf(epochOf(stamp.to));
    const required = this.#required(key, followed, stamp.to, Math.max(stamp.asOf, until));
    const absent = this.#origin
      .since(followed)
      .flatMap((incarnation) => incarnation.history(key))
      .filter(({ content, order }) => content === undefined && order >= required);
    const orders = [...new Set(absent.map(({ order }) => order))].toSorted((a, b) => a - b);
    const said = { content: undefined, orders: orders.length > 0 ? orders : [Number.NaN], version: undefined };
    return this.#counts(where, key, said, 'no row', stamp, until);
  }

  #counts(where: string, key: RowKey, said: Said, what: string, stamp: Stamp, until: number): Said {
    const followed = this.#origin.incarnationOf(epochOf(stamp.to));
    const required = this.#required(key, followed, stamp.to, Math.max(stamp.asOf, until));
    const [order] = said.orders as [number];
    // A fill may lie beyond the stamp: it may say what only a later server says.
    const isReal = this.#origin
      .since(followed)
      .some(({ histories }) => isAmong(histories.get(key), order, said.content));
    if (isReal && order >= required) return said;
    throw new Violation(
      `${isReal ? 'stale' : 'phantom'}: ${where} ${key.name} is of state ${order}, and ${required} is required; ` +
        `${what}, stamp ${describeVersion(stamp.to)} asOf ${stamp.asOf} until ${until}`,
    );
  }

  /** Which state of the row an entry is: a fill or a copy left it in the entry's time; a change is found by its version. */
  orderOf(key: RowKey, entry: Entry): number {
    if (entry.exactness === 'inexact' || entry.version.endsWith(String(ORDINAL_LAST))) return entry.readAtMs - READ_AT;
    const { histories } = this.#origin.incarnationOf(epochOf(entry.version));
    const place = entry.version.slice(EPOCH_DIGITS);
    // A copy's version may be amid a transaction, where no change of this row is.
    return histories.get(key)?.find((state) => state.place.endsWith(place))?.order ?? entry.readAtMs - READ_AT;
  }

  /** The last state that must be known: of those that still are the origin's. */
  #required(key: RowKey, followed: Incarnation, to: string, time: number): number {
    const history = this.#origin.current.history(key);
    const covered = followed.history(key).filter((state) => isCovered(state, to));
    const coveredOrders = new Set(covered.map(({ order }) => order));
    return history.findLast((state) => coveredOrders.has(state.order) || state.enteredAt <= time)?.order ?? -1;
  }

  /** Call it when a gateway begins to answer; with what it returns, when it has. */
  begins(gateway: string, shard: string, key: RowKey): Mark | undefined {
    const mark = this.#marks.get(markName(gateway, shard, key));
    return mark && { ...mark };
  }

  /** A gateway has read a shard's stamp. */
  saw(gateway: string, shard: string, { to }: Stamp): void {
    const name = `${gateway}|${shard}`;
    if (to > (this.#seen.get(name) ?? '')) this.#seen.set(name, to);
  }

  /**
   * An answer from a shard, by a hit or by a fill that it stored.
   * @param isSeenThere else it is what was there before the shard lost it; what comes next can be compared with nothing.
   */
  answered(
    gateway: string,
    shard: string,
    key: RowKey,
    said: Said,
    epoch: number,
    before: Mark | undefined,
    isSeenThere = true,
  ): void {
    const { current } = this.#origin;
    // Where the origin itself has gone back, so may answers.
    if (this.#origin.incarnationOf(epoch) !== current) return;
    const place = `${shard}|${key.name}`;
    const losses = this.lossesOf(shard, key);
    const restores = this.#restores.get(place) ?? 0;
    const known = before?.incarnation === current && before.restores === restores ? before : undefined;
    const { version = known?.version ?? '' } = said;
    if (known !== undefined && known.losses === losses && version < known.version) {
      throw new Violation(
        `backward: ${gateway} had ${describeVersion(known.version)} of ${key.name} from ${shard}, now ${describeVersion(version)}`,
      );
    }
    // The others were read before the origin went back.
    const orders = said.orders.filter((of) => isAmong(current.histories.get(key), of, said.content));
    const order = orders.find((of) => of >= (known?.order ?? -1)) ?? orders.at(-1);
    if (order === undefined) return;
    if (known !== undefined && order < known.order) {
      throw new Violation(
        `backward: ${gateway} had state ${known.order} of ${key.name} from ${shard}, and now ${order} (${said.content ?? 'absent'})`,
      );
    }
    if (!isSeenThere) return;
    const name = markName(gateway, shard, key);
    const mark = this.#marks.get(name);
    const same = mark?.incarnation === current ? mark : undefined;
    const comparable = same?.losses === losses && same.version > version;
    this.#marks.set(name, {
      order: Math.max(same?.order ?? -1, order),
      version: comparable ? same.version : version,
      incarnation: current,
      losses,
      restores,
    });
  }

  /** How often the shard has lost it: what was read before, and is answered later, can be compared with nothing. */
  lossesOf(shard: string, key: RowKey): number {
    return this.#losses.get(`${shard}|${key.name}`) ?? 0;
  }

  /** Evicted, flushed: what is read next may be from before what was answered, where that was ahead of the stamp. */
  shardLost(shard: string, keys: readonly RowKey[]): void {
    for (const { name } of keys) {
      this.#losses.set(`${shard}|${name}`, (this.#losses.get(`${shard}|${name}`) ?? 0) + 1);
    }
  }

  /**
   * A dump is back, or mirrored rows are brought by other ways than before. What a gateway had from beyond all stamps
   * that it had seen is gone, and nobody can tell.
   */
  shardWentBack(shard: string, keys: readonly RowKey[]): void {
    this.shardLost(shard, keys);
    for (const key of keys) {
      const place = `${shard}|${key.name}`;
      const restores = (this.#restores.get(place) ?? 0) + 1;
      this.#restores.set(place, restores);
      for (const [name, seen] of this.#seen) {
        const mark = this.#marks.get(`${name}|${key.name}`);
        if (mark === undefined || !name.endsWith(`|${shard}`)) continue;
        const state = mark.incarnation.history(key).find(({ order }) => order === mark.order);
        if (state !== undefined && isCovered(state, seen)) mark.restores = restores;
        else mark.order = -1;
      }
    }
  }
}

function isAmong(history: readonly State[] | undefined, order: number, content: Content): boolean {
  return history?.some((state) => state.order === order && state.content === content) ?? false;
}

function isCovered(state: State, to: string): boolean {
  return state.place.slice(EPOCH_DIGITS) <= to.slice(EPOCH_DIGITS);
}

function markName(gateway: string, shard: string, key: RowKey): string {
  return `${gateway}|${shard}|${key.name}`;
}
