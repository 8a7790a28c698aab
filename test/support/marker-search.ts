/**
 * Looks for a text wherever it could have got to: every key of a Redis as it lies there, every message of a broker, every
 * file below a folder. Also as base64, hex and UTF-16 have it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { BrokerConnection } from '../../shared/broker/connection.ts';

/** @param marker letters and digits: nothing that JSON, a URL or a shell would write otherwise. */
export class MarkerSearch {
  readonly marker: string;
  readonly #spellings: readonly Buffer[];

  constructor(marker: string) {
    this.marker = marker;
    const bytes = Buffer.from(marker);
    const utf16 = Buffer.from(marker, 'utf16le');
    const hex = bytes.toString('hex');
    this.#spellings = [
      bytes,
      utf16,
      Buffer.from(utf16).swap16(),
      Buffer.from(hex),
      Buffer.from(hex.toUpperCase()),
      ...[0, 1, 2].flatMap((before) => [base64Within(bytes, before), base64Within(utf16, before)]),
    ];
  }

  isIn(bytes: Buffer | string): boolean {
    const found = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    return this.#spellings.some((spelling) => found.includes(spelling));
  }

  /** Keys that name or hold it; DUMP has each value's bytes, whatever its type. */
  async inRedis(redis: Redis): Promise<string[]> {
    const found: string[] = [];
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000);
      cursor = next;
      for (const key of keys) {
        if (this.isIn(key) || this.isIn((await redis.dumpBuffer(key)) ?? Buffer.alloc(0))) found.push(key);
      }
    } while (cursor !== '0');
    return found;
  }

  /** How many messages hold it, or name it in their headers. They stay where they are. */
  async inQueue(connection: BrokerConnection, queue: string): Promise<{ messages: number; found: number }> {
    const { channel, close } = await connection.openChannel();
    try {
      let [messages, found] = [0, 0];
      for (;;) {
        const message = await channel.get(queue);
        if (message === false) return { messages, found };
        messages += 1;
        const { content, properties, fields } = message;
        if (this.isIn(content) || this.isIn(JSON.stringify([properties, fields]))) found += 1;
      }
    } finally {
      // What is not acked goes back.
      await close();
    }
  }

  /** Files below it that hold it, but for those that `isLeftOut` names. */
  inFiles(folder: string, isLeftOut: (path: string) => boolean): string[] {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (isLeftOut(path)) return [];
      if (entry.isDirectory()) return this.inFiles(path, isLeftOut);
      return entry.isFile() && this.isIn(readFileSync(path)) ? [path] : [];
    });
  }
}

/** What is surely in the base64 of whatever has these bytes behind so many others, and others behind them. */
function base64Within(bytes: Buffer, before: number): Buffer {
  const whole = Buffer.concat([Buffer.alloc(before), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  return Buffer.from(whole.slice(before === 0 ? 0 : before + 1, -1));
}
