/**
 * A cloud as a separate process, to test SIGTERM. Writes its port to its standard
 * output, `handling` and `handled` when its handlers run, and `gone` with the time, in ms, at which a device had
 * disconnected. At the end of its input it closes the app, and no more: if anything is left open, the process goes on.
 */
import { writeSync } from 'node:fs';
import { type AddressInfo, type Server } from 'node:net';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksModule, OnDisconnected, OnMessage, Payload } from '@fedecks/nest';

const [drainMs = '0', handlerMs = '0'] = process.argv.slice(2);

/** Synchronous: asynchronous writes are lost when a signal ends the process. */
function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

@Injectable()
class Work {
  @OnMessage('work')
  async work(@Payload() what: unknown) {
    tell('handling');
    await new Promise((resolve) => setTimeout(resolve, Number(handlerMs)));
    tell('handled');
    return ['done', what] as [string, string];
  }

  @OnMessage('hang')
  async hang() {
    tell('handling');
    await new Promise(() => undefined);
  }

  @OnDisconnected()
  async gone() {
    const at = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 300));
    tell(`gone ${at}`);
  }
}

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['s'.repeat(32)],
      authenticator: { authenticate: () => true },
      ...(drainMs !== 'default' && { drainMs: Number(drainMs) }),
    }),
  ],
  providers: [Work],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');
process.stdin.resume().once('end', () => void app.close());
tell(`port ${((app.getHttpServer() as Server).address() as AddressInfo).port}`);
