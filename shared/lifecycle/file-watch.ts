/**
 * Tells when one of some files has become another one: written to, or replaced by renaming, also of a folder above that a
 * link leads through, as Kubernetes renews what it mounts.
 *
 * By asking, once a second: inotify sees neither the end of such a link nor a file on another machine.
 */
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';

export interface FileWatchOptions {
  readonly paths: readonly string[];
  readonly onChange: () => void;
  /** Milliseconds; default 1,000. */
  readonly everyMs?: number;
}

interface Identity {
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

export class FileWatch {
  readonly #paths: readonly string[];
  readonly #onChange: () => void;
  readonly #timer: NodeJS.Timeout;
  #seen: string;
  #looking = false;

  /** From the files as they are now: so it is made before they are read. */
  constructor({ paths, onChange, everyMs = 1_000 }: FileWatchOptions) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#seen = paths.map((path) => told(statSync(path, { throwIfNoEntry: false }))).join();
    this.#timer = setInterval(() => void this.#look(), everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const found = await Promise.all(this.#paths.map((path) => stat(path).then(told, () => told(undefined))));
      const now = found.join();
      if (now === this.#seen) return;
      this.#seen = now;
      this.#onChange();
    } finally {
      this.#looking = false;
    }
  }
}

function told(identity: Identity | undefined): string {
  if (identity === undefined) return 'absent';
  const { ino, size, mtimeMs, ctimeMs } = identity;
  return `${ino}/${size}/${mtimeMs}/${ctimeMs}`;
}
