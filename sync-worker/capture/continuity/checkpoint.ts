/**
 * Where to read on: up to here every shard's queue has what was read, and has confirmed it. Only then is it written
 * (invariant 3); reading a part again is free of effect, so it need not be written for each transaction.
 *
 * One JSON file per installation. What does not decode counts as lost, and is said so: then what the shards hold is
 * dropped, which is dear, so a file is replaced as a whole and never written over.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf } from '../../../shared/errors/errors.ts';
import {
  epochOf,
  isPlausiblePlan,
  isPlausibleVersion,
  type LogPosition,
  POSITION_MAX,
} from '../../../shared/version/version.ts';

export interface Checkpoint {
  /** The server's identity; origin-identity.ts. */
  readonly origin: string;
  /** The place that `to` means. */
  readonly position: LogPosition;
  /** Where to read on: `position`, or before it, at the oldest XA transaction that is prepared and not yet committed. */
  readonly restart: LogPosition;
  /** Of the file to read on in; tells it from another of the same name. Seconds since 1970. */
  readonly fileCreatedAt: number;
  readonly epoch: number;
  readonly plan: number;
  /** All of the transactions up to `to`, by GTID; null where that is not known. */
  readonly gtid: string | null;
  readonly to: string;
  /** When this was written; ms since 1970. */
  readonly savedAt: number;
}

export type FoundCheckpoint =
  | { readonly kind: 'found'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'none' }
  | { readonly kind: 'unreadable'; readonly why: string };

/** A capture of a higher plan has written here: ours is over. */
export class CheckpointTaken extends Error {
  constructor(plan: number, theirs: number) {
    super(`the checkpoint is of plan ${theirs}, ours is ${plan}: another capture has taken over`);
    this.name = 'CheckpointTaken';
  }
}

/** Raise it when an older ringfill could not read the file. */
const FORMAT = 1;

export function checkpointPath(stateFolder: string, name: string): string {
  return join(stateFolder, `${name}.checkpoint.json`);
}

/** Throws where there is a file that cannot be read at all: that is a matter of rights, and no reason to drop anything. */
export async function readCheckpoint(path: string): Promise<FoundCheckpoint> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { kind: 'none' };
    throw error;
  }
  try {
    return { kind: 'found', checkpoint: decodeCheckpoint(JSON.parse(text)) };
  } catch (error) {
    return { kind: 'unreadable', why: messageOf(error) };
  }
}

/** Throws CheckpointTaken, and what the file system says. */
export async function writeCheckpoint(path: string, folder: string, checkpoint: Checkpoint): Promise<void> {
  // A process that was stopped and goes on does not know yet that it was replaced; its positions would be of another epoch.
  const found = await readCheckpoint(path);
  if (found.kind === 'found' && found.checkpoint.plan > checkpoint.plan) {
    throw new CheckpointTaken(checkpoint.plan, found.checkpoint.plan);
  }
  // Of this process alone: two that both believe to hold the lock must not write into one draft.
  const draft = `${path}.${process.pid}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ format: FORMAT, ...checkpoint }, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  // Else the new name may be gone after a loss of power.
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export interface CheckpointWriterOptions {
  readonly stateFolder: string;
  readonly name: string;
  readonly everyMs?: number;
  /** A checkpoint is on disk. */
  readonly onWritten?: (checkpoint: Checkpoint) => void;
  /** It could not be written: a full disk, or CheckpointTaken. Later ones are tried all the same. */
  readonly onFailed: (error: unknown) => void;
}

const EVERY_MS = 200;

/** Writes the newest of the checkpoints that it is given, now and then, one at a time. */
export class CheckpointWriter {
  readonly path: string;
  readonly #options: CheckpointWriterOptions;
  readonly #everyMs: number;
  #newest: Checkpoint | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #writtenAt = -Infinity;

  constructor(options: CheckpointWriterOptions) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? EVERY_MS;
    this.path = checkpointPath(options.stateFolder, options.name);
  }

  async read(): Promise<FoundCheckpoint> {
    await mkdir(this.#options.stateFolder, { recursive: true, mode: 0o700 });
    return await readCheckpoint(this.path);
  }

  save(checkpoint: Checkpoint): void {
    this.#newest = checkpoint;
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#writtenAt + this.#everyMs - performance.now());
    this.#timer = setTimeout(() => void this.flush(), waitMs);
    this.#timer.unref();
  }

  /** Writes what was given last, and settles when it is on disk, or has failed. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  async #write(): Promise<void> {
    const checkpoint = this.#newest;
    if (checkpoint === undefined) return;
    this.#newest = undefined;
    this.#writtenAt = performance.now();
    try {
      await writeCheckpoint(this.path, this.#options.stateFolder, checkpoint);
    } catch (error) {
      this.#options.onFailed(error);
      return;
    }
    this.#options.onWritten?.(checkpoint);
  }
}

/** Throws an Error that says what does not fit. */
export function decodeCheckpoint(value: unknown): Checkpoint {
  if (typeof value !== 'object' || value === null) throw new Error('it is not an object');
  const { format, origin, position, restart, fileCreatedAt, epoch, plan, gtid, to, savedAt } = value as Record<
    string,
    unknown
  >;
  if (format !== FORMAT) throw new Error(`its format is not ${FORMAT}`);
  if (typeof origin !== 'string' || origin === '') throw fieldError('origin');
  if (!isPosition(position)) throw fieldError('position');
  if (!isPosition(restart)) throw fieldError('restart');
  if (!isCount(fileCreatedAt)) throw fieldError('fileCreatedAt');
  if (!isCount(epoch)) throw fieldError('epoch');
  if (!isPlausiblePlan(plan)) throw fieldError('plan');
  if (gtid !== null && typeof gtid !== 'string') throw fieldError('gtid');
  if (!isPlausibleVersion(to) || epochOf(to) !== epoch) throw fieldError('to');
  if (!isCount(savedAt)) throw fieldError('savedAt');
  return { origin, position, restart, fileCreatedAt, epoch, plan, gtid, to, savedAt };
}

function fieldError(field: string): Error {
  return new Error(`its ${field} does not fit`);
}

function isPosition(value: unknown): value is LogPosition {
  if (typeof value !== 'object' || value === null) return false;
  const { file, position } = value as Record<string, unknown>;
  return typeof file === 'string' && /\.[0-9]{1,10}$/.test(file) && isCount(position) && position <= POSITION_MAX;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
