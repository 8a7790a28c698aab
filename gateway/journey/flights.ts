/**
 * One fill a key and process at a time; whoever comes meanwhile waits for it.
 *
 * Whoever came before the fill's read began may have its answer, stored or not. Whoever came after may have it only if
 * it was stored. Else:
 *   1. A's read sees the row as it is.   2. The row is changed; the change takes A's lease.
 *   3. B comes, after the change.        4. B gets A's row, from before it.
 * So those who came too late look again, all together in one next flight: a row that cannot be stored is read once at a
 * time, not once a request.
 */
import type { Answer } from './answer.ts';

interface Flight {
  readonly answer: Promise<Answer>;
  readBegun: boolean;
}

export class Flights {
  readonly #flights = new Map<string, Flight>();

  isUnderway(name: string): boolean {
    return this.#flights.has(name);
  }

  /**
   * @param fly makes the answer; calls `readBegins` just before it asks the origin.
   * @returns the answer, and whether another's flight brought it.
   */
  async join(
    name: string,
    fly: (readBegins: () => void) => Promise<Answer>,
  ): Promise<{ answer: Answer; joined: boolean }> {
    for (;;) {
      const underway = this.#flights.get(name);
      if (underway === undefined) return { answer: await this.#start(name, fly), joined: false };
      const cameTooLate = underway.readBegun;
      const answer = await underway.answer;
      if (!cameTooLate || answer.story.outcome !== 'unstored') return { answer, joined: true };
    }
  }

  #start(name: string, fly: (readBegins: () => void) => Promise<Answer>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const flight: Flight = { answer: promise, readBegun: false };
    this.#flights.set(name, flight);
    fly(() => {
      flight.readBegun = true;
    })
      .finally(() => this.#flights.delete(name))
      .then(resolve, reject);
    return promise;
  }
}
