#!/usr/bin/env node
/** `ringfill <command>`: the words and options of each command are here, what it does is in commands/. */
// First: see there.
import './require-node.ts';
import { Command } from 'commander';
import { SetupError } from '../shared/errors/errors.ts';
import { auditCommand } from './commands/audit.ts';
import { checkCommand } from './commands/check.ts';
import { completionCommand } from './commands/completion.ts';
import { deadLettersCommand } from './commands/dead-letters.ts';
import { drainCommand } from './commands/drain.ts';
import { drillCommand } from './commands/drill.ts';
import { gatewayCommand } from './commands/gateway.ts';
import { initCommand } from './commands/init.ts';
import { demoCommand } from './commands/demo.ts';
import { getCommand } from './commands/get.ts';
import { invalidateCommand } from './commands/invalidate.ts';
import { keyCommand } from './commands/key.ts';
import { ownerCommand } from './commands/owner.ts';
import { positionCommand } from './commands/position.ts';
import { refreshCommand } from './commands/refresh.ts';
import { replayCommand } from './commands/replay.ts';
import { ringCommand } from './commands/ring.ts';
import { snapshotCommand } from './commands/snapshot.ts';
import { statusCommand } from './commands/status.ts';
import { syncWorkerCommand } from './commands/sync-worker.ts';
import { packageVersion } from './package-version.ts';

const program: Command = new Command('ringfill')
  .description('A read-through cache gateway for MySQL rows: GET /db/table/id, from the Redis shard that owns the row.')
  .version(packageVersion())
  .showHelpAfterError('(ringfill --help lists the commands)')
  .enablePositionalOptions()
  .addCommand(initCommand())
  .addCommand(checkCommand())
  .addCommand(gatewayCommand())
  .addCommand(syncWorkerCommand())
  .addCommand(statusCommand())
  .addCommand(getCommand())
  .addCommand(invalidateCommand())
  .addCommand(refreshCommand())
  .addCommand(ringCommand())
  .addCommand(ownerCommand())
  .addCommand(keyCommand())
  .addCommand(snapshotCommand())
  .addCommand(positionCommand())
  .addCommand(deadLettersCommand())
  .addCommand(replayCommand())
  .addCommand(auditCommand())
  .addCommand(drainCommand())
  .addCommand(drillCommand())
  .addCommand(demoCommand())
  .addCommand(completionCommand(() => program));

// Node would print whatever hangs on an error, such as the arguments of a command that Redis has refused.
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
