import { chosenPeers, type HandlerKind, patternOf, type Peer } from './decorators.js';
import { InvalidHandlerError } from './errors.js';

/** The injection token of a {@link Peer}: the server and the client module each provide theirs. */
export const PEER = Symbol('fedecks:peer');

/** A decorated method of an instance. */
export interface DecoratedMethod {
  /** The class of the instance. */
  readonly type: { readonly name: string };
  /** `Class.method`, for messages to the developer. */
  readonly name: string;
  readonly kind: HandlerKind;
}

const DECORATORS = { devices: '@DeviceEndpoint()', cloud: '@FromCloud()' } as const;
const MODULES = { devices: 'FedecksModule', cloud: 'FedecksClientModule' } as const;

/**
 * The methods that serve one of the app's peers.
 * @throws {InvalidHandlerError} when a class serves a peer that the app does not have, or must name its peer and does not.
 */
export function methodsFor<M extends DecoratedMethod>(
  peer: Peer,
  methods: readonly M[],
  peers: ReadonlySet<Peer>,
): M[] {
  for (const method of methods) checkChoice(method, peers);
  const undecided = methods.filter((method) => peersOf(method, peers).length === 0);
  if (undecided.length > 0) throw new InvalidHandlerError(whyUndecided(undecided));
  return methods.filter((method) => peersOf(method, peers).includes(peer));
}

/** The peers that a method serves; none if its class must name them and does not. */
function peersOf({ type, kind }: DecoratedMethod, peers: ReadonlySet<Peer>): readonly Peer[] {
  const chosen = chosenPeers(type);
  if (chosen.length > 0) return chosen;
  if (peers.size === 1) return [...peers];
  return isForDevicesOnly(kind) ? ['devices'] : [];
}

/** On a device there are no failures of other peers, and the client drops frames that are not a term. */
function isForDevicesOnly({ kind }: HandlerKind): boolean {
  return kind === 'error' || kind === 'raw';
}

function checkChoice({ type, name, kind }: DecoratedMethod, peers: ReadonlySet<Peer>): void {
  const chosen = chosenPeers(type);
  const missing = chosen.find((peer) => !peers.has(peer));
  if (missing) {
    throw new InvalidHandlerError(
      `${name} has ${DECORATORS[missing]} on its class, but this app does not import ${MODULES[missing]}: ` +
        'import it, or remove the decorator or the class.',
    );
  }
  if (isForDevicesOnly(kind) && chosen.length > 0 && !chosen.includes('devices')) {
    throw new InvalidHandlerError(
      `${name} has ${patternOf(kind)}, which is for devices only, but its class has ${DECORATORS.cloud}: ` +
        `move it to a class with ${DECORATORS.devices}.`,
    );
  }
}

/** Names each class once, by its first method. */
function whyUndecided(methods: readonly DecoratedMethod[]): string {
  const first = methods.filter(
    ({ type }, index) => methods.findIndex((each) => each.type === type) === index,
  );
  return (
    `${first.map(({ name }) => name).join(', ')}: the class does not name its peer, but this app both has ` +
    `devices (${MODULES.devices}) and is a device (${MODULES.cloud}). Add ${DECORATORS.devices} to the class to serve ` +
    `devices, ${DECORATORS.cloud} to serve the cloud, or both.`
  );
}
