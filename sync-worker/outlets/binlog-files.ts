/**
 * Events as lines of files: appended, and on disk before it is said that they are written.
 *
 * - A write that fails half-way (a full disk, a crash) leaves part of a line. Its event was not acked and comes again, so
 *   the part is cut off when the file is opened the next time.
 * - A file that was deleted under us is made anew with the next write; one that was renamed is written to until its
 *   period ends.
 */
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../shared/errors/errors.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import {
  type BinlogFile,
  expiredFiles,
  fileName,
  type Keep,
  parseFileName,
  type Period,
  periodOf,
} from './file-period.ts';

export interface BinlogFilesOptions {
  readonly folder: string;
  readonly period: Period;
  readonly fileBytesMax: number;
  readonly keep: Keep;
  readonly log: Log;
  /** ms since 1970. */
  readonly now?: () => number;
}

interface OpenFile extends BinlogFile {
  readonly handle: FileHandle;
  bytes: number;
}

const LINE_BREAK = Buffer.from('\n');
const CHUNK_BYTES = 65_536;

export class BinlogFiles {
  readonly #options: BinlogFilesOptions;
  readonly #now: () => number;
  #open: OpenFile | undefined;

  constructor(options: BinlogFilesOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Settles when they are on disk, a line each. Throws what the file system says; then none counts as written. */
  async write(events: readonly Buffer[]): Promise<void> {
    const lines = Buffer.concat(events.flatMap((event) => [event, LINE_BREAK]));
    try {
      const file = await this.#fileFor(lines.length);
      // With O_APPEND each lands behind all others, also those of a process that was frozen and goes on.
      for (let written = 0; written < lines.length;) {
        written += (await file.handle.write(lines, written)).bytesWritten;
      }
      file.bytes += lines.length;
      await file.handle.datasync();
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#close();
  }

  async #fileFor(bytes: number): Promise<OpenFile> {
    const period = periodOf(this.#options.period, this.#now());
    const isThere = this.#open !== undefined && (await this.#open.handle.stat()).nlink > 0;
    if (!isThere || this.#open?.period !== period) await this.#openLast(period);
    const last = this.#open as OpenFile;
    const isFull = last.bytes > 0 && last.bytes + bytes > this.#options.fileBytesMax;
    if (isFull) await this.#openPart(period, last.part + 1);
    return this.#open as OpenFile;
  }

  /** Where the period's last file ended, by us or by another before us. */
  async #openLast(period: string): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    const parts = (await this.#files()).filter((file) => file.period === period).map(({ part }) => part);
    await this.#openPart(period, Math.max(0, ...parts));
  }

  async #openPart(period: string, part: number): Promise<void> {
    await this.#close();
    const { folder, log } = this.#options;
    const name = fileName(period, part);
    // Rows of a database: for this account's eyes only.
    const handle = await open(join(folder, name), 'a+', 0o600);
    try {
      const { size } = await handle.stat();
      const bytes = await endOfLastLine(handle, size);
      if (bytes < size) {
        log.warn(
          { file: name, bytes: size - bytes },
          'outlet: the beginning of a line was cut off; its event comes again',
        );
        await handle.truncate(bytes);
      }
      await syncFolder(folder);
      this.#open = { name, period, part, handle, bytes };
    } catch (error) {
      await handle.close();
      throw error;
    }
    await this.#deleteExpired();
  }

  async #deleteExpired(): Promise<void> {
    const { folder, keep, log } = this.#options;
    const sized = await Promise.all(
      (await this.#files()).map(async (file) => ({ ...file, bytes: await sizeOf(join(folder, file.name)) })),
    );
    for (const { name } of expiredFiles(sized, keep, this.#now())) {
      await rm(join(folder, name), { force: true });
      log.info({ file: name }, 'outlet: file deleted, as the configuration keeps no more');
    }
  }

  async #files(): Promise<BinlogFile[]> {
    const names = await readdir(this.#options.folder);
    return names.map(parseFileName).filter((file) => file !== undefined);
  }

  async #close(): Promise<void> {
    const file = this.#open;
    this.#open = undefined;
    await file?.handle.close().catch(() => undefined);
  }
}

/** Another process may have deleted it meanwhile. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** Behind the last line break. */
async function endOfLastLine(file: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    const at = buffer.subarray(0, bytesRead).lastIndexOf(LINE_BREAK);
    if (at !== -1) return start + at + 1;
    end = start;
  }
  return 0;
}

/** A file's name is on disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
