import { atom, tuple, type Term } from '../wire/index.js';
import { type HandlerKind } from './decorators.js';
import { type Handler, Router, UNHANDLED } from './router.js';

const device = { id: 'nerves-242a' };

function handler(name: string, kind: HandlerKind): Handler {
  return { name, kind, call: (payload) => ({ by: name, payload }) };
}

const isList = (message: Term): message is Term[] => Array.isArray(message);

describe('Router', () => {
  const router = new Router([
    handler('catch-all', { kind: 'any' }),
    handler('first guard', { kind: 'guard', guard: isList }),
    handler('second guard', { kind: 'guard', guard: isList }),
    handler('temperature', { kind: 'event', event: 'temperature' }),
  ]);

  it.each<[string, Term]>([
    ['a tuple of a string and the payload', tuple('temperature', 21.5)],
    ['a list of a string and the payload', ['temperature', 21.5]],
    ['a tuple whose first element is an atom', tuple(atom('temperature'), 21.5)],
    ['a map with event and data', { event: 'temperature', data: 21.5 }],
  ])('gives the payload of an event to its handler: %s', (_shape, message) => {
    expect(router.message(message, device)).toEqual({ by: 'temperature', payload: 21.5 });
  });

  it('tries guards in the order of declaration, with the whole message', () => {
    expect(router.message(['humidity', 40], device)).toEqual({
      by: 'first guard',
      payload: ['humidity', 40],
    });
  });

  it('gives everything else to the catch-all', () => {
    expect(router.message('hello', device)).toEqual({ by: 'catch-all', payload: 'hello' });
    expect(router.message({ data: 1 }, device)).toEqual({ by: 'catch-all', payload: { data: 1 } });
  });

  it('says so when nothing takes a message', () => {
    const empty = new Router([]);
    expect(empty.message('hello', device)).toBe(UNHANDLED);
    expect(empty.raw(Uint8Array.of(1), device)).toBe(UNHANDLED);
  });

  it('does not take the name of an inherited property for an event', () => {
    expect(router.message(tuple('constructor', 1), device)).toMatchObject({ by: 'first guard' });
  });

  it.each<[string, HandlerKind]>([
    ['two catch-alls', { kind: 'any' }],
    ['two raw handlers', { kind: 'raw' }],
    ['two handlers of one event', { kind: 'event', event: 'hello' }],
  ])('refuses %s, naming both', (_what, kind) => {
    const make = (): Router => new Router([handler('Greenhouse.any', kind), handler('Cellar.every', kind)]);
    expect(make).toThrow(/Greenhouse\.any and Cellar\.every.*@DeviceEndpoint/);
  });
});
