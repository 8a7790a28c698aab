/** The driver's request for the binlog, with the answer's packets taken as they come. */
import type { EventEmitter } from 'node:events';

type Callback = (error: (Error & { code?: string }) | null, rows: unknown[][]) => void;

interface DriverConnection {
  query(sql: string | { sql: string; rowsAsArray: true }, callback: Callback): void;
  pause(): void;
  resume(): void;
  readonly stream: EventEmitter;
}

/** What is used of the driver beyond its documented side; it is pinned to one version. */
export interface DriverInternals {
  readonly connection: DriverConnection;
  readonly ctrlConnection: DriverConnection;
  readonly serverVersion: string;
  /** What is made and sent right after `ready`. */
  BinlogClass: DumpClass;
}

export interface DumpPacket {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly end: number;
  isEOF(): boolean;
}

type Step = (packet: DumpPacket, connection: unknown) => Step | null;

interface Dump {
  /** Called with errors of the connection and of the server. */
  onResult?: (error: Error) => void;
  /** Sends the request. */
  start(packet: DumpPacket, connection: unknown): Step | null;
}

type DumpClass = new (callback: () => void) => Dump;

export interface DumpListener {
  /** The event without what frames it in the protocol. Must not throw. */
  event(event: Buffer): void;
  end(): void;
  error(error: Error): void;
}

export function rawDump(Base: DumpClass, listener: DumpListener): DumpClass {
  const receive: Step = (packet) => {
    if (packet.isEOF()) {
      listener.end();
      return null;
    }
    // Behind the byte that says that it is no error. A view: the packet object itself is used again.
    listener.event(packet.buffer.subarray(packet.offset + 1, packet.end));
    return receive;
  };
  return class extends Base {
    constructor(callback: () => void) {
      super(callback);
      this.onResult = (error) => listener.error(error);
    }

    override start(packet: DumpPacket, connection: unknown): Step {
      super.start(packet, connection);
      return receive;
    }
  };
}
