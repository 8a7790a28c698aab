/** Where a row is read: from a replica where that can be proved to include what it must, else from the primary. */
import type { RowId } from '../key/row-id.ts';
import type { ExposedTable } from './exposed-table.ts';
import type { RowReader } from './row-reader.ts';
import type { LeaseBase, OriginRow } from './row-select.ts';

export class OriginReads {
  readonly #primary: RowReader;
  readonly #replicas: RowReader | undefined;

  /** @param replicas gathers reads of its own; it leaves out what it cannot prove. */
  constructor(primary: RowReader, replicas?: RowReader) {
    this.#primary = primary;
    this.#replicas = replicas;
  }

  /** How many ids wait for a connection. */
  get waiting(): number {
    return this.#primary.waiting + (this.#replicas?.waiting ?? 0);
  }

  /**
   * The read begins after this call. Throws OriginUnavailable, RequestRefused.
   * @param base what the read must be known to include; nothing where only the primary will do.
   */
  async read(table: ExposedTable, id: RowId, base?: LeaseBase): Promise<OriginRow> {
    if (this.#replicas !== undefined && base !== undefined && table.settings.follow) {
      const row = await this.#replicas.read(table, id, base);
      if (row.proof !== undefined) return row;
    }
    return this.#primary.read(table, id);
  }
}
