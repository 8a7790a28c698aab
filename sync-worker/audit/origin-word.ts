/**
 * What MySQL says of rows, and as of where in its binlog: between two places that are equal where the read is exact
 * (shared/origin/proved-read.ts), and else the ends before and after it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, OriginUnavailable } from '../../shared/errors/errors.ts';
import type { RowId } from '../../shared/key/row-id.ts';
import { Backoff } from '../../shared/lifecycle/backoff.ts';
import { cellNumber, cellText } from '../../shared/origin/cells.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { binlogEndQuery, identityQuery, originIdentity } from '../../shared/origin/origin-identity.ts';
import type { OriginPool, TextResult } from '../../shared/origin/origin-pool.ts';
import { provedRead } from '../../shared/origin/proved-read.ts';
import type { OriginRow, ReadRows } from '../../shared/origin/row-select.ts';
import type { SqlServer } from '../../shared/origin/server-version.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import { CellMismatch } from '../../shared/row/row-json.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import { type KeyStep, nextKeys, presentKeys } from '../snapshot/key-walk.ts';
import { ROW_BYTES_MAX, TableChanged } from '../snapshot/snapshot-run.ts';

export type OriginWord =
  | (WordPlace & WordRow)
  /** `other-spelling`: it finds a row under this id, whose own key has other bytes. */
  | (WordPlace & { readonly kind: 'absent' | 'other-spelling' })
  /** Somebody has the row locked, so that nothing can be proved. */
  | { readonly kind: 'locked' };

export interface WordRow {
  readonly kind: 'row';
  /** Of a mirror the columns' texts as JSON, else the row as it is served. */
  readonly body: Buffer;
  /** Of a mirror: the same, by column; NULL is left out. */
  readonly texts: Readonly<Record<string, string>> | undefined;
  /** A mirror does not keep it. */
  readonly isTooLarge: boolean;
}

/** It was so at some place from the first to the second. */
interface WordPlace {
  readonly from: LogPosition;
  readonly upTo: LogPosition;
  /** The server whose binlog that is. */
  readonly origin: string;
}

export interface BinlogEnd {
  readonly at: LogPosition;
  readonly origin: string;
}

export interface AuditedOriginOptions {
  readonly table: ExposedTable;
  readonly origin: OriginPool;
  readonly server: () => SqlServer;
  readonly signal: AbortSignal;
}

const READ_ROWS_MAX = 250;
const EXISTING_MAX = 1_000;
/** How long MySQL's weather is waited out before the audit of a table is given up. */
const AWAY_MS_MAX = 30_000;

/** All methods throw OriginUnavailable, TableChanged, KeysUnspeakable, an AbortError. */
export class AuditedOrigin {
  readonly schema: TableSchema;
  readonly #options: AuditedOriginOptions;
  readonly #readProved: ReadRows;
  readonly #mirrored: boolean;

  constructor(options: AuditedOriginOptions) {
    const { table, origin, server } = options;
    this.#options = options;
    this.schema = table.schema;
    this.#mirrored = table.settings.mode === 'mirror';
    this.#readProved = provedRead(origin, server, (schema, cells) =>
      this.#mirrored ? schema.encoder.encodeTexts(cells) : schema.encoder.encode(cells),
    );
  }

  nextKeys(after: RowId | undefined, limit: number): Promise<KeyStep> {
    return this.#ask(() => nextKeys(this.#options.origin, this.schema, after, limit));
  }

  /** By segment, of each id. */
  async words(ids: readonly RowId[]): Promise<Map<string, OriginWord>> {
    const words = new Map<string, OriginWord>();
    const parts: RowId[][] = [];
    for (let from = 0; from < ids.length; from += READ_ROWS_MAX) parts.push(ids.slice(from, from + READ_ROWS_MAX));
    await Promise.all(parts.map((part) => this.#readWords(part, words)));
    return words;
  }

  /** Those ids that are committed rows' own. */
  async existing(ids: readonly RowId[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (let from = 0; from < ids.length; from += EXISTING_MAX) {
      for (const segment of await this.#askExisting(ids.slice(from, from + EXISTING_MAX))) found.add(segment);
    }
    return found;
  }

  async end(): Promise<BinlogEnd> {
    const { origin, server } = this.#options;
    const queries = [binlogEndQuery(server()), identityQuery(server())];
    const [end, identity] = (await this.#ask(() => origin.packet(queries))) as [TextResult, TextResult];
    const [row] = end.rows;
    if (row === undefined) throw new OriginUnavailable('origin-refused', 'MySQL has no binlog: log_bin is OFF.');
    return {
      at: { file: cellText(row[0]), position: cellNumber(row[1]) ?? 0 },
      origin: originIdentity(identity),
    };
  }

  /** About how many rows there are, as the server's optimizer has it. */
  async estimate(): Promise<number> {
    const explain = `EXPLAIN SELECT 1 FROM ${this.schema.from}`;
    const { rows, fields } = await this.#ask(() => this.#options.origin.query(explain));
    return cellNumber(rows[0]?.[fields.findIndex(({ name }) => name === 'rows')] ?? null) ?? 0;
  }

  async #readWords(ids: readonly RowId[], words: Map<string, OriginWord>): Promise<void> {
    let found: Map<string, OriginRow>;
    try {
      const wanted = ids.map((id) => ({ id, base: undefined }));
      found = await this.#ask(() => this.#readProved(this.schema, wanted));
    } catch (error) {
      if (!UNREPRESENTABLE.has(codeOf(error) ?? '')) throw error;
      // One id has characters that the key's column cannot have: nobody's row, and no reason to doubt its neighbours.
      const [only, ...others] = ids;
      if (only === undefined) return;
      if (others.length > 0) {
        for (const id of ids) await this.#readWords([id], words);
        return;
      }
      const { at, origin } = await this.end();
      words.set(only.segment, { kind: 'absent', from: at, upTo: at, origin });
      return;
    }
    const isInexact = [...found.values()].some(({ proof }) => proof?.exactness === 'inexact');
    const after = isInexact ? await this.end() : undefined;
    for (const id of ids) words.set(id.segment, this.#wordOf(id, found.get(id.segment), after));
  }

  #wordOf(id: RowId, row: OriginRow | undefined, after: BinlogEnd | undefined): OriginWord {
    const { proof } = row ?? {};
    if (row === undefined || proof === undefined || !('at' in proof.reaches)) return { kind: 'locked' };
    const { at: from } = proof.reaches;
    const isExact = proof.exactness === 'exact';
    if (!isExact && after?.origin !== proof.origin) return { kind: 'locked' };
    const place = { from, upTo: isExact || after === undefined ? from : after.at, origin: proof.origin };
    if (row.kind === 'absent') return { kind: 'absent', ...place };
    if (row.id.segment !== id.segment) return { kind: 'other-spelling', ...place };
    const { body } = row;
    const texts = this.#mirrored ? (JSON.parse(body.toString('utf8')) as Record<string, string>) : undefined;
    const isTooLarge = body.length > Math.min(this.#options.table.settings.rowBytesMax, ROW_BYTES_MAX);
    return { kind: 'row', body, texts, isTooLarge, ...place };
  }

  async #askExisting(ids: readonly RowId[]): Promise<ReadonlySet<string>> {
    try {
      return await this.#ask(() => presentKeys(this.#options.origin, this.schema, ids));
    } catch (error) {
      // Whoever is not found is looked at one by one.
      if (UNREPRESENTABLE.has(codeOf(error) ?? '')) return new Set();
      throw error;
    }
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    const { signal, table } = this.#options;
    const giveUpAt = performance.now() + AWAY_MS_MAX;
    const backoff = new Backoff(100, 2_000);
    for (;;) {
      signal.throwIfAborted();
      if (table.schema.shape !== this.schema.shape || table.unusable !== undefined) throw new TableChanged(table.label);
      try {
        return await question();
      } catch (error) {
        if (error instanceof CellMismatch || CHANGED.has(codeOf(error) ?? '')) throw new TableChanged(table.label);
        if (!(error instanceof OriginUnavailable) || performance.now() > giveUpAt) throw error;
        await sleep(backoff.nextMs(), undefined, { signal });
      }
    }
  }
}

/** Another table than the one we know. */
const CHANGED = new Set(['ER_BAD_FIELD_ERROR', 'ER_NO_SUCH_TABLE', 'ER_TABLEACCESS_DENIED_ERROR']);

/** "Illegal mix of collations", as in shared/origin/row-reader.ts. */
const UNREPRESENTABLE = new Set([
  'ER_CANT_AGGREGATE_2COLLATIONS',
  'ER_CANT_AGGREGATE_3COLLATIONS',
  'ER_CANT_AGGREGATE_NCOLLATIONS',
]);
