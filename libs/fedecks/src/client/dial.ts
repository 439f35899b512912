import dns, { type LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { type Phase } from './attempt-clock.js';

/**
 * How long, in ms, one of several addresses of a host may take before the next is tried as well (RFC 8305 §5). Node's
 * default of 250 ms is too short for satellite or GPRS links.
 */
const NEXT_ADDRESS_AFTER_MS = 2_500;

/** Where to connect to. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Dial options. */
export interface Dialling {
  /** The index of the first address to try; increases with each attempt. */
  readonly firstAddress: number;
  /** How long connecting may take in all, in ms: the addresses share it. */
  readonly limitMs: number;
  readonly onPhase: (phase: Phase) => void;
}

/**
 * A TCP connection to a host. Its addresses are tried one after another, and a slow attempt continues while the
 * next one starts: the first to connect wins.
 * @param signal ends it.
 * @throws {Error} (rejects) when no address works; sockets that were opened are gone by then.
 */
export async function dial(target: Target, dialling: Dialling, signal: AbortSignal): Promise<Socket> {
  const addresses = await addressesOf(target.host, dialling, signal);
  dialling.onPhase('TCP');
  const first = dialling.firstAddress % addresses.length;
  const inTurn = [...addresses.slice(first), ...addresses.slice(0, first)];
  const everyMs = Math.min(NEXT_ADDRESS_AFTER_MS, dialling.limitMs / (addresses.length + 1));
  return new Race(inTurn, target.port, everyMs).run(signal);
}

async function addressesOf(
  host: string,
  { onPhase }: Dialling,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  onPhase('DNS');
  const found = await Promise.race([lookUp(host), aborted(signal)]);
  return alternate(found);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(new Error('cancelled'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

const lookups = new Map<string, Promise<LookupAddress[]>>();

/**
 * A lookup cannot be aborted, and occupies one of the four threads that Node also uses for files. So the next attempt
 * waits for a hanging lookup instead of starting another.
 */
function lookUp(host: string): Promise<LookupAddress[]> {
  const pending = lookups.get(host);
  if (pending) return pending;
  const lookup = new Promise<LookupAddress[]>((resolve, reject) => {
    dns.lookup(host, { all: true }, (error, addresses) => {
      if (error) reject(error);
      else resolve(addresses);
    });
  });
  lookups.set(host, lookup);
  const forget = (): void => void lookups.delete(host);
  lookup.then(forget, forget);
  return lookup;
}

/** Alternates IPv6 and IPv4 addresses, starting with the system's preference, in case one family does not work. */
function alternate(found: readonly LookupAddress[]): string[] {
  const preferred = found.filter(({ family }) => family === found[0]?.family);
  const others = found.filter(({ family }) => family !== found[0]?.family);
  return Array.from({ length: found.length }, (_, index) => [preferred[index], others[index]])
    .flat()
    .flatMap((each) => (each ? [each.address] : []));
}

/** Connects to addresses until one answers. */
class Race {
  private readonly trying = new Set<Socket>();
  private readonly errors: Error[] = [];
  private timer: NodeJS.Timeout | undefined;
  private onEnd!: (winner: Socket | undefined) => void;
  private readonly waiting: string[];

  constructor(
    addresses: readonly string[],
    private readonly port: number,
    private readonly everyMs: number,
  ) {
    this.waiting = [...addresses];
  }

  async run(signal: AbortSignal): Promise<Socket> {
    const end = new Promise<Socket | undefined>((resolve) => (this.onEnd = resolve));
    const abort = (): void => this.onEnd(undefined);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    else this.tryNext();
    const winner = await end;
    signal.removeEventListener('abort', abort);
    clearTimeout(this.timer);
    await Promise.all([...this.trying].map((socket) => close(socket)));
    if (winner) return winner;
    if (signal.aborted) throw new Error('cancelled');
    const [error, ...others] = this.errors;
    throw error && others.length === 0 ? error : new AggregateError(this.errors);
  }

  private tryNext(): void {
    clearTimeout(this.timer);
    const address = this.waiting.shift();
    if (address === undefined) {
      if (this.trying.size === 0) this.onEnd(undefined);
      return;
    }
    const socket = connect({ host: address, port: this.port });
    this.trying.add(socket);
    socket.once('connect', () => {
      this.trying.delete(socket);
      this.onEnd(socket);
    });
    // Never removed: prevents an uncaught error before the next owner adds its listener.
    socket.on('error', (error) => {
      if (!this.trying.delete(socket)) return;
      this.errors.push(error);
      this.tryNext();
    });
    if (this.waiting.length > 0) this.timer = setTimeout(() => this.tryNext(), this.everyMs);
  }
}

async function close(socket: Socket): Promise<void> {
  socket.destroy();
  if (!socket.closed) await once(socket, 'close');
}
