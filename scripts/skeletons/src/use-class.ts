// Starts an app with an enhanced handler in a provider with another token.
import { FedecksModule } from '@fedecks/nest';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Greenhouse } from './greenhouse.js';

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['0123456789abcdef0123456789abcdef'],
      authenticator: { authenticate: () => true },
    }),
  ],
  providers: [{ provide: 'greenhouse', useClass: Greenhouse }],
})
class AppModule {}

async function start(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  await app.init();
  console.log('started');
  await app.close();
}

void start();
