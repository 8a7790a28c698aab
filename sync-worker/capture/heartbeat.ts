/**
 * Up to when do we know all changes? Ask the origin now and then where its binlog ends, and remember when: once all up
 * to there is read and published, everything that was committed before the question is. A clock cannot tell that, and
 * the events' own times cannot either: a capture that is ten minutes behind must look ten minutes behind, and one whose
 * server is idle must not.
 *
 *     t  asked  ---->  the binlog ends at P  ---->  the reader has passed P, nothing before it unpublished: asOf = t
 *
 * The time is taken before the question, so an answer that comes late makes asOf older than it could be, never younger.
 * Questions overlap. They are asked on a connection of their own that has proved to be of the server that is followed.
 */
import { comparePositions, type LogPosition } from '../../shared/version/version.ts';
import type { BinlogEnd } from './continuity/continuity-origin.ts';

export interface HeartbeatOptions {
  readonly everyMs: number;
  /** Must have a deadline of its own. */
  readonly ask: () => Promise<BinlogEnd>;
  /** ms since 1970. */
  readonly now: () => number;
  /** It is time to tell every shard. */
  readonly onBeat: () => void;
  /** Where the reader is; nothing before it has begun. */
  readonly position: () => LogPosition | undefined;
  /** An answer has come. */
  readonly onEnd: () => void;
  /** The origin's binlog ends before what was read of it: it is not the same any more. */
  readonly onWentBack: (end: LogPosition, read: LogPosition) => void;
  readonly onTrouble: (error: unknown) => void;
}

interface Question {
  readonly askedAt: number;
  readonly end: BinlogEnd;
}

/** While the reader is far behind, questions gather; then those go that are closest to their neighbours. */
const QUESTIONS_MAX = 128;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Answered and not yet passed, oldest first. */
  readonly #questions: Question[] = [];
  #asOf = 0;
  #newestEnd: LogPosition | undefined;
  #stopped = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Every change committed before this is published; 0 until that is known. ms since 1970. */
  get asOf(): number {
    return this.#asOf;
  }

  /** For how long the oldest answer has not been passed. ms. */
  get waitingMs(): number {
    const oldest = this.#questions[0];
    return oldest === undefined ? 0 : this.#options.now() - oldest.askedAt;
  }

  /** Where the origin's binlog ended when it was last asked. */
  get newestEnd(): LogPosition | undefined {
    return this.#newestEnd;
  }

  start(): void {
    this.#timer = setInterval(() => this.#beat(), this.#options.everyMs);
    this.#timer.unref();
    void this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /**
   * Everything up to here is published.
   * @returns what the passed questions prove; nothing where they prove nothing new.
   */
  passed(position: LogPosition): { readonly executed: string } | undefined {
    let proved: Question | undefined;
    for (let next = this.#questions[0]; next !== undefined; next = this.#questions[0]) {
      if (comparePositions(position, next.end.position) < 0) break;
      this.#questions.shift();
      if (proved === undefined || next.askedAt > proved.askedAt) proved = next;
    }
    if (proved === undefined || proved.askedAt <= this.#asOf) return undefined;
    this.#asOf = proved.askedAt;
    return proved.end;
  }

  #beat(): void {
    void this.#ask();
    this.#options.onBeat();
  }

  async #ask(): Promise<void> {
    const askedAt = this.#options.now();
    const read = this.#options.position();
    let end: BinlogEnd;
    try {
      end = await this.#options.ask();
    } catch (error) {
      if (!this.#stopped) this.#options.onTrouble(error);
      return;
    }
    if (this.#stopped) return;
    if (read !== undefined && comparePositions(end.position, read) < 0) {
      // After a RESET the connection that carries the binlog may live on, and every place in the new one looks passed.
      this.#options.onWentBack(end.position, read);
      return;
    }
    this.#newestEnd = end.position;
    this.#questions.push({ askedAt, end });
    if (this.#questions.length > QUESTIONS_MAX) this.#questions.splice(mostCrowded(this.#questions), 1);
    this.#options.onEnd();
  }
}

/** Never the first or the last: they say how far behind we are, and how far we may come. */
function mostCrowded(questions: readonly Question[]): number {
  const timeOf = (index: number) => (questions[index] as Question).askedAt;
  let [crowded, least] = [1, Infinity];
  for (let index = 1; index < questions.length - 1; index += 1) {
    const room = timeOf(index + 1) - timeOf(index - 1);
    if (room < least) [crowded, least] = [index, room];
  }
  return crowded;
}
