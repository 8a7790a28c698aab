/**
 * What a port takes: how many connections, how slow ones, and by which certificate. The last is read again when it changes;
 * a broken one leaves the one before in use, and is told in the log and in the metrics. So is who cannot be talked to by it.
 */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { RateLimit } from '../access/rate-limit.ts';
import type { Config } from '../config/schema.ts';
import { messageOf, SetupError } from '../errors/errors.ts';
import { FileWatch } from '../lifecycle/file-watch.ts';
import type { Log } from '../telemetry/log.ts';
import { type Certificate, type CertificateFiles, readCertificate } from './certificate.ts';
import type { ListenerMetrics } from './listener-metrics.ts';
import type { PlainRequest } from './plain-connection.ts';
import { PlainRequests } from './plain-requests.ts';
import type { Reply } from './reply.ts';
import { SlowClients } from './slow-clients.ts';

export type ListenerSettings = Pick<
  Config['http'],
  'tls' | 'connectionsMax' | 'receiveTimeoutMs' | 'keepAliveTimeoutMs' | 'sendTimeoutMs' | 'unsentMebibytesMax'
>;

export interface ListenerOptions {
  readonly settings: ListenerSettings;
  /** Of the request line and the headers together. Bytes. */
  readonly headerBytesMax: number;
  readonly metrics: ListenerMetrics;
  readonly log: Log;
}

/** How often Node looks for requests that are late. Its own default is half a minute. */
const LOOK_EVERY_MS = 1_000;

/** Of a request, and of a TLS handshake. */
const LATE: ReadonlySet<string> = new Set(['ERR_HTTP_REQUEST_TIMEOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT']);

export class Listener {
  /** Settled at the start: a port that listens cannot change it. */
  readonly isSecure: boolean;
  readonly #options: ListenerOptions;
  /** Of the log, for each address: the metrics count them all. */
  readonly #lines = new RateLimit({ rowsPerSecond: 1, burstRows: 10, remembered: 1_000 });
  #settings: ListenerSettings;
  #files: CertificateFiles | undefined;
  #certificate: Certificate | undefined;
  #watch: FileWatch | undefined;
  #slowClients: SlowClients | undefined;
  #server: Server | SecureServer | undefined;
  #plain: PlainRequests | undefined;

  /** Throws SetupError `certificate-unusable`. */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#settings = options.settings;
    const { tls } = options.settings;
    this.isSecure = tls !== undefined;
    if (tls === undefined) return;
    this.#watchFiles(tls);
    try {
      this.#show(readCertificate(tls));
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /**
   * Once; it is the caller who makes it listen, and closes it.
   * @param answersPlainly takes a plain request, or leaves it to the handler as all others.
   */
  createServer(
    handler: RequestListener,
    answersPlainly?: (request: PlainRequest, reply: Reply) => boolean,
  ): Server | SecureServer {
    const { headerBytesMax, metrics } = this.#options;
    const options: ServerOptions = {
      maxHeaderSize: headerBytesMax,
      connectionsCheckingInterval: LOOK_EVERY_MS,
      headersTimeout: this.#settings.receiveTimeoutMs,
      requestTimeout: this.#settings.receiveTimeoutMs,
      keepAliveTimeout: this.#settings.keepAliveTimeoutMs,
    };
    const server =
      this.#certificate === undefined
        ? createServer(options, inTurn(handler))
        : createSecureServer(
            { ...options, ...this.#certificate.options, handshakeTimeout: this.#settings.receiveTimeoutMs },
            inTurn(handler),
          );
    server.maxConnections = this.#settings.connectionsMax;
    server.on('drop', () => metrics.refused());
    server.on('clientError', ({ code = '' }: NodeJS.ErrnoException) => {
      if (LATE.has(code)) metrics.cut('receiving-late');
    });
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) =>
      this.#handshakeRefused(error, socket),
    );
    // Of TLS, the socket that answers are written to comes after the handshake.
    const connection = this.isSecure ? 'secureConnection' : 'connection';
    if (answersPlainly !== undefined) {
      const keepAliveTimeoutMs = () => this.#settings.keepAliveTimeoutMs;
      this.#plain = new PlainRequests(server, connection, { answers: answersPlainly, keepAliveTimeoutMs });
    }
    const slowClients = new SlowClients({ bounds: () => this.#settings, onCut: (reason) => metrics.cut(reason) });
    server.on(connection, (socket: Socket) => {
      slowClients.watch(socket);
      metrics.connected(1);
      socket.once('close', () => metrics.connected(-1));
    });
    this.#server = server;
    this.#slowClients = slowClients;
    return server;
  }

  /**
   * Goes on by these, once that is called which is returned.
   * Throws SetupError `certificate-unusable`.
   */
  prepare(settings: ListenerSettings): () => void {
    const files = this.isSecure ? settings.tls : undefined;
    if (files !== undefined) readCertificate(files);
    return () => {
      this.#settings = settings;
      if (files !== undefined) {
        if (!isDeepStrictEqual(files, this.#files)) this.#watchFiles(files);
        this.#renew(files);
      }
      const server = this.#server;
      if (server === undefined) return;
      server.maxConnections = settings.connectionsMax;
      server.headersTimeout = settings.receiveTimeoutMs;
      server.requestTimeout = settings.receiveTimeoutMs;
      server.keepAliveTimeout = settings.keepAliveTimeoutMs;
    };
  }

  /** The server is being closed: what waits for no answer ends. */
  closeIdle(): void {
    this.#plain?.close();
  }

  /** Answered or not. */
  closeAll(): void {
    this.#plain?.destroy();
    this.#server?.closeAllConnections();
  }

  stop(): void {
    this.#watch?.stop();
    this.#slowClients?.stop();
  }

  /** There is no HTTP to answer it by: the connection is closed. Who went away by himself is not told of. */
  #handshakeRefused({ code = '' }: NodeJS.ErrnoException, { remoteAddress: address }: TLSSocket): void {
    if (!code.startsWith('ERR_SSL_')) return;
    this.#options.metrics.handshakeRefused();
    if (this.#lines.take(address ?? '', 1) === 0) this.#options.log.info({ code, address }, 'TLS handshake refused');
  }

  #show(certificate: Certificate): void {
    this.#certificate = certificate;
    this.#options.metrics.certificateIs(certificate);
    // Connections that are open go on with the one before.
    if (this.#server !== undefined) (this.#server as SecureServer).setSecureContext(certificate.options);
    if (certificate.expiresMs < Date.now()) this.#options.log.warn(expiry(certificate), 'certificate has expired');
  }

  /** Before they are read, so that no change is missed. */
  #watchFiles(files: CertificateFiles): void {
    this.#watch?.stop();
    this.#files = files;
    this.#watch = new FileWatch({ paths: [files.certFile, files.keyFile], onChange: () => this.#renew(files) });
  }

  #renew(files: CertificateFiles): void {
    const { metrics, log } = this.#options;
    try {
      const certificate = readCertificate(files);
      this.#show(certificate);
      log.info(expiry(certificate), 'certificate loaded');
      metrics.certificateReloaded('loaded');
    } catch (error) {
      // Also between the writing of the one file and of the other.
      const code = error instanceof SetupError ? error.code : 'internal';
      log.error({ code, reason: messageOf(error) }, 'certificate refused; the one before stays in use');
      metrics.certificateReloaded('refused');
    }
  }
}

function expiry({ expiresMs }: Certificate): { readonly expires: string } {
  return { expires: new Date(expiresMs).toISOString() };
}

/**
 * Of requests that are sent ahead on one connection (RFC 9112, section 9.3.2) each waits until the one before has been
 * answered, and the answer taken. Node would begin all of them at once, and a client that reads nothing could have the work
 * of thousands done, and their answers kept. Meanwhile no more is read from it than what has arrived.
 */
function inTurn(handler: RequestListener): RequestListener {
  const waitingOn = new WeakMap<Socket, number>();
  return (request, response) => {
    // Node gives a response its connection when it is its turn.
    if (response.socket !== null) {
      handler(request, response);
      return;
    }
    const { socket } = request;
    waitingOn.set(socket, (waitingOn.get(socket) ?? 0) + 1);
    socket.pause();
    response.once('socket', () => {
      const stillWaiting = (waitingOn.get(socket) ?? 0) - 1;
      waitingOn.set(socket, stillWaiting);
      handler(request, response);
      if (stillWaiting === 0) socket.resume();
    });
  };
}
