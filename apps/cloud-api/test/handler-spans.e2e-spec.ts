/** Spans of handlers, seen by a provider of OpenTelemetry that a test registers. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Module } from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import {
  context,
  type Context,
  type ContextManager,
  ROOT_CONTEXT,
  type Span,
  type SpanOptions,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import { FedecksModule, OnMessage } from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { Inbox } from '../../../libs/fedecks/test/support/inbox.js';
import { HandlerSpans, isTraced } from '../src/operations/handler-spans.js';

interface EndedSpan {
  readonly name: string;
  readonly attributes: SpanOptions['attributes'];
  readonly status: unknown;
}

const ended = new Inbox<EndedSpan>('span');
const current = new AsyncLocalStorage<Context>();

/** Only what the app uses. */
const tracer: Pick<Tracer, 'startSpan'> = {
  startSpan(name, { attributes } = {}) {
    let status: unknown;
    const span = {
      name,
      setStatus: (given: unknown) => (status = given),
      spanContext: () => ({ traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 0 }),
      end: () => ended.put({ name, attributes, status }),
    };
    return span as unknown as Span;
  },
};
const manager: ContextManager = {
  active: () => current.getStore() ?? ROOT_CONTEXT,
  with: (active, run, self, ...args) => current.run(active, () => run.call(self, ...args)),
  bind: (_active, target) => target,
  enable: () => manager,
  disable: () => manager,
};

@Injectable()
class Greenhouse {
  @OnMessage('temperature')
  async record() {
    await new Promise((resolve) => setImmediate(resolve));
    return (trace.getActiveSpan() as unknown as { name: string } | undefined)?.name ?? 'no span';
  }

  @OnMessage('fail')
  fail() {
    throw new Error('hunter2');
  }
}

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['0123456789abcdef0123456789abcdef'],
      authenticator: { authenticate: () => true },
    }),
  ],
  providers: [Greenhouse, { provide: APP_INTERCEPTOR, useClass: HandlerSpans }],
})
class AppModule {}

afterAll(() => {
  trace.disable();
  context.disable();
});

it('makes a span around each handler, active while it runs, where there is a provider', async () => {
  expect(isTraced()).toBe(false);
  trace.setGlobalTracerProvider({ getTracer: () => tracer as Tracer });
  context.setGlobalContextManager(manager);
  expect(isTraced()).toBe(true);
  const app = await NestFactory.create(AppModule, { logger: false });
  const device = await FakeDevice.connect(app, { id: 'nerves-242a', credentials: {} });
  device.send('temperature', 21.5);
  expect(await device.next()).toBe('Greenhouse.record');
  expect(await ended.next()).toEqual({
    name: 'Greenhouse.record',
    attributes: { 'fedecks.device.id': 'nerves-242a', 'fedecks.connection': expect.any(Number) as number },
    status: undefined,
  });
  device.send('fail', null);
  const failed = await ended.next();
  expect(failed).toMatchObject({ name: 'Greenhouse.fail', status: { code: 2 } });
  expect(JSON.stringify(failed)).not.toContain('hunter2');
  await device.disconnect();
  await app.close();
});
