/** What the commands that ask a running gateway have in common. */
import { InvalidArgumentError, Option } from 'commander';
import { RingfillClient, RingfillError } from '../client/index.ts';
import { settingsOf } from '../client/options.ts';
import { messageOf } from '../shared/errors/errors.ts';
import { demoUrl } from './demo-url.ts';

export function urlOption(): Option {
  return new Option('--url <url>', 'where the gateway listens').default(demoUrl()).argParser((text) => {
    try {
      settingsOf({ url: text });
    } catch (error) {
      throw new InvalidArgumentError(`${messageOf(error)}.`);
    }
    return text;
  });
}

/** With the API key of RINGFILL_KEY, if there is one: arguments stand in `ps`. To be closed. */
export function gatewayClient(url: string): RingfillClient {
  const key = process.env['RINGFILL_KEY'];
  return new RingfillClient({ url, ...(key ? { headers: { authorization: `Bearer ${key}` } } : {}) });
}

/** Trouble is told on stderr, and the exit code is 1. */
export async function askGateway(url: string, ask: (client: RingfillClient) => Promise<void>): Promise<void> {
  const client = gatewayClient(url);
  try {
    await ask(client);
  } catch (error) {
    if (!(error instanceof RingfillError)) throw error;
    process.stderr.write(`${error.message}\n`);
    if (error.code === 'unauthenticated')
      process.stderr.write('Give the API key in the environment: RINGFILL_KEY=rf_…\n');
    if (error.code === 'not-permitted') {
      process.stderr.write('`ringfill key list` shows what a key is for; changes want one made with --admin.\n');
    }
    if (error.code === 'route-not-found') {
      process.stderr.write('It is there only where the configuration has `access`, and in this version or later.\n');
    }
    if (error.code === 'gateway-unreachable') {
      process.stderr.write('Start one with `npm start` or `ringfill gateway`, or say where it is: --url URL\n');
    }
    process.exitCode = 1;
  } finally {
    await client.close();
  }
}
