/** Settles with the first SIGTERM or SIGINT. A second one ends the process at once, as an impatient operator expects. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const heard = (signal: NodeJS.Signals) => {
      process.off('SIGTERM', heard);
      process.off('SIGINT', heard);
      resolve(signal);
    };
    process.on('SIGTERM', heard);
    process.on('SIGINT', heard);
  });
}
