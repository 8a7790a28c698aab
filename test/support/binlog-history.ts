/**
 * What the binlog says of one table of (id, counter), as a judge sees it: for each id, which value it had from which
 * position on. Read by the driver alone, with no code of ours between.
 */
import ZongJi from '@vlasky/zongji';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { comparePositions, type LogPosition, versionOf } from '../../shared/version/version.ts';
import type { LeaseBase } from '../../shared/origin/row-select.ts';
import { FollowedGtids } from '../../sync-worker/capture/continuity/continuity-gtid.ts';

export interface HistoryOrigin {
  readonly host: string;
  readonly port: number;
  readonly flavour: 'mariadb' | 'mysql';
}

interface End {
  readonly at: LogPosition;
  /** Of all up to there; exact only while nobody writes. */
  readonly gtid: string;
}

/** Nothing: the row is absent from there on. */
interface Value {
  readonly from: LogPosition;
  readonly counter: number | undefined;
}

type Row = Readonly<Record<string, unknown>>;

export class BinlogHistory {
  readonly #values = new Map<string, Value[]>();
  readonly #zongji: ZongJi;
  readonly #isReached: (at: LogPosition) => boolean;
  readonly #gtids: FollowedGtids;
  #reached: LogPosition;
  #waiting: { readonly at: LogPosition; readonly resolve: () => void } | undefined;

  private constructor(zongji: ZongJi, start: End, flavour: HistoryOrigin['flavour']) {
    this.#zongji = zongji;
    this.#reached = start.at;
    this.#gtids = new FollowedGtids(flavour, start.gtid);
    this.#isReached = (at) => comparePositions(this.#reached, at) >= 0;
  }

  /** To be called while nobody writes. */
  static async follow(mysql: HistoryOrigin, db: string, table: string): Promise<BinlogHistory> {
    const start = await binlogEnd(mysql);
    const zongji = new ZongJi({ host: mysql.host, port: mysql.port, user: 'root', password: '', timezone: 'Z' });
    const history = new BinlogHistory(zongji, start, mysql.flavour);
    await new Promise<void>((resolve, reject) => {
      zongji.once('ready', () => resolve());
      zongji.on('error', reject);
      history.#listen();
      zongji.start({
        serverId: 900_000 + (process.pid % 90_000),
        filename: start.at.file,
        position: start.at.position,
        includeEvents: ['tablemap', 'writerows', 'updaterows', 'deleterows', 'xid', 'rotate'],
        includeSchema: { [db]: [table] },
      });
    });
    return history;
  }

  /** Settles when all up to the binlog's end of now has been read. */
  async catchUp(mysql: HistoryOrigin): Promise<void> {
    const { at } = await binlogEnd(mysql);
    if (!this.#isReached(at)) await new Promise<void>((resolve) => (this.#waiting = { at, resolve }));
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#zongji.once('stopped', () => resolve());
      this.#zongji.stop();
    });
  }

  /** As a shard's stamp would stand that has heard of just what was read here. */
  base(): LeaseBase {
    return { to: versionOf(1, this.#reached), origin: 'the origin', gtid: this.#gtids.text ?? '' };
  }

  get commits(): number {
    let count = 0;
    for (const values of this.#values.values()) count += values.length;
    return count;
  }

  /** The values that an id had at a position and later on. The first one is that at the position. */
  valuesFrom(id: string, at: LogPosition): (number | undefined)[] {
    const values = this.#values.get(id) ?? [];
    const later = values.findIndex(({ from }) => comparePositions(from, at) > 0);
    const first = (later === -1 ? values.length : later) - 1;
    const before = first < 0 ? [undefined] : [];
    return [...before, ...values.slice(Math.max(0, first)).map(({ counter }) => counter)];
  }

  #listen(): void {
    let open: { id: string; counter: number | undefined }[] = [];
    let file = this.#reached.file;
    const note = (row: Row, counter: number | undefined) => open.push({ id: String(row['id']), counter });
    this.#zongji.on('binlog', (event) => {
      const { binlogName, nextPosition, rows } = event as unknown as {
        binlogName?: string;
        nextPosition: number;
        rows?: (Row & { before?: Row; after?: Row })[];
      };
      switch (event.getEventName()) {
        case 'rotate':
          file = binlogName as string;
          break;
        case 'writerows':
          for (const row of rows ?? []) note(row, Number(row['counter']));
          break;
        case 'deleterows':
          for (const row of rows ?? []) note(row, undefined);
          break;
        case 'updaterows':
          for (const { before, after } of rows ?? []) {
            if (before?.['id'] !== after?.['id']) note(before as Row, undefined);
            note(after as Row, Number(after?.['counter']));
          }
          break;
        case 'xid': {
          const from = { file, position: nextPosition };
          for (const { id, counter } of open) {
            const values = this.#values.get(id) ?? [];
            // Of several changes in one transaction only the last is ever seen.
            if (values.at(-1)?.from.position === from.position && values.at(-1)?.from.file === file) values.pop();
            values.push({ from, counter });
            this.#values.set(id, values);
          }
          open = [];
          this.#gtids.add((event as unknown as { gtid?: string }).gtid);
          this.#reached = from;
          break;
        }
        default:
          break;
      }
      if (this.#waiting !== undefined && this.#isReached(this.#waiting.at)) this.#waiting.resolve();
    });
  }
}

async function binlogEnd({ host, port, flavour }: HistoryOrigin): Promise<End> {
  const connection = await createConnection({ host, port, user: 'root' });
  try {
    const query = async (sql: string) =>
      ((await connection.query<RowDataPacket[]>(sql))[0][0] ?? {}) as Record<string, unknown>;
    const status = await query('SHOW MASTER STATUS');
    const at = { file: String(status['File']), position: Number(status['Position']) };
    const all = flavour === 'mysql' ? '@@gtid_executed' : '@@gtid_binlog_pos';
    return { at, gtid: String((await query(`SELECT ${all} AS gtid`))['gtid']).replaceAll(/\s/g, '') };
  } finally {
    await connection.end();
  }
}
