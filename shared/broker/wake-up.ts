/** Something has changed, look again: for those who wait for one of several conditions. None that is waited for is missed. */
export class WakeUp {
  #next = Promise.withResolvers<void>();

  /** Look first, then wait, with no `await` between the two. */
  next(): Promise<void> {
    return this.#next.promise;
  }

  raise(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers<void>();
    resolve();
  }
}
