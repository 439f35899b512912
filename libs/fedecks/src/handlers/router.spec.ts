import { atom, tuple, type Term } from '../wire/internal.js';
import { type HandlerKind } from './decorators.js';
import { type Handler, type Route, Router } from './router.js';

function handler(name: string, kind: HandlerKind): Handler {
  return { name, kind, call: () => undefined };
}

function shown(route: Route | undefined): unknown {
  return route && { by: route.handler.name, payload: route.payload };
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
  ])('passes the payload of an event to its handler: %s', (_shape, message) => {
    expect(shown(router.message(message))).toEqual({ by: 'temperature', payload: 21.5 });
  });

  it('tries guards in the order of declaration, with the complete message', () => {
    expect(shown(router.message(['humidity', 40]))).toEqual({
      by: 'first guard',
      payload: ['humidity', 40],
    });
  });

  it('passes everything else to the catch-all', () => {
    expect(shown(router.message('hello'))).toEqual({ by: 'catch-all', payload: 'hello' });
    expect(shown(router.message({ data: 1 }))).toEqual({ by: 'catch-all', payload: { data: 1 } });
  });

  it('reports a message without a handler', () => {
    const empty = new Router([]);
    expect(empty.message('hello')).toBeUndefined();
    expect(empty.raw(Uint8Array.of(1))).toBeUndefined();
  });

  it('does not match the name of an inherited property', () => {
    expect(shown(router.message(tuple('constructor', 1)))).toMatchObject({ by: 'first guard' });
  });

  it.each<[string, HandlerKind]>([
    ['two catch-alls', { kind: 'any' }],
    ['two raw handlers', { kind: 'raw' }],
    ['two handlers of one event', { kind: 'event', event: 'hello' }],
  ])('rejects %s, naming both', (_what, kind) => {
    const make = (): Router => new Router([handler('Greenhouse.any', kind), handler('Cellar.every', kind)]);
    expect(make).toThrow(/Greenhouse\.any and Cellar\.every.*@DeviceEndpoint/);
  });
});
