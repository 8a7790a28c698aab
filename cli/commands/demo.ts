import { Command } from 'commander';
import { runDemo } from '../../stack/demo.ts';
import { wholeNumber } from '../whole-number.ts';

export function demoCommand(): Command {
  return new Command('demo')
    .description('Start MariaDB, five Redis, RabbitMQ and a gateway with demo data on this machine, in .ringfill/.')
    .option('-p, --port <port>', 'the gateway’s port', wholeNumber(1, 65_535), 8080)
    .option('--base-port <port>', 'the first of the servers’ nine ports', wholeNumber(1, 65_527))
    .action(async (options: { port: number; basePort?: number }) => {
      process.exitCode = await runDemo(options);
    });
}
