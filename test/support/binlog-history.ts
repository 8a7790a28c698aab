/**
 * What the binlog says of one table of (id, counter), as a judge sees it: for each id, which value it had from which
 * position on. Read by the driver alone, with no code of ours between.
 */
import ZongJi from '@vlasky/zongji';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { comparePositions, type LogPosition } from '../../shared/version/version.ts';
import type { TestStack } from './stack.ts';

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
  #reached: LogPosition;
  #waiting: { readonly at: LogPosition; readonly resolve: () => void } | undefined;

  private constructor(zongji: ZongJi, start: LogPosition) {
    this.#zongji = zongji;
    this.#reached = start;
    this.#isReached = (at) => comparePositions(this.#reached, at) >= 0;
  }

  static async follow({ mysql }: TestStack, db: string, table: string): Promise<BinlogHistory> {
    const start = await binlogEnd(mysql);
    const zongji = new ZongJi({ host: mysql.host, port: mysql.port, user: 'root', password: '', timezone: 'Z' });
    const history = new BinlogHistory(zongji, start);
    await new Promise<void>((resolve, reject) => {
      zongji.once('ready', () => resolve());
      zongji.on('error', reject);
      history.#listen();
      zongji.start({
        serverId: 900_000 + (process.pid % 90_000),
        filename: start.file,
        position: start.position,
        includeEvents: ['tablemap', 'writerows', 'updaterows', 'deleterows', 'xid', 'rotate'],
        includeSchema: { [db]: [table] },
      });
    });
    return history;
  }

  /** Settles when all up to the binlog's end of now has been read. */
  async catchUp({ mysql }: TestStack): Promise<void> {
    const at = await binlogEnd(mysql);
    if (!this.#isReached(at)) await new Promise<void>((resolve) => (this.#waiting = { at, resolve }));
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#zongji.once('stopped', () => resolve());
      this.#zongji.stop();
    });
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

async function binlogEnd({ host, port }: TestStack['mysql']): Promise<LogPosition> {
  const connection = await createConnection({ host, port, user: 'root' });
  try {
    const [rows] = await connection.query<RowDataPacket[]>('SHOW MASTER STATUS');
    return { file: String(rows[0]?.['File']), position: Number(rows[0]?.['Position']) };
  } finally {
    await connection.end();
  }
}
