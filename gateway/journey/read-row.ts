/**
 * One row, by the table's mode. Most requests are for a row that its owner has and vouches for: these go straight, one
 * read and one answer, without a promise; all others go the whole journey from there.
 */
import type { Reader, ShardRead } from '../../shared/shard/read-batch.ts';
import type { Answer } from './answer.ts';
import { nearHit, straightHit } from './hit.ts';
import { readMirror } from './mirror.ts';
import type { Ports } from './ports.ts';
import { readThrough } from './read-through.ts';
import type { RowRequest } from './row-request.ts';

/** Who asked. Is told once, amid others who asked: neither may throw. */
export interface RowReader {
  answered(answer: Answer): void;
  /** OriginUnavailable, RequestRefused; or what nobody expected. */
  failed(error: unknown): void;
}

/** Throws nothing: the reader is told. */
export function readRow(ports: Ports, request: RowRequest, reader: RowReader): void {
  try {
    begin(ports, request, reader);
  } catch (error) {
    reader.failed(error);
  }
}

function begin(ports: Ports, request: RowRequest, reader: RowReader): void {
  if (request.table.settings.mode === 'mirror') {
    tell(reader, readMirror(ports, request));
  } else if (request.terms.after === undefined) {
    const { owner } = request;
    const near = nearHit(ports, request, owner);
    if (near !== undefined) reader.answered(near);
    else owner.shard.readFor(request.cacheKey, new StraightRead(ports, request, reader));
  } else {
    tell(reader, readThrough(ports, request));
  }
}

class StraightRead implements Reader {
  readonly #ports: Ports;
  readonly #request: RowRequest;
  readonly #reader: RowReader;

  constructor(ports: Ports, request: RowRequest, reader: RowReader) {
    this.#ports = ports;
    this.#request = request;
    this.#reader = reader;
  }

  resolve(read: ShardRead): void {
    let answer: Answer | undefined;
    try {
      answer = straightHit(this.#ports, this.#request, this.#request.owner, read);
    } catch (error) {
      this.#reader.failed(error);
      return;
    }
    if (answer === undefined) this.#goOn({ read });
    else this.#reader.answered(answer);
  }

  reject(error: Error): void {
    this.#goOn({ error });
  }

  #goOn(outcome: { readonly read: ShardRead } | { readonly error: Error }): void {
    tell(this.#reader, readThrough(this.#ports, this.#request, { candidate: this.#request.owner, ...outcome }));
  }
}

function tell(reader: RowReader, answer: Promise<Answer>): void {
  answer.then(
    (told) => reader.answered(told),
    (error: unknown) => reader.failed(error),
  );
}
