/** One key in one shard that is wrong, as it is told to people. Row values are in it only where they are asked for. */
import type { RowId } from '../../shared/key/row-id.ts';
import { describeVersion } from '../../shared/version/version.ts';
import type { AuditedShard } from './audited-shard.ts';
import { type Held, type HeldEntry, isEntry } from './held.ts';
import type { Fault, Look } from './judge.ts';
import type { OriginWord, WordRow } from './origin-word.ts';

export interface Finding {
  readonly fault: Fault;
  readonly table: string;
  readonly shard: AuditedShard;
  readonly key: string;
  readonly id: RowId;
  /** Of what was judged (`markOf`). */
  readonly mark: string;
  /** MySQL has the row, and the shard should. */
  readonly isWanted: boolean;
  /** ms since 1970: by when it was wrong. */
  readonly foundAt: number;
  /** What is there, and what MySQL says. */
  readonly there: string;
  readonly origin: string;
  /** Those that differ, where both have the row. */
  readonly columns: readonly string[];
  /** By column, if they were asked for: what is there and what MySQL says; null is NULL, or not there. */
  readonly values: Readonly<Record<string, readonly [there: string | null, origin: string | null]>> | undefined;
}

/** Longer values are cut. */
const SHOWN_LENGTH_MAX = 60;
const COLUMNS_SHOWN_MAX = 8;

export interface FindingContext {
  readonly table: string;
  readonly shard: AuditedShard;
  readonly key: string;
  readonly id: RowId;
  /** The exposed ones: of others, nothing but the name is ever told. */
  readonly columns: readonly string[];
  readonly showRows: boolean;
}

export function findingOf(fault: Fault, look: Look, context: FindingContext): Finding {
  const { held, mark, word, mode, belongs } = look;
  const { table, shard, key, id, showRows } = context;
  const columns = isEntry(held) && held.kind === 'row' && word.kind === 'row' ? differing(held, word) : [];
  return {
    fault,
    table,
    shard,
    key,
    id,
    mark,
    isWanted: belongs && mode === 'mirror' && word.kind === 'row',
    foundAt: Date.now(),
    there: describeHeld(held),
    origin: belongs ? describeWord(word) : 'the key does not belong into this shard',
    columns: columns.map(({ column }) => column),
    values: showRows ? shown(columns, new Set(context.columns)) : undefined,
  };
}

interface Differing {
  readonly column: string;
  readonly there: string | null;
  readonly origin: string | null;
}

function differing(held: HeldEntry, word: WordRow): Differing[] {
  const [there, origin] = [valuesOfHeld(held), valuesOfWord(word)];
  if (there === undefined) return [{ column: '(not JSON)', there: null, origin: null }];
  const columns = new Set([...there.keys(), ...origin.keys()]);
  return [...columns].flatMap((column) => {
    const pair = { there: there.get(column) ?? null, origin: origin.get(column) ?? null };
    return pair.there === pair.origin ? [] : [{ column, ...pair }];
  });
}

/** Nothing where it is not JSON. */
function valuesOfHeld({ content }: HeldEntry): ReadonlyMap<string, string> | undefined {
  return content.kind === 'texts' ? content.texts : valuesOfJson(content.body);
}

function valuesOfWord({ texts, body }: WordRow): ReadonlyMap<string, string> {
  return texts === undefined ? (valuesOfJson(body) ?? new Map()) : new Map(Object.entries(texts));
}

function valuesOfJson(body: Buffer): ReadonlyMap<string, string> | undefined {
  let row: unknown;
  try {
    row = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof row !== 'object' || row === null) return undefined;
  return new Map(Object.entries(row).map(([column, value]) => [column, JSON.stringify(value)]));
}

function shown(columns: readonly Differing[], exposed: ReadonlySet<string>): Finding['values'] {
  const told = columns.filter(({ column }) => exposed.has(column)).slice(0, COLUMNS_SHOWN_MAX);
  return Object.fromEntries(told.map(({ column, there, origin }) => [column, [cut(there), cut(origin)] as const]));
}

function cut(value: string | null): string | null {
  if (value === null || value.length <= SHOWN_LENGTH_MAX) return value;
  return `${value.slice(0, SHOWN_LENGTH_MAX)}…`;
}

function describeHeld(held: Held): string {
  switch (held.kind) {
    case 'nothing':
      return 'nothing';
    case 'foreign':
      return `a ${held.what} that is not ours`;
    case 'row':
      return `a row as of ${describeVersion(held.version)}`;
    case 'too-large':
      return `"too large" as of ${describeVersion(held.version)}`;
    case 'negative':
      return `"no such row" as of ${describeVersion(held.version)}`;
  }
}

function describeWord(word: OriginWord): string {
  switch (word.kind) {
    case 'locked':
      return 'locked';
    case 'absent':
      return `no such row at ${word.upTo.file}:${word.upTo.position}`;
    case 'other-spelling':
      return `a row of another spelling at ${word.upTo.file}:${word.upTo.position}`;
    case 'row':
      return `a row at ${word.upTo.file}:${word.upTo.position}`;
  }
}
