import {
  connect,
  type ConnectionOptions,
  credsAuthenticator,
  type Msg,
  type NatsConnection,
  nuid,
  type Subscription,
} from '@nats-io/transport-node';
import {
  type Link,
  type LinkEvents,
  type Message,
  messageOf,
  timeout,
  unavailable,
} from '../cluster/index.js';
import { BackplaneError } from '../server/index.js';
import { type ResolvedNatsOptions } from './nats-options.js';
import { explainNatsError } from './explain-nats-error.js';

const RETRY_MS = 500;
/** What the protocol line of a message may take of what the server carries. */
const SLACK_BYTES = 16;

const NO_RESPONDERS = 503;
/** The header in which a stream that publishes what is written to it names its number. */
const SEQUENCE = 'Nats-Sequence';
const NOBODY: LinkEvents = { up: () => undefined, down: () => undefined, failed: () => undefined };

interface Interest {
  readonly onMessage: (message: Message) => void;
  subscription: Subscription | undefined;
}

/** The connection to NATS: for ever, and with the same subscriptions each time it comes back. */
export class NatsLink implements Link {
  readonly inbox = `_INBOX.${nuid.next()}`;
  reason = 'not connected to NATS yet';
  private nc: NatsConnection | undefined;
  private connected = false;
  /** A server has sent its greeting: later failures concern this node. */
  private greeted = false;
  private closing = false;
  private running: Promise<void> = Promise.resolve();
  private wake: () => void = () => undefined;
  private events: LinkEvents = NOBODY;
  private readonly interests = new Map<string, Interest>();

  constructor(
    private readonly options: ResolvedNatsOptions,
    private readonly name: string,
  ) {}

  get isUp(): boolean {
    return this.connected;
  }

  async start(events: LinkEvents): Promise<void> {
    this.events = events;
    await new Promise<void>((tried, refused) => {
      this.running = this.run(tried, refused);
    });
  }

  async close(): Promise<void> {
    this.closing = true;
    this.connected = false;
    this.wake();
    await this.nc?.close();
    await this.running;
  }

  subscribe(subject: string, onMessage: (message: Message) => void): void {
    const interest: Interest = { onMessage, subscription: undefined };
    this.unsubscribe(subject);
    this.interests.set(subject, interest);
    if (this.nc && !this.nc.isClosed()) this.listen(this.nc, subject, interest);
  }

  unsubscribe(subject: string): void {
    const interest = this.interests.get(subject);
    this.interests.delete(subject);
    const { subscription } = interest ?? {};
    if (subscription && !subscription.isClosed()) subscription.drain().catch(() => undefined);
  }

  publish(subject: string, bytes: Uint8Array, reply?: string): void {
    const nc = this.connection;
    const most = (nc.info?.max_payload ?? Infinity) - SLACK_BYTES;
    if (bytes.length > most) {
      throw new BackplaneError(
        'too-large',
        `The message for another node has ${bytes.length} bytes, but NATS carries at most ${most}: raise max_payload of the NATS server.`,
      );
    }
    nc.publish(subject, bytes, reply === undefined ? undefined : { reply });
  }

  async flush(): Promise<void> {
    const { requestTimeoutMs } = this.options;
    const { connection } = this;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(timeout(requestTimeoutMs)), requestTimeoutMs);
    });
    const flushed = connection.flush().catch((cause: unknown) => {
      throw unavailable('the connection to NATS was lost', cause);
    });
    await Promise.race([flushed, late]).finally(() => clearTimeout(timer));
  }

  /** @throws {BackplaneError} when there is none. */
  get connection(): NatsConnection {
    if (!this.nc || !this.connected) throw unavailable(this.reason);
    return this.nc;
  }

  private async run(tried: () => void, refused: (error: BackplaneError) => void): Promise<void> {
    for (let first = true; !this.closing; first = false) {
      try {
        this.nc = await connect(this.connectionOptions());
      } catch (error) {
        const refusal = explainNatsError(error, this.options, this.greeted);
        this.onDisconnected(refusal ?? `NATS cannot be reached: ${messageOf(error)}`);
        if (first && refusal !== undefined) {
          refused(unavailable(refusal, error));
          return;
        }
        tried();
        await this.pause();
        continue;
      }
      if (this.isClosing()) {
        await this.nc.close();
        break;
      }
      const closed = this.nc.closed();
      for (const [subject, interest] of this.interests) this.listen(this.nc, subject, interest);
      const watching = this.watch(this.nc);
      this.onConnected();
      tried();
      const error = await closed;
      await watching;
      this.onDisconnected(`the connection to NATS was closed${error ? `: ${messageOf(error)}` : ''}`);
    }
    tried();
  }

  private async watch(nc: NatsConnection): Promise<void> {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') {
        // An attempt that fails ends in this too, after it was told why.
        if (this.connected) this.onDisconnected(`the connection to ${status.server} was lost`);
      } else if (status.type === 'reconnect') this.onConnected();
      else if (status.type === 'error') this.onError(status.error);
    }
  }

  private onError(error: Error): void {
    const refusal = explainNatsError(error, this.options, this.greeted);
    if (refusal !== undefined) this.onDisconnected(refusal);
    else this.events.failed('use NATS', error);
  }

  private onConnected(): void {
    if (this.closing) return;
    this.connected = true;
    this.events.up();
  }

  private onDisconnected(reason: string): void {
    this.connected = false;
    this.reason = reason;
    if (!this.closing) this.events.down();
  }

  private isClosing(): boolean {
    return this.closing;
  }

  private async pause(): Promise<void> {
    if (this.closing) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RETRY_MS * (1 + Math.random()));
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private listen(nc: NatsConnection, subject: string, interest: Interest): void {
    interest.subscription = nc.subscribe(subject, {
      callback: (error, msg) => {
        // Reported by `watch`, like every server error.
        if (error) return;
        // What is thrown here would end the library's reading of the connection.
        try {
          interest.onMessage(read(msg));
        } catch (thrown) {
          this.events.failed(`read a message on ${JSON.stringify(subject)}`, thrown);
        }
      },
    });
  }

  private connectionOptions(): ConnectionOptions {
    const { servers, user, pass, token, creds, tls, requestTimeoutMs, heartbeatMs } = this.options;
    this.greeted = false;
    const greeted = (): void => void (this.greeted = true);
    return {
      servers: [...servers],
      name: this.name,
      ...(user !== undefined && pass !== undefined && { user, pass }),
      ...(token !== undefined && { token }),
      authenticator: [
        greeted,
        ...(creds === undefined ? [] : [credsAuthenticator(new TextEncoder().encode(creds))]),
      ],
      ...(tls && { tls: { ...tls } }),
      // No echo: this node has already served its own devices.
      noEcho: true,
      noAsyncTraces: true,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: RETRY_MS,
      reconnectJitter: RETRY_MS,
      timeout: requestTimeoutMs,
      // Detects a hanging server as fast as a lost node.
      pingInterval: heartbeatMs,
      maxPingOut: 2,
    };
  }
}

function read({ subject, data, reply, headers }: Msg): Message {
  const unheard = data.length === 0 && headers?.code === NO_RESPONDERS;
  const sequence = Number(headers?.get(SEQUENCE));
  const revision = sequence > 0 && Number.isSafeInteger(sequence) ? sequence : undefined;
  return { subject, data, reply: reply || undefined, unheard, revision };
}
