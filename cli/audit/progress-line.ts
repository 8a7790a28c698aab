/** How far something has come, on one line of a terminal that is written over; nothing where it is none. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #title = '';
  #startedAt = 0;
  #writtenAt = 0;
  #isShown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  begin(title: string): void {
    this.#title = title;
    this.#startedAt = performance.now();
  }

  at(passed: number, ofAbout: number): void {
    const now = performance.now();
    if (!this.#stream.isTTY || now - this.#writtenAt < EVERY_MS) return;
    this.#writtenAt = now;
    const perSecond = passed / Math.max(0.001, (now - this.#startedAt) / 1000);
    const left = ofAbout > passed && perSecond > 0 ? `, about ${timeText((ofAbout - passed) / perSecond)} left` : '';
    const share = ofAbout === 0 ? '' : ` of about ${ofAbout}`;
    this.#write(`${this.#title}: ${passed}${share}, ${Math.round(perSecond)}/s${left}`);
  }

  /** A line that stays. */
  say(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  clear(): void {
    if (this.#isShown) this.#write('');
    this.#isShown = false;
  }

  #write(text: string): void {
    // To the line's beginning, and clear what was there (ECMA-48: CHA, EL).
    this.#stream.write(`\u001B[1G\u001B[0K${text.slice(0, this.#stream.columns)}`);
    this.#isShown = true;
  }
}

const EVERY_MS = 200;

function timeText(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
