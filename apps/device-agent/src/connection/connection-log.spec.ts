import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { type ClientEvent, type FedecksClient } from '@fedecks/nest/client-nest';
import { Subject } from 'rxjs';
import { ConnectionLog } from './connection-log.js';

let events: Subject<ClientEvent>;
let lines: string[];

beforeEach(() => {
  jest.useFakeTimers();
  events = new Subject();
  lines = [];
  const take = (level: string) => (text: string) => lines.push(`${level} ${text}`);
  Logger.overrideLogger({ log: take('log'), warn: take('warn'), error: take('error'), debug: take('debug') });
  new ConnectionLog({ events$: events } as unknown as FedecksClient).onModuleInit();
});
afterEach(() => {
  jest.useRealTimers();
  Logger.overrideLogger(false);
});

const dropped = (seq: number, cause: 'full' | 'replaced'): ClientEvent => ({
  type: 'delivery_dropped',
  id: `E/0/${seq}`,
  lane: 'telemetry',
  cause,
});

it('logs that readings are lost once an hour for each cause', () => {
  for (let minute = 0; minute < 120; minute++) {
    events.next(dropped(minute, 'full'));
    events.next({ type: 'delivery_expired', id: `E/0/${minute}`, lane: 'telemetry' });
    jest.advanceTimersByTime(60_000);
  }
  expect(lines).toEqual([
    'warn Message E/0/0 is dropped: the outbox is full',
    'warn Message E/0/0 has expired before the cloud has handled it',
    'warn Message E/0/60 is dropped: the outbox is full',
    'warn Message E/0/60 has expired before the cloud has handled it',
  ]);
});

it('does not log readings that are handled, or replaced by a newer one', () => {
  events.next({ type: 'delivered', id: 'E/0/1', lane: 'telemetry' });
  events.next(dropped(2, 'replaced'));
  expect(lines).toEqual([]);
});
