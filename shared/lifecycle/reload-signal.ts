/**
 * SIGHUP says one of two things: "read your configuration again", or "your terminal is gone". The second is meant where
 * there was a terminal and there is none any more: then it ends the process, as SIGTERM does.
 */
import { closeSync, openSync } from 'node:fs';

/** @param reload is called for each SIGHUP from now on. */
export function onReloadSignal(reload: () => void): void {
  const hadTerminal = hasTerminal();
  process.on('SIGHUP', () => {
    if (hadTerminal && !hasTerminal()) process.kill(process.pid, 'SIGTERM');
    else reload();
  });
}

/** Whether the process has a controlling terminal: tty(4). */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
