/**
 * The changes of one transaction, in order, while it is not known whether it commits: in memory up to a bound, past it in
 * a file. One transaction can be larger than any memory; an XA transaction can stay prepared for days.
 *
 *     file | memory      the older changes in the file, the younger ones in memory; a savepoint is a place in both
 *
 * In the file a change is:
 *
 *     u32 number of its head | u48 ordinal | u32 length of the key | u32 length of the body | key | body
 *
 * The heads (op, table, shape) are few, and stay in memory: nobody else reads the file, least of all after a crash. What
 * a crashed process left behind is deleted at the next start (`deleteLeftovers`).
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PlacedChange } from './transaction.ts';

export interface SpillOptions {
  /** Where the files are put. It is made when it is needed. */
  readonly folder: string;
  /** What one buffer may hold in memory. Bytes. */
  readonly memoryBytesMax?: number;
  /** How large one file may grow. Bytes. */
  readonly fileBytesMax?: number;
}

const MEBIBYTE = 2 ** 20;
const MEMORY_BYTES_MAX = 32 * MEBIBYTE;
const FILE_BYTES_MAX = 64 * 1024 * MEBIBYTE;
/** What is written and read at once. */
const CHUNK_BYTES = MEBIBYTE;
const ORDINAL_BYTES = 6;
const FRAME_HEAD_BYTES = 4 + ORDINAL_BYTES + 8;
/** About what a Change costs beside its key and body: the object, its string's and its Buffer's heads. */
const OBJECT_BYTES = 250;
const FILE_NAME = /^spilled-[0-9a-f-]{36}$/;

/** The disk is full, or broken, or the transaction is larger than allowed. */
export class SpillFailed extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(`a transaction could not be spilled: ${why}`, options);
    this.name = 'SpillFailed';
  }
}

/** A place between two changes. */
export interface SpillMark {
  readonly count: number;
  /** How long the changes before it are as frames. */
  readonly frameBytes: number;
}

/** Before the first change. */
export const START: SpillMark = { count: 0, frameBytes: 0 };

export class ChangeBuffer {
  readonly #path: string;
  readonly #folder: string;
  readonly #memoryBytesMax: number;
  readonly #fileBytesMax: number;
  readonly #heads: Pick<PlacedChange, 'op' | 'table' | 'shape'>[] = [];
  readonly #headNumbers = new Map<string, number>();
  #memory: PlacedChange[] = [];
  /** Of all changes; the file holds the first `#stored` of them. */
  #end = START;
  #stored = START;
  #file: FileHandle | undefined;
  #isTaken = false;

  constructor({ folder, memoryBytesMax = MEMORY_BYTES_MAX, fileBytesMax = FILE_BYTES_MAX }: SpillOptions) {
    this.#folder = folder;
    this.#path = join(folder, `spilled-${randomUUID()}`);
    this.#memoryBytesMax = memoryBytesMax;
    this.#fileBytesMax = fileBytesMax;
  }

  get count(): number {
    return this.#end.count;
  }

  /** About what it holds in memory. */
  get memoryBytes(): number {
    return this.#end.frameBytes - this.#stored.frameBytes + this.#memory.length * OBJECT_BYTES;
  }

  get fileBytes(): number {
    return this.#stored.frameBytes;
  }

  /** Then `spill` wants to be called. */
  get isFull(): boolean {
    return this.isFullBeside(0);
  }

  /** Where other buffers, which hold so much in memory, share the bound. */
  isFullBeside(otherBytes: number): boolean {
    return this.memoryBytes > Math.max(0, this.#memoryBytesMax - otherBytes);
  }

  push(change: PlacedChange): void {
    this.#memory.push(change);
    const { count, frameBytes } = this.#end;
    this.#end = { count: count + 1, frameBytes: frameBytes + frameLength(change) };
  }

  mark(): SpillMark {
    return this.#end;
  }

  /** Forgets what was pushed after the mark. What is past it in the file is written over, or never read. */
  truncate(mark: SpillMark): void {
    this.#end = mark;
    this.#memory.length = Math.max(0, mark.count - this.#stored.count);
    if (mark.count < this.#stored.count) this.#stored = mark;
  }

  /** Moves what memory holds to the file. Throws SpillFailed; then the buffer is good for `discard` only. */
  async spill(): Promise<void> {
    if (this.#end.frameBytes > this.#fileBytesMax) {
      throw new SpillFailed(`it takes more than ${Math.floor(this.#fileBytesMax / MEBIBYTE)} MiB`);
    }
    try {
      this.#file ??= await this.#create();
      let at = this.#stored.frameBytes;
      for (const chunk of this.#chunks()) {
        await writeWhole(this.#file, chunk, at);
        at += chunk.length;
      }
    } catch (error) {
      throw new SpillFailed('writing the file failed', { cause: error });
    }
    this.#memory = [];
    this.#stored = this.#end;
  }

  /** All of them, in order. Once: what was in memory is let go. */
  changes(): AsyncIterable<PlacedChange> | Iterable<PlacedChange> {
    if (this.#isTaken) throw new Error('a spilled transaction can be read only once');
    this.#isTaken = true;
    return this.#file === undefined ? this.#memory : this.#storedThenMemory(this.#file);
  }

  /** Deletes the file. Nothing can be read or pushed any more. Never rejects: what stays is a leftover. */
  async discard(): Promise<void> {
    this.#memory = [];
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) await Promise.allSettled([file.close(), rm(this.#path, { force: true })]);
  }

  async #create(): Promise<FileHandle> {
    await mkdir(this.#folder, { recursive: true });
    // Rows of a database: for this account's eyes only.
    return open(this.#path, 'wx+', 0o600);
  }

  *#chunks(): Iterable<Buffer> {
    let first = 0;
    while (first < this.#memory.length) {
      let bytes = 0;
      let last = first;
      while (last < this.#memory.length && (bytes === 0 || bytes < CHUNK_BYTES)) {
        bytes += frameLength(this.#memory[last] as PlacedChange);
        last += 1;
      }
      const chunk = Buffer.allocUnsafe(bytes);
      let at = 0;
      for (const change of this.#memory.slice(first, last)) at = this.#writeFrame(chunk, at, change);
      yield chunk;
      first = last;
    }
  }

  #writeFrame(chunk: Buffer, at: number, change: PlacedChange): number {
    const keyAt = at + FRAME_HEAD_BYTES;
    const bodyAt = keyAt + chunk.write(change.key, keyAt, 'utf8');
    chunk.writeUInt32BE(this.#headNumber(change), at);
    chunk.writeUIntBE(change.ordinal, at + 4, ORDINAL_BYTES);
    chunk.writeUInt32BE(bodyAt - keyAt, at + 10);
    chunk.writeUInt32BE(change.body.length, at + 14);
    return bodyAt + change.body.copy(chunk, bodyAt);
  }

  #headNumber({ op, table, shape }: PlacedChange): number {
    const text = `${op} ${shape} ${table}`;
    const known = this.#headNumbers.get(text);
    if (known !== undefined) return known;
    const number = this.#heads.push({ op, table, shape }) - 1;
    this.#headNumbers.set(text, number);
    return number;
  }

  async *#storedThenMemory(file: FileHandle): AsyncIterable<PlacedChange> {
    const end = this.#stored.frameBytes;
    let rest: Buffer = Buffer.alloc(0);
    for (let at = 0; at < end;) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) throw new Error(`the spilled transaction ends at ${at} of ${end} bytes`);
      at += bytesRead;
      const bytes =
        rest.length === 0 ? chunk.subarray(0, bytesRead) : Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      rest = yield* this.#frames(bytes);
    }
    yield* this.#memory;
  }

  /** Yields the whole frames, returns what is left of the bytes. */
  *#frames(bytes: Buffer): Generator<PlacedChange, Buffer> {
    let at = 0;
    while (at + FRAME_HEAD_BYTES <= bytes.length) {
      const keyAt = at + FRAME_HEAD_BYTES;
      const bodyAt = keyAt + bytes.readUInt32BE(at + 10);
      const end = bodyAt + bytes.readUInt32BE(at + 14);
      if (end > bytes.length) break;
      const head = this.#heads[bytes.readUInt32BE(at)] as Pick<PlacedChange, 'op' | 'table' | 'shape'>;
      const ordinal = bytes.readUIntBE(at + 4, ORDINAL_BYTES);
      yield { ...head, key: bytes.toString('utf8', keyAt, bodyAt), body: bytes.subarray(bodyAt, end), ordinal };
      at = end;
    }
    return bytes.subarray(at);
  }
}

/** At start, before anything is spilled there; other files are left alone. */
export async function deleteLeftovers(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    if (FILE_NAME.test(name)) await rm(join(folder, name), { force: true });
  }
}

async function writeWhole(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, at + written);
    written += bytesWritten;
  }
}

function frameLength({ key, body }: PlacedChange): number {
  return FRAME_HEAD_BYTES + Buffer.byteLength(key, 'utf8') + body.length;
}
