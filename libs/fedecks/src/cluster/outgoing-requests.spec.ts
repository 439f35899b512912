import { lastValueFrom, toArray } from 'rxjs';
import { stream } from '../requests/index.js';
import { type NodeRequests } from './node-requests.js';
import { type ClusterOptions } from './cluster-options.js';
import { type Link } from './link.js';
import { OutgoingRequests } from './outgoing-requests.js';
import { Subjects } from './subjects.js';

const options = { requestTimeoutMs: 1_000, maxPending: 2 } as ClusterOptions;

/** Requests to a node that takes all of them. */
function start(): { outgoing: OutgoingRequests; published: string[] } {
  const published: string[] = [];
  const link = {
    isUp: true,
    publish: (_subject: string, bytes: Uint8Array) => void published.push(Buffer.from(bytes).toString()),
  } as Partial<Link> as Link;
  const asks = {
    query: async () => Buffer.from('two'),
    ask: async () => true,
  } as Partial<NodeRequests> as NodeRequests;
  return {
    outgoing: new OutgoingRequests('one', link, new Subjects('fleet', '/x'), asks, options),
    published,
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('ends a stream, and cancels it, when one of its values was lost on the way', async () => {
  const { outgoing, published } = start();
  const values = lastValueFrom(
    stream(async (timeoutMs, answered) => (await outgoing.ask('lamp', 'log', timeoutMs, answered))!).pipe(
      toArray(),
    ),
  );
  values.catch(() => undefined);
  await turn();
  const term = Buffer.of(131, 97, 1);
  outgoing.onAnswer({ type: 'next', id: 1, n: 0 }, term);
  outgoing.onAnswer({ type: 'next', id: 1, n: 2 }, term);
  await expect(values).rejects.toMatchObject({ code: 'connection_lost' });
  expect(published).toEqual(['{"type":"cancel","from":"one","id":1}\n']);
});

it('takes no more requests than maxPending, until one ends', async () => {
  const { outgoing } = start();
  const ended: unknown[] = [];
  const ignored = {
    next: () => undefined,
    complete: () => void ended.push('ok'),
    error: (error: Error) => void ended.push(error),
  };
  for (let count = 0; count < 2; count++) await outgoing.ask('lamp', 'read', -1, ignored);
  await expect(outgoing.ask('lamp', 'read', -1, ignored)).rejects.toMatchObject({ code: 'overloaded' });
  outgoing.onAnswer({ type: 'complete', id: 1, n: 0 }, Buffer.alloc(0));
  await expect(outgoing.ask('lamp', 'read', -1, ignored)).resolves.toBeDefined();
  expect(ended).toEqual(['ok']);
});
