/** The configuration file of a command that changes it: what it says, as text and as values, and how it is replaced. */
import { randomBytes } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { loadConfig, parseConfig } from '../../shared/config/load.ts';
import type { Config, RingConfig } from '../../shared/config/schema.ts';
import { messageOf, SetupError } from '../../shared/errors/errors.ts';
import { UneditableText, withRings, writtenRings } from './edit-rings.ts';
import { refused } from './ring-change.ts';

/** The file as it would be. */
export interface EditedFile {
  readonly text: string;
  readonly config: Config;
}

export class ConfigFile {
  readonly path: string;
  readonly text: string;
  readonly config: Config;
  /** As they stand there, a `${NAME}` not replaced; in the order of `config.rings`. */
  readonly rings: readonly RingConfig[];

  /** Throws SetupError, as `loadConfig` does. */
  constructor(path: string) {
    this.config = loadConfig(path);
    this.path = path;
    this.text = readFileSync(path, 'utf8');
    this.rings = writtenRings(this.text);
  }

  /** Throws SetupError where such rings are refused, or cannot be written into this file; nothing is written yet. */
  with(rings: readonly RingConfig[]): EditedFile {
    let text: string;
    try {
      text = withRings(this.text, rings);
    } catch (error) {
      if (!(error instanceof UneditableText)) throw error;
      const message = `${this.path}: its rings are written in a way that this command does not change safely (${error.message})`;
      throw refused(message, 'change it by hand; docs/ring-changes.md has the form');
    }
    return { text, config: parseConfig(text, this.path) };
  }

  /**
   * As a whole or not at all, with the mode and the owner that it has. Throws SetupError: `config-unwritable`.
   *
   * A link stays one. What somebody else wrote meanwhile is not overwritten.
   */
  async replace({ text }: EditedFile): Promise<void> {
    const path = realpathSync(this.path);
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
    try {
      const { mode, uid, gid } = await stat(path);
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(text);
        const own = await file.stat();
        if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
        await file.chmod(mode & 0o7777);
        await file.sync();
      } finally {
        await file.close();
      }
      if (readFileSync(path, 'utf8') !== this.text) throw new Error('somebody has changed it meanwhile');
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      const mend = '--dry-run shows the change, to be made by hand or where the file comes from';
      throw new SetupError([{ code: 'config-unwritable', where: this.path, message: messageOf(error), mend }], {
        cause: error,
      });
    }
  }
}
