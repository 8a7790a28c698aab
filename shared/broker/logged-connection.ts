/** A connection to the broker whose comings and goings stand in the log. */
import type { SyncConfig } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';
import { BrokerConnection } from './connection.ts';

/** Throws SetupError where the URL is not one. */
export function loggedConnection({ name, broker }: SyncConfig, purpose: string, log: Log): BrokerConnection {
  const connection: BrokerConnection = new BrokerConnection({
    url: broker.url,
    name: `ringfill ${name}: ${purpose}`,
    onChange: (state, reason) => {
      const fields = { broker: connection.address, purpose };
      if (state === 'up') log.info(fields, 'broker in reach');
      else log.warn({ ...fields, reason }, state === 'blocked' ? 'broker takes no messages' : 'broker out of reach');
    },
    onStillDown: (reason) => log.warn({ broker: connection.address, purpose, reason }, 'broker still out of reach'),
  });
  return connection;
}
