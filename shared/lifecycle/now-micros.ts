/** µs since 1970: the one clock by which a change's way is timed, at both ends. It does not jump within a process. */
export function nowMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
