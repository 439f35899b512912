/**
 * A device in a Nest app, as a separate process, with the URL of its cloud and the directory of its token as
 * arguments. Writes `started` to its standard output.
 */
import { writeSync } from 'node:fs';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksClientModule, OnMessage, Payload } from '@fedecks/nest/client-nest';

const [url = '', tokenStore = ''] = process.argv.slice(2);

@Injectable()
class Commands {
  @OnMessage('reboot')
  reboot(@Payload() options: unknown) {
    return { event: 'rebooting', data: options as string };
  }
}

@Module({
  imports: [
    FedecksClientModule.forRoot({
      url,
      tokenStore,
      deviceId: 'nerves-242a',
      startDelayMs: 0,
      closeTimeoutMs: 1_000,
    }),
  ],
  providers: [Commands],
})
class AgentModule {}

const app = await NestFactory.createApplicationContext(AgentModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
writeSync(1, 'started\n');
