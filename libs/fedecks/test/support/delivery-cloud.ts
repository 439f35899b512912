/**
 * A cloud that writes the number of each delivery it handles to a log, and remembers what was handled in a file: both
 * survive a kill -9. Prints 'listening', or why it cannot. Arguments: port, log file, store file.
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Delivery,
  type DeliveryInfo,
  type DeliveryStore,
  FedecksModule,
  OnMessage,
  Payload,
} from '@fedecks/nest';

import { DelegatingStore } from './delegating-store.js';

const [port = '0', log = '', file = ''] = process.argv.slice(2);

type Claim = Awaited<ReturnType<DeliveryStore['claim']>>;

/** For one device. */
class FileStore extends DelegatingStore {
  private kept: Claim = read();

  override claim(): Claim {
    return this.keep({ ...this.kept, generation: this.kept.generation + 1 });
  }

  override setHandled(...[, , generation, handled]: Parameters<DeliveryStore['setHandled']>): boolean {
    if (generation < this.kept.generation) return false;
    const others = this.kept.handled.filter(({ lane }) => lane !== handled.lane);
    this.keep({ ...this.kept, handled: [...others, handled] });
    return true;
  }

  private keep(claim: Claim): Claim {
    writeFileSync(`${file}.new`, JSON.stringify(claim));
    renameSync(`${file}.new`, file);
    return (this.kept = claim);
  }
}

function read(): Claim {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Claim;
  } catch {
    return { generation: 0, handled: [] };
  }
}

@Injectable()
class Numbers {
  @OnMessage('number')
  async number(@Payload() number: number, @Delivery() delivery: DeliveryInfo) {
    if (number % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    appendFileSync(log, `${number} ${delivery.attempt}\n`);
  }
}

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['x'.repeat(32)],
      authenticator: { authenticate: () => true },
      deliveryStore: new FileStore(),
    }),
  ],
  providers: [Numbers],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: false });
try {
  await app.listen(Number(port), '127.0.0.1');
  console.log('listening');
} catch (error) {
  console.log((error as NodeJS.ErrnoException).code);
}
