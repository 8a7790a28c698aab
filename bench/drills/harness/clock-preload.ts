/**
 * Loaded before the product into a process whose clock a drill shifts: what `Date.now` says is off by what a file says.
 * The product has no switch for it. Monotonic time, timers and the servers' own clocks stay as they are.
 */
import { readFileSync } from 'node:fs';
import { CLOCK_FILE_VARIABLE } from './shifted-clock.ts';

const LOOK_EVERY_MS = 10;

const file = process.env[CLOCK_FILE_VARIABLE];
if (file === undefined) throw new Error(`${CLOCK_FILE_VARIABLE} is not set`);
const rightNow = Date.now;
let shiftMs = 0;
const look = (): void => {
  shiftMs = Number(readFileSync(file, 'utf8'));
};
look();
setInterval(look, LOOK_EVERY_MS).unref();
Date.now = () => rightNow() + shiftMs;
