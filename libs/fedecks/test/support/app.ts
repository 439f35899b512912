/**
 * An app with the test's handlers, and devices that connect to it.
 *
 *     const app = await startApp({ providers: [Greenhouse] });
 *     const device = await app.device();           // logged in, with a unique id
 *     await app.errors.next();                     // an error that @OnSocketError() got
 *     await app.close();
 */
import { type INestApplication, Injectable, type ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Fedecks,
  FedecksHealthIndicator,
  FedecksModule,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { Inbox } from './inbox.js';

type Options = Parameters<typeof FedecksModule.forRoot>[0];

export interface TestApp extends ModuleMetadata {
  /** Merged with a secret and an authenticator that accepts everybody. */
  readonly options?: Partial<Options>;
  /** Called before the app starts. */
  readonly setUp?: (app: INestApplication) => void;
}

@Injectable()
class Errors {
  readonly inbox = new Inbox<SocketError>('socket error');

  @OnSocketError()
  error(@Payload() error: SocketError): void {
    this.inbox.put(error);
  }
}

let devices = 0;

export class StartedApp {
  constructor(readonly nest: INestApplication) {}

  get errors(): Inbox<SocketError> {
    return this.nest.get(Errors).inbox;
  }

  get fedecks(): Fedecks {
    return this.nest.get(Fedecks);
  }

  get healthIndicator(): FedecksHealthIndicator {
    return this.nest.get(FedecksHealthIndicator);
  }

  /** A connected device with a unique id by default; it presents its token, or logs in. */
  device(id = `device-${++devices}`, token?: string): Promise<FakeDevice> {
    return FakeDevice.connect(this.nest, { id, ...(token !== undefined && { token }) });
  }

  async close(): Promise<void> {
    await this.nest.close();
  }
}

/** Starts an app on a free port of this machine. Rejects with the app's error. */
export async function startApp({ options, setUp, ...metadata }: TestApp): Promise<StartedApp> {
  const module = await Test.createTestingModule({
    ...metadata,
    imports: [
      FedecksModule.forRoot({
        secrets: ['x'.repeat(32)],
        authenticator: { authenticate: () => true },
        ...options,
      }),
      ...(metadata.imports ?? []),
    ],
    providers: [Errors, ...(metadata.providers ?? [])],
  }).compile();
  const app = module.createNestApplication();
  // Off, because many tests cause errors that the application logs.
  app.useLogger(false);
  setUp?.(app);
  try {
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close().catch(() => undefined);
    throw error;
  }
  return new StartedApp(app);
}
