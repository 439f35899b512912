import { lastValueFrom, take, toArray } from 'rxjs';
import { atom, encodeTerm, Float, type Term, tuple } from '@fedecks/nest/wire';
import { type BareNode } from './support/bare-node.js';
import { eventually } from './support/eventually.js';
import { type BareFleet, BARE_FLEETS, type BareFleetKind } from './support/bare-fleets.js';

const HEARTBEAT_MS = 500;
/** `REQUESTS_SEED=...` begins with another history. */
const FIRST_SEED = Number(process.env['REQUESTS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface Request {
  readonly id: number;
  readonly message: Term;
  readonly remainingMs: number;
  readonly answer: Parameters<BareNode['onControl']>[2];
}

/** What the devices of a node are sent about requests. */
class Devices {
  readonly requests: Request[] = [];
  readonly cancelled: number[] = [];

  constructor(node: BareNode, onRequest: (request: Request) => void = () => undefined) {
    node.onControl = (_, control, answer) => {
      if (control.type === 'cancel') this.cancelled.push(control.id);
      if (control.type !== 'request') return;
      const request = { ...control, answer };
      this.requests.push(request);
      onRequest(request);
    };
  }

  async next(index = 0): Promise<Request> {
    await eventually(
      () => this.requests.length,
      (length) => length > index,
    );
    return this.requests[index]!;
  }
}

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => (error as { code?: unknown }).code ?? error,
  );

describe.each(BARE_FLEETS.map((kind) => [kind.name, kind] as const))(
  'Requests between nodes %s',
  (_, kind: BareFleetKind) => {
    /** A test that runs once per seed: each seed gives other delays. */
    function history(title: string, test: (fleet: BareFleet) => Promise<void>): void {
      it(
        title,
        async () => {
          for (let round = 0; round < kind.histories; round++) {
            const seed = FIRST_SEED + round;
            try {
              await kind.run(seed, test);
            } catch (error) {
              throw new Error(`with REQUESTS_SEED=${seed}: ${(error as Error).message}`, { cause: error });
            }
          }
        },
        120_000,
      );
    }

    /** Two nodes, of which the second holds the lamp, and its devices. */
    async function start(
      fleet: BareFleet,
      onRequest?: (request: Request) => void,
    ): Promise<{ one: BareNode; two: BareNode; devices: Devices }> {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const devices = new Devices(two, onRequest);
      two.open('lamp');
      await eventually(
        () => one.push('lamp', 'hello'),
        (result) => result === 'sent',
      );
      return { one, two, devices };
    }

    /**
     * Resolves when a node has heard that what it has asked so far was sent. The device may have a request before that; if
     * it is lost then, nobody knows whether it was sent.
     */
    async function waitUntilHeard(by: BareNode, devices: Devices): Promise<void> {
      const later = by.request('lamp', 'later');
      const { id, answer } = await devices.next(devices.requests.length);
      answer({ type: 'reply', id, value: null });
      await later;
    }

    history('bring the message, the time that is left, and the answer', async (fleet) => {
      const value = {
        celsius: 21.5,
        raw: Uint8Array.of(1, 2),
        at: [1, 'x', null, true],
        when: new Date(1e12),
      };
      const { one, devices } = await start(fleet, ({ id, answer }) => answer({ type: 'reply', id, value }));
      const keys = new Map<Term, Term>([[atom('unit'), atom('celsius')]]);
      const message = tuple('read', { raw: Uint8Array.of(65), text: 'A', one: new Float(1), keys });
      expect(await one.request('lamp', message, { timeoutMs: 5_000 })).toEqual(value);
      const [request] = devices.requests;
      expect(encodeTerm(request!.message)).toEqual(encodeTerm(message));
      expect(request!.remainingMs).toBeLessThanOrEqual(5_000);
      expect(request!.remainingMs).toBeGreaterThan(0);
      expect(devices.cancelled).toEqual([]);
    });

    history('give the last value of a streamed answer, and null for none', async (fleet) => {
      const { one, devices } = await start(fleet);
      const answers = [one.request('lamp', 'one'), one.request('lamp', 'two')];
      await devices.next(1);
      for (const { id, message, answer } of devices.requests) {
        if (message === 'one') for (const value of [1, 2]) answer({ type: 'next', id, value });
        answer({ type: 'complete', id });
      }
      expect(await Promise.all(answers)).toEqual([2, null]);
    });

    history('stream values in their order, each once, until the end', async (fleet) => {
      const { one } = await start(fleet, ({ id, remainingMs, answer }) => {
        expect(remainingMs).toBe(-1);
        for (let value = 0; value < 300; value++) answer({ type: 'next', id, value });
        answer({ type: 'complete', id });
      });
      const values = await lastValueFrom(one.stream('lamp', 'count').pipe(toArray()));
      expect(values).toEqual(Array.from({ length: 300 }, (_each, index) => index));
    });

    history('keep a stream open for as long as both nodes live, and end it with its error', async (fleet) => {
      const { one, devices } = await start(fleet);
      const values: Term[] = [];
      const end = new Promise((resolve) => {
        one.stream('lamp', 'watch').subscribe({ next: (value) => void values.push(value), error: resolve });
      });
      const { id, answer } = await devices.next();
      await fleet.sleep(8 * HEARTBEAT_MS);
      answer({ type: 'next', id, value: 'late' });
      answer({ type: 'error', id, code: 'failed', text: 'no light' });
      expect(await end).toMatchObject({ code: 'failed', text: 'no light' });
      expect(values).toEqual(['late']);
    });

    history('end in what keeps them from being sent', async (fleet) => {
      const { one, two, devices } = await start(fleet);
      two.old.add('fax');
      two.open('fax');
      await eventually(
        () => one.push('fax', 'hello'),
        (result) => result === 'sent',
      );
      expect(await code(one.request('fax', 'read'))).toBe('not_supported');
      expect(await code(one.request('nobody', 'read'))).toBe('offline');
      const open = Array.from({ length: 64 }, () => code(one.request('lamp', 'read')));
      await devices.next(63);
      expect(await code(one.request('lamp', 'one too many'))).toBe('busy');
      expect(devices.requests).toHaveLength(64);
      two.leave('lamp');
      expect(new Set(await Promise.all(open))).toEqual(new Set(['connection_lost']));
    });

    history('end in a timeout, and tell the device', async (fleet) => {
      const { one, devices } = await start(fleet);
      expect(await code(one.request('lamp', 'read', { timeoutMs: 200 }))).toBe('timeout');
      expect(devices.requests).toHaveLength(1);
    });

    history('are cancelled on the device when nobody wants them any more', async (fleet) => {
      const { one, devices } = await start(fleet, ({ id, answer }) =>
        answer({ type: 'next', id, value: id }),
      );
      expect(await lastValueFrom(one.stream('lamp', 'watch').pipe(take(1)))).toBe(1);
      const abort = new AbortController();
      const answer = code(one.request('lamp', 'read', { signal: abort.signal }));
      await devices.next(1);
      abort.abort(new Error('enough'));
      expect(await answer).toEqual(new Error('enough'));
      await eventually(
        () => devices.cancelled,
        (ids) => ids.join() === '1,2',
      );
    });

    history('are sent once, though several nodes hold the device', async (fleet) => {
      const options = { duplicates: 'allow' } as const;
      const [one, two, three] = [
        await fleet.node(options),
        await fleet.node(options),
        await fleet.node(options),
      ];
      const reply = ({ id, answer }: Request): void => void answer({ type: 'reply', id, value: 'lit' });
      const devices = [new Devices(two, reply), new Devices(three, reply)];
      two.open('lamp');
      three.open('lamp');
      await fleet.sleep(50);
      for (let count = 1; count <= 10; count++) {
        expect(await one.request('lamp', 'light')).toBe('lit');
        expect(devices.flatMap(({ requests }) => requests)).toHaveLength(count);
      }
    });

    history('count an answer only on the connection on which they went out', async (fleet) => {
      const { one, two, devices } = await start(fleet);
      const three = await fleet.node();
      const answer = code(one.request('lamp', 'read'));
      const request = await devices.next();
      await waitUntilHeard(one, devices);
      three.open('lamp');
      await eventually(
        () => two.held('lamp'),
        (device) => device === undefined,
      );
      request.answer({ type: 'reply', id: request.id, value: 'too late' });
      expect(await answer).toBe('connection_lost');
    });

    history('are lost within three heartbeats when the node that holds the device hangs', async (fleet) => {
      const { one, two, devices } = await start(fleet);
      const answer = code(one.request('lamp', 'read'));
      const values = code(lastValueFrom(one.stream('lamp', 'watch')));
      await devices.next(1);
      await waitUntilHeard(one, devices);
      fleet.pause(two);
      let isOver = false;
      void Promise.all([answer, values]).then(() => (isOver = true));
      await fleet.sleep(3 * HEARTBEAT_MS + 100);
      // On NATS the processes share this machine with others.
      if (kind.name === 'in memory') expect(isOver).toBe(true);
      expect(await Promise.all([answer, values])).toEqual(['connection_lost', 'connection_lost']);
      fleet.resume(two);
      // Nobody renews them any more.
      await eventually(
        () => devices.cancelled.length,
        (count) => count === 2,
      );
    });

    history('survive a node that hangs for less than two heartbeats', async (fleet) => {
      const { one, two, devices } = await start(fleet);
      const answer = one.request('lamp', 'read');
      const { id, answer: reply } = await devices.next();
      fleet.pause(two);
      await fleet.sleep(1.5 * HEARTBEAT_MS);
      fleet.resume(two);
      await fleet.sleep(4 * HEARTBEAT_MS);
      reply({ type: 'reply', id, value: 'lit' });
      expect(await answer).toBe('lit');
    });

    history(
      'are lost at once with the link of the node that asks, and cancelled on the device',
      async (fleet) => {
        const { one, devices } = await start(fleet);
        const answer = code(one.request('lamp', 'read', { timeoutMs: 60_000 }));
        await devices.next();
        await waitUntilHeard(one, devices);
        fleet.cut(one);
        expect(await answer).toBe('connection_lost');
        expect(await code(one.request('lamp', 'read'))).toBe('unavailable');
        await eventually(
          () => devices.cancelled,
          (ids) => ids.join() === '1',
        );
        fleet.restore(one);
        await eventually(
          () => one.push('lamp', 'hello'),
          (result) => result === 'sent',
          30_000,
        );
      },
    );

    history(
      'are lost with the link of the node that holds the device, though it is back at once',
      async (fleet) => {
        const { one, two, devices } = await start(fleet);
        const answer = code(one.request('lamp', 'read', { timeoutMs: 60_000 }));
        const { id, answer: reply } = await devices.next();
        await waitUntilHeard(one, devices);
        fleet.cut(two);
        await eventually(
          () => devices.cancelled,
          (ids) => ids.join() === '1',
        );
        reply({ type: 'reply', id, value: 'lost on the way' });
        fleet.restore(two);
        expect(await answer).toBe('connection_lost');
      },
    );

    history('are not sent when they have waited too long in a node that hung', async (fleet) => {
      const [one, two] = [await fleet.node({ heartbeatMs: 5_000 }), await fleet.node({ heartbeatMs: 5_000 })];
      const devices = new Devices(two);
      two.open('valve');
      await eventually(
        () => one.push('valve', 'hello'),
        (result) => result === 'sent',
      );
      fleet.pause(two);
      expect(await code(one.request('valve', 'open'))).toBe('timeout');
      await fleet.sleep(1_000);
      fleet.resume(two);
      void code(one.request('valve', 'close', { timeoutMs: 900 }));
      await devices.next();
      expect(devices.requests.map(({ message }) => message)).toEqual(['close']);
    });

    history('are lost when the node that asks or the one that holds the device closes', async (fleet) => {
      const { one, two, devices } = await start(fleet);
      const three = await fleet.node();
      const answers = [code(one.request('lamp', 'read')), code(three.request('lamp', 'read'))];
      await devices.next(1);
      for (const node of [one, three]) await waitUntilHeard(node, devices);
      await three.close();
      expect(await answers[1]).toBe('connection_lost');
      await eventually(
        () => devices.cancelled.length,
        (count) => count === 1,
      );
      await two.close();
      expect(await answers[0]).toBe('connection_lost');
    });

    history('end in exactly one outcome each, whatever nodes and devices do meanwhile', async (fleet) => {
      const nodes = [await fleet.node(), await fleet.node(), await fleet.node(), await fleet.node()];
      const { random } = fleet;
      const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
      const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
      /** What devices have been sent, and what is open on them. */
      const sent = new Map<number, number>();
      const open = new Set<string>();
      for (const [index, node] of nodes.entries()) {
        node.onControl = (device, control, answer) => {
          const key = (id: number): string => `${index} ${device} ${id}`;
          if (control.type === 'cancel') open.delete(key(control.id));
          if (control.type !== 'request') return;
          const [number, afterMs] = control.message as [number, number];
          sent.set(number, (sent.get(number) ?? 0) + 1);
          open.add(key(control.id));
          const reply = (last: Parameters<typeof answer>[0]): void => {
            open.delete(key(control.id));
            answer(last);
          };
          const { id } = control;
          if (afterMs < 50) reply({ type: 'reply', id, value: number });
          else if (afterMs < 1_500)
            setTimeout(() => {
              answer({ type: 'next', id, value: number });
              reply({ type: 'complete', id });
            }, afterMs - 50);
        };
      }
      const come = (device: string): void => {
        const node = pick(nodes);
        // A device has one connection: it has left the last one, or that is half open.
        if (random() < 0.7) for (const each of nodes) if (each !== node) each.leave(device);
        node.open(device);
      };
      for (const device of ids) come(device);
      const outcomes = new Map<number, unknown[]>();
      const asked: Promise<void>[] = [];
      let frozen: BareNode | undefined;
      let cut: BareNode | undefined;
      const count = kind.name === 'in memory' ? 300 : 400;
      for (let number = 0; number < count; number++) {
        const node = pick(nodes);
        const message = [number, random() * 1_700];
        const ended: unknown[] = [];
        outcomes.set(number, ended);
        const isStream = random() < 0.3;
        const answer = isStream
          ? lastValueFrom(node.stream(pick(ids), message))
          : node.request(pick(ids), message, { timeoutMs: 200 + Math.floor(random() * 2_000) });
        asked.push(code(answer).then((outcome) => void ended.push(outcome)));
        const dice = random();
        if (dice < 0.1) come(pick(ids));
        else if (dice < 0.14) pick(nodes).leave(pick(ids));
        else if (dice < 0.16 && !frozen) fleet.pause((frozen = pick(nodes)));
        else if (dice < 0.2 && frozen) {
          fleet.resume(frozen);
          frozen = undefined;
        } else if (dice < 0.22 && !cut) fleet.cut((cut = pick(nodes)));
        else if (dice < 0.3 && cut) {
          fleet.restore(cut);
          cut = undefined;
        }
        await fleet.sleep(random() * 40);
      }
      if (frozen) fleet.resume(frozen);
      if (cut) fleet.restore(cut);
      // Streams that devices never end would go on for ever: their connections end.
      await fleet.sleep(2_000);
      for (const node of nodes) for (const device of ids) node.leave(device);
      let isOver = false;
      void Promise.all(asked).then(() => (isOver = true));
      await eventually(
        () => isOver,
        (over) => over,
        20_000,
      );
      const known = ['timeout', 'connection_lost', 'offline', 'busy', 'unavailable'];
      for (const [number, ended] of outcomes) {
        expect(sent.get(number) ?? 0).toBeLessThanOrEqual(1);
        expect(ended).toHaveLength(1);
        const [outcome] = ended;
        if (typeof outcome === 'string') expect(known).toContain(outcome);
        else expect(outcome).toEqual({ value: number });
        if (outcome === 'offline' || outcome === 'busy') expect(sent.has(number)).toBe(false);
        if (typeof outcome !== 'string') expect(sent.get(number)).toBe(1);
      }
    });
  },
);
