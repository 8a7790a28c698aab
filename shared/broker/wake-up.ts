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

  /** Waits so long, or less: `isOver` is asked whenever it is raised. */
  async pause(ms: number, isOver: () => boolean): Promise<void> {
    let isDue = false;
    const timer = setTimeout(() => {
      isDue = true;
      this.raise();
    }, ms);
    while (!isOver() && !isDue) await this.next();
    clearTimeout(timer);
  }
}
